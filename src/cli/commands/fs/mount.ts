import { formatDuration } from '../../../base/units.ts';
import { SluiceError } from '../../../model/errors.ts';
import type { MountInfo } from '../../../model/operations.ts';
import type { CommandSpec } from '../../command-spec.ts';
import { durationOrNever } from '../../numbers.ts';
import { pairs } from '../../pairs.ts';
import type { Row } from '../../table.ts';

interface MountCommandOptions {
  readonly option?: readonly string[];
  readonly readonly?: boolean;
  readonly syncInterval?: string;
}

/** `sluice fs mount`. */
export const mountCommand: CommandSpec<MountCommandOptions> = {
  name: 'mount',
  summary: 'attach a UFS to a directory; without arguments, show the mount table',
  arguments: [
    ['[path]', 'directory that the UFS appears at'],
    ['[uri]', 'where the UFS is, such as s3://bucket/prefix or file:///data'],
  ],
  options: [
    ['-o, --option <key=value...>', 'option of the UFS, any number of times'],
    ['--readonly', 'refuse changes below the mount point'],
    ['--sync-interval <duration>', 'look at the UFS again after this long (1m), 0 at each access, or never'],
  ],
  examples: [
    'sluice fs mount /data file:///srv/data',
    'sluice fs mount /lake s3://lake/raw -o s3.endpoint=http://minio:9000 --readonly',
  ],
  async run(context, [path, uri], options) {
    const files = await context.files();
    if (path === undefined) {
      const mounts = await files.mounts();
      if (context.json) await context.out.json(...mounts);
      else if (mounts.length === 0) await context.out.lines(['nothing is mounted']);
      else await context.out.table([['path', 'uri', 'mode', 'sync', 'options'], ...mounts.map(rowOf)]);
      return 0;
    }
    if (uri === undefined) throw new SluiceError('INVALID_ARGUMENT', `Say what to mount at ${path}: a URI`);
    const mount = await files.mount(path, uri, {
      options: pairs(options.option ?? []),
      readOnly: options.readonly === true,
      ...(options.syncInterval === undefined
        ? {}
        : { syncIntervalMs: durationOrNever('--sync-interval', options.syncInterval) }),
    });
    if (context.json) await context.out.json(mount);
    return 0;
  },
};

function rowOf({ path, uri, readOnly, syncIntervalMs, options }: MountInfo): Row {
  const sync = syncIntervalMs === -1 ? 'never' : syncIntervalMs === 0 ? 'always' : formatDuration(syncIntervalMs);
  const shown = Object.entries(options).map(([key, value]) => `${key}=${value}`);
  return [path, uri, readOnly ? 'read-only' : 'read-write', sync, shown.join(' ')];
}
