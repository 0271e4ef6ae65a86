import { formatBytes, formatDuration } from '../../base/units.ts';
import type { ClusterReport } from '../../model/report.ts';
import type { CommandGroup, CommandSpec } from '../command-spec.ts';
import type { Row } from '../table.ts';
import { backupCommand } from './backup.ts';
import { masterRows, quorumGroup } from './quorum.ts';
import { restoreCommand } from './restore.ts';

const reportCommand: CommandSpec = {
  name: 'report',
  summary: 'show masters, workers and figures of the cluster',
  async run(context) {
    const report = await (await context.admin()).report();
    if (context.json) await context.out.json(report);
    else {
      await context.out.lines(headLines(report));
      await context.out.table(masterRows(report.quorum));
      await context.out.lines(['']);
      await context.out.table(workerRows(report));
    }
    return 0;
  },
};

/** `sluice admin`. */
export const adminGroup: CommandGroup = {
  name: 'admin',
  summary: 'look after a cluster',
  commands: [reportCommand, quorumGroup, backupCommand, restoreCommand],
};

function headLines(report: ClusterReport): string[] {
  const { quorum, version, uptimeMs, inodeCount, mountCount, workers } = report;
  const live = workers.filter((worker) => worker.state === 'live').length;
  return [
    `cluster ${quorum.clusterId}, version ${version}, led by ${quorum.leader}, up for ${formatDuration(uptimeMs)}`,
    `${inodeCount} inodes, ${mountCount} mounts, ${live} of ${workers.length} workers live`,
    '',
  ];
}

function workerRows({ workers }: ClusterReport): Row[] {
  const rows = workers.map(({ id, address, state, usedBytes, capacityBytes, pageCount, lastHeardMs }): Row => {
    const used = `${formatBytes(usedBytes)} of ${formatBytes(capacityBytes)}`;
    return [id, address, state, used, pageCount, lastHeardMs === -1 ? 'never' : `${formatDuration(lastHeardMs)} ago`];
  });
  return [['worker', 'address', 'state', 'used', 'pages', 'heard of'], ...rows];
}
