import { formatBytes } from '../../../base/units.ts';
import type { CommandSpec } from '../../command-spec.ts';
import { remotePath, treeOf } from '../../remote-path.ts';

/** `sluice fs count`. */
export const countCommand: CommandSpec<{ readonly humanReadable?: boolean }> = {
  name: 'count',
  summary: 'count files, directories and bytes at and below a path',
  arguments: [['<path...>', 'where to count']],
  options: [['-h, --human-readable', 'sizes such as 1.5GiB']],
  async run(context, args, { humanReadable = false }) {
    const client = await context.files();
    const rows: (string | number)[][] = [['files', 'directories', 'bytes', 'path']];
    for (const text of args) {
      const path = remotePath(text);
      let [files, directories, bytes] = [0, 0, 0];
      for await (const { kind, lengthBytes } of treeOf(client, path, context.signal)) {
        if (kind === 'directory') directories += 1;
        else files += 1;
        bytes += lengthBytes;
      }
      if (context.json) await context.out.json({ path, files, directories, bytes });
      rows.push([files, directories, humanReadable ? formatBytes(bytes) : bytes, path]);
    }
    if (!context.json) await context.out.table(rows);
    return 0;
  },
};
