import { formatBytes, formatDuration } from '../../base/units.ts';
import type { ClusterReport, DigestRound, QuorumInfo } from '../../model/report.ts';
import type { CommandGroup, CommandSpec } from '../command-spec.ts';
import type { Row } from '../table.ts';
import { backupCommand } from './backup.ts';
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

const quorumInfoCommand: CommandSpec = {
  name: 'info',
  summary: 'show who leads and how far each master is',
  async run(context) {
    const quorum = await (await context.admin()).quorum();
    if (context.json) await context.out.json(quorum);
    else {
      await context.out.table([
        ['cluster', quorum.clusterId],
        ['asked', quorum.self],
        ['leader', quorum.leader === '' ? 'unknown' : quorum.leader],
        ['term', String(quorum.term)],
        ['committed', String(quorum.commitIndex)],
        ['applied', String(quorum.appliedIndex)],
        ['last', String(quorum.lastIndex)],
      ]);
      await context.out.lines(['']);
      await context.out.table(masterRows(quorum));
    }
    return 0;
  },
};

const quorumTransferCommand: CommandSpec = {
  name: 'transfer',
  summary: 'hand leadership to another master',
  arguments: [['[master]', 'who shall lead; the one with the longest journal unless given']],
  examples: ['sluice admin quorum transfer', 'sluice admin quorum transfer master-2'],
  async run(context, [to]) {
    const leader = await (await context.admin()).transfer(to);
    if (context.json) await context.out.json({ leader });
    else await context.out.lines([`${leader} leads`]);
    return 0;
  },
};

const quorumCompareCommand: CommandSpec = {
  name: 'compare',
  summary: 'read the states of all masters and tell whether they are the same; a master that is wrong stops',
  async run(context) {
    const round = await (await context.admin()).compare();
    if (context.json) await context.out.json(round);
    else {
      await context.out.table([['master', 'digest', 'rows', ''], ...round.reports.map(stateRow)]);
      await context.out.lines(['', `entry ${round.index}: ${COMPARED[round.outcome].said}`]);
    }
    return COMPARED[round.outcome].exit;
  },
};

const COMPARED: Readonly<Record<DigestRound['outcome'], { readonly said: string; readonly exit: number }>> = {
  same: { said: 'all states are the same', exit: 0 },
  incomplete: { said: 'the states that could be compared are the same', exit: 75 },
  different: { said: 'states differ: see the logs of the masters', exit: 70 },
};

function stateRow({ member, digest, missing }: DigestRound['reports'][number]): Row {
  if (digest === undefined) return [member, '-', '-', missing ?? ''];
  return [member, digest.digest.slice(0, 12), String(digest.rows), ''];
}

const quorumGroup: CommandGroup = {
  name: 'quorum',
  summary: 'look after the masters',
  commands: [quorumInfoCommand, quorumTransferCommand, quorumCompareCommand],
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

function masterRows(quorum: QuorumInfo): Row[] {
  const rows = quorum.members.map(({ id, address, role, matchIndex, lastContactMs }): Row => {
    const heard = lastContactMs === -1 ? 'never' : lastContactMs === 0 ? 'now' : `${formatDuration(lastContactMs)} ago`;
    return [id, address, role, matchIndex === -1 ? 'unknown' : matchIndex, heard];
  });
  return [['master', 'address', 'role', 'index', 'heard of'], ...rows];
}

function workerRows({ workers }: ClusterReport): Row[] {
  const rows = workers.map(({ id, address, state, usedBytes, capacityBytes, pageCount, lastHeardMs }): Row => {
    const used = `${formatBytes(usedBytes)} of ${formatBytes(capacityBytes)}`;
    return [id, address, state, used, pageCount, lastHeardMs === -1 ? 'never' : `${formatDuration(lastHeardMs)} ago`];
  });
  return [['worker', 'address', 'state', 'used', 'pages', 'heard of'], ...rows];
}
