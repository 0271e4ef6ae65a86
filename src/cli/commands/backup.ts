import { resolve } from 'node:path';
import { formatBytes } from '../../base/units.ts';
import { nodeTimers } from '../../host/node-timers.ts';
import type { CommandSpec } from '../command-spec.ts';
import { showCount } from '../progress.ts';

/** `sluice admin backup`. */
export const backupCommand: CommandSpec = {
  name: 'backup',
  summary: 'write the namespace to a file, while the cluster serves',
  arguments: [['<file>', 'tar file to make; it holds the secrets of mounts']],
  examples: ['sluice admin backup /backup/sluice.tar'],
  async run(context, [file = '']) {
    const { writeBackup } = await import('../../master/backup-write.ts');
    const path = resolve(context.world.folder, file);
    const { link, master } = await context.snapshots();
    const progress = await showCount(context.world.stderr, 'rows');
    try {
      const manifest = await writeBackup({
        source: link,
        path,
        timers: nodeTimers,
        signal: context.signal,
        progress: (rows, expected) => progress.update(rows, expected),
      });
      if (context.json) await context.out.json({ file: path, master, ...manifest });
      else {
        const { rows, bytes, position } = manifest;
        const what = `${rows} rows, ${formatBytes(bytes)}, as of entry ${position.index}`;
        await context.out.lines([`${path}: ${what}, from ${master}`]);
      }
      return 0;
    } finally {
      progress.stop();
      link.end();
    }
  },
};
