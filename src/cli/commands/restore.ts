import { resolve } from 'node:path';
import { journalOptions, quorumOptions, serviceOptions } from '../../master/options.ts';
import type { CommandSpec } from '../command-spec.ts';
import { showCount } from '../progress.ts';

interface RestoreOptions {
  readonly folder?: string;
}

/** `sluice admin restore`. */
export const restoreCommand: CommandSpec<RestoreOptions> = {
  name: 'restore',
  summary: 'make the data folder of the first master of a new cluster from a backup',
  arguments: [['<file>', 'what `sluice admin backup` has made']],
  options: [['--folder <path>', 'data folder to make, that of master.data by default; missing or empty']],
  examples: ['sluice --config /etc/sluice.yaml admin restore /backup/sluice.tar'],
  async run(context, [file = ''], { folder }) {
    const [{ restoreBackup }, { masterPlace }, { newLogStore }] = await Promise.all([
      import('../../master/backup-restore.ts'),
      import('../../master/master-place.ts'),
      import('../../master/new-log-store.ts'),
    ]);
    const config = context.config();
    const quorum = config.values(quorumOptions);
    const values = config.values(journalOptions);
    const target = resolve(context.world.folder, folder ?? quorum.data);
    const progress = await showCount(context.world.stderr, 'rows verified and written');
    try {
      const { clusterId, epoch, member, manifest } = await restoreBackup({
        path: resolve(context.world.folder, file),
        folder: target,
        place: masterPlace(quorum, config.values(serviceOptions)),
        newLog: (at) => newLogStore(at, values),
        signal: context.signal,
        progress: (rows, expected) => progress.update(rows, expected),
      });
      const { rows, clusterId: from, position } = manifest;
      if (context.json) await context.out.json({ folder: target, clusterId, epoch, member, rows, from, position });
      else
        await context.out.lines([
          `${target}: ${rows} rows as of entry ${position.index} of cluster ${from}`,
          `It belongs to master ${member} of the new cluster ${clusterId}: start it, then add the others`,
        ]);
      return 0;
    } finally {
      progress.stop();
    }
  },
};
