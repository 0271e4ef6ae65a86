import type { CommandGroup } from '../command-spec.ts';
import { catCommand } from './fs/cat.ts';
import { checksumCommand } from './fs/checksum.ts';
import { chmodCommand } from './fs/chmod.ts';
import { chownCommand } from './fs/chown.ts';
import { countCommand } from './fs/count.ts';
import { cpCommand } from './fs/cp.ts';
import { duCommand } from './fs/du.ts';
import { headCommand } from './fs/head.ts';
import { lsCommand } from './fs/ls.ts';
import { mkdirCommand } from './fs/mkdir.ts';
import { mountCommand } from './fs/mount.ts';
import { mvCommand } from './fs/mv.ts';
import { rmCommand } from './fs/rm.ts';
import { statCommand } from './fs/stat.ts';
import { tailCommand } from './fs/tail.ts';
import { testCommand } from './fs/test.ts';
import { touchCommand } from './fs/touch.ts';
import { unmountCommand } from './fs/unmount.ts';

/** `sluice fs`. */
export const fsGroup: CommandGroup = {
  name: 'fs',
  summary: 'work with files and directories of a cluster',
  commands: [
    lsCommand,
    catCommand,
    headCommand,
    tailCommand,
    cpCommand,
    mvCommand,
    mkdirCommand,
    rmCommand,
    statCommand,
    testCommand,
    countCommand,
    duCommand,
    touchCommand,
    chmodCommand,
    chownCommand,
    checksumCommand,
    mountCommand,
    unmountCommand,
  ],
};
