import type { Refusal } from './errors.ts';
import type { Inode } from './inode.ts';
import type { Mount } from './mount.ts';
import { directoryAt, type Walk } from './namespace.ts';
import { parentOf } from './path.ts';
import { checkAccess, checkSticky, WRITE_AND_EXECUTE } from './permission.ts';
import type { Caller } from './principal.ts';
import { refuse } from './refusal.ts';

const MODE_BITS = 0o7777;

/** Refuses a change of what a read-only mount backs. */
export function checkWritable(mount: Mount | undefined): Refusal | undefined {
  if (mount === undefined || !mount.readOnly) return undefined;
  return refuse('READ_ONLY', `Mount point ${mount.path} is read-only: unmount it and mount it without --readonly`);
}

/** Refuses to remove or move a mount point, or a directory above one. `verb` is `delete`, `rename` or `replace`. */
export function checkNoMounts(verb: string, path: string, inode: Inode): Refusal | undefined {
  if (inode.kind !== 'directory') return undefined;
  if (inode.mountPoint) {
    return refuse('CROSS_MOUNT', `${path} is a mount point: to ${verb} it, unmount it first`);
  }
  if (inode.mountsBelow === 0) return undefined;
  const points = inode.mountsBelow === 1 ? 'a mount point' : `${inode.mountsBelow} mount points`;
  return refuse('CROSS_MOUNT', `${path} has ${points} below it: to ${verb} it, unmount them first`);
}

/** Refuses unless `caller` may take `inode`, the end of the walk, out of its directory. */
export function checkRemoval(caller: Caller, walked: Walk, inode: Inode): Refusal | undefined {
  const parent = directoryAt(walked, walked.names.length - 1);
  return (
    checkAccess(caller, parentOf(walked.path), parent, WRITE_AND_EXECUTE) ??
    checkSticky(caller, parent, walked.path, inode)
  );
}

/** Refuses a mode with bits that there are not. */
export function checkMode(mode: number): Refusal | undefined {
  if (Number.isInteger(mode) && mode >= 0 && mode <= MODE_BITS) return undefined;
  return refuse('INVALID_ARGUMENT', `Mode ${mode} is not within 0 and 07777 (octal): give permission bits only`);
}

/** Refuses a number that is not a safe integer of at least `least`. `what` begins the message. */
export function checkCount(what: string, value: number, least: number): Refusal | undefined {
  if (Number.isSafeInteger(value) && value >= least) return undefined;
  return refuse('INVALID_ARGUMENT', `${what} is ${value}: give a whole number of at least ${least}`);
}
