import { resolve } from 'node:path';
import { nodeTimers } from '../../host/node-timers.ts';
import type { JournalInspection, JournalReport } from '../../master/journal-inspection.ts';
import type { Recovery, RecoveryPlan } from '../../master/journal-recovery.ts';
import { quorumOptions } from '../../master/options.ts';
import { ERROR_TABLE, SluiceError } from '../../model/errors.ts';
import { visibleOptions } from '../../model/mount.ts';
import type { Entry } from '../../raft/entry.ts';
import type { JournalEntry } from '../../wire/codec/command.ts';
import type { CommandGroup, CommandSpec } from '../command-spec.ts';
import type { CommandContext } from '../context.ts';
import { wholeNumber } from '../numbers.ts';
import { showCount } from '../progress.ts';
import { formatTable } from '../table.ts';

interface FolderOptions {
  readonly folder?: string;
}

interface DumpOptions extends FolderOptions {
  readonly from?: string;
  readonly to?: string;
}

const FOLDER_OPTION = ['--folder <path>', 'data folder of the stopped master, that of master.data by default'] as const;

interface RecoverOptions extends FolderOptions {
  readonly into?: string;
  readonly address?: string;
  readonly yesLoseWhatOthersKnew?: boolean;
}

const checkCommand: CommandSpec<FolderOptions> = {
  name: 'check',
  summary: 'verify the journal of a stopped master, without changing it',
  options: [FOLDER_OPTION],
  examples: ['sluice journal check --folder .sluice/m1', 'sluice journal check --json --config /etc/sluice.yaml'],
  async run(context, _, { folder }) {
    const report = await withInspection(context, folder, async (inspection) => {
      const progress = await showCount(context.world.stderr, 'entries');
      try {
        return await inspection.check((done, all) => progress.update(done, all), context.signal);
      } finally {
        progress.stop();
      }
    });
    if (context.json) await context.out.json(report);
    // Not cut to the terminal: half of an advice is none.
    else await context.out.lines(formatTable(reportRows(report)));
    const [problem] = report.problems;
    return problem === undefined ? 0 : ERROR_TABLE[problem.code].exit;
  },
};

const dumpCommand: CommandSpec<DumpOptions> = {
  name: 'dump',
  summary: 'print entries of the journal of a stopped master',
  options: [FOLDER_OPTION, ['--from <index>', 'the first entry to print'], ['--to <index>', 'the last entry to print']],
  examples: ['sluice journal dump --folder .sluice/m1 --from 100 --to 120', 'sluice journal dump --json'],
  async run(context, _, { folder, from, to }) {
    const first = from === undefined ? undefined : wholeNumber('--from', from, 1);
    const last = to === undefined ? undefined : wholeNumber('--to', to, 1);
    if (first !== undefined && last !== undefined && first > last)
      throw new SluiceError('INVALID_ARGUMENT', `--from ${first} is behind --to ${last}: exchange them`);
    const { decodeJournalEntry } = await import('../../wire/codec/command.ts');
    const show = async ({ index, term, kind, bytes }: Entry) => {
      const content =
        kind === 'command' ? withoutSecrets(decodeJournalEntry(bytes)) : Buffer.from(bytes).toString('hex');
      if (context.json) await context.out.json({ index, term, kind, content });
      else await context.out.lines([`${index}\t${term}\t${kind}\t${JSON.stringify(content)}`]);
    };
    await withInspection(context, folder, async (inspection) => {
      for await (const entries of inspection.entries(first, last, context.signal))
        for (const entry of entries) await show(entry);
    });
    return 0;
  },
};

/** A dump is shown to others: a mount's secrets are not. */
function withoutSecrets(said: JournalEntry): JournalEntry {
  if (said.kind !== 'command' || said.stamped.command.kind !== 'mount') return said;
  const { command } = said.stamped;
  return { ...said, stamped: { ...said.stamped, command: { ...command, options: visibleOptions(command.options) } } };
}

const recoverCommand: CommandSpec<RecoverOptions> = {
  name: 'recover',
  summary: 'make a new cluster of what one master has, when most of the others are lost for ever',
  options: [
    FOLDER_OPTION,
    ['--into <path>', 'data folder to make for the new cluster; the old one stays as it is'],
    ['--address <host:port>', 'where other masters shall reach this one, if not where they did'],
    ['--yes-lose-what-others-knew', 'what this master does not have may be lost'],
  ],
  examples: [
    'sluice journal recover --folder /var/lib/sluice/m1 --into /var/lib/sluice/m1-recovered',
    'sluice journal recover --folder m1 --into m1-recovered --yes-lose-what-others-knew',
  ],
  async run(context, _, { folder, into, address, yesLoseWhatOthersKnew = false }) {
    if (into === undefined)
      throw new SluiceError('INVALID_ARGUMENT', 'The new cluster needs a data folder: name one with --into PATH');
    const { JournalRecovery } = await import('../../master/journal-recovery.ts');
    return withInspection(context, folder, async (inspection) => {
      const progress = await showCount(context.world.stderr, 'entries');
      const told = (done: number, all: number) => progress.update(done, all);
      const recovery = await JournalRecovery.open(inspection, nodeTimers, told, context.signal).finally(() =>
        progress.stop(),
      );
      if (!context.json) await context.out.lines(planLines(recovery.plan));
      if (!yesLoseWhatOthersKnew) {
        const message = 'Nothing was changed. If that is what you want, say --yes-lose-what-others-knew';
        throw new SluiceError('INVALID_ARGUMENT', message, { details: { ...recovery.plan.last } });
      }
      const made = await recovery.recover(resolve(context.world.folder, into), address, context.signal);
      if (context.json) await context.out.json({ ...recovery.plan, recovered: made });
      else await context.out.lines(recoveredLines(made));
      return 0;
    });
  },
};

function planLines({ folder, member, clusterId, last, commit }: RecoveryPlan): string[] {
  const unsure = last.index - commit;
  return [
    `Master ${member} has the journal of cluster ${clusterId}`,
    `up to entry ${last.index} of term ${last.term}, in ${folder}.`,
    'Every change behind that entry is lost for ever, also those that were acknowledged. If another master is left,',
    'compare with `sluice journal check`: take the one with the larger term, or the larger index in the same term.',
    unsure === 0
      ? 'It knows all its entries to be committed.'
      : `It does not know whether its last ${unsure} entries were committed: they take effect.`,
    'What only workers have of lost files (MUST_CACHE) stays on them, but no file leads to it.',
    'No master of the old cluster may ever serve clients again.',
  ];
}

function recoveredLines({ folder, clusterId, member, identity, position }: Recovery): string[] {
  return [
    `${folder} holds cluster ${clusterId} with one master, ${identity}, at entry ${position.index}.`,
    `Start master ${member} with master.data=${folder} and master.peers naming itself only.`,
    'Others join with empty data folders: `sluice admin quorum add NAME=HOST:PORT`.',
    'Keep the old folder until you have seen that all is well.',
  ];
}

/** `sluice journal`. */
export const journalGroup: CommandGroup = {
  name: 'journal',
  summary: 'look at the journal of a stopped master, or begin anew with what it has',
  commands: [checkCommand, dumpCommand, recoverCommand],
};

async function withInspection<T>(
  context: CommandContext,
  folder: string | undefined,
  act: (inspection: JournalInspection) => Promise<T>,
): Promise<T> {
  const { JournalInspection } = await import('../../master/journal-inspection.ts');
  const path = resolve(context.world.folder, folder ?? context.config().values(quorumOptions).data);
  const inspection = await JournalInspection.open(path, nodeTimers);
  try {
    return await act(inspection);
  } finally {
    await inspection.close();
  }
}

function reportRows(report: JournalReport): (readonly string[])[] {
  const {
    clusterId = '-',
    identity = '-',
    base,
    last,
    firstTerm,
    ballot,
    commit,
    state,
    installing,
    problems,
  } = report;
  const known = base !== undefined && last !== undefined;
  const some = known && last.index > base.index;
  const rows = [
    ['folder', report.folder],
    ['cluster', clusterId],
    ['member', identity],
    ['base', positionText(base)],
    ['first', some ? String(base.index + 1) : '-'],
    ['last', some ? positionText(last) : '-'],
    ['terms', firstTerm === undefined || last === undefined ? '-' : `${firstTerm} to ${last.term}`],
    ['ballot', ballot === undefined ? '-' : `term ${ballot.term}, voted for ${ballot.votedFor ?? 'nobody'}`],
    ['commit', commit === undefined ? '-' : String(commit)],
    ['state', installing === undefined ? positionText(state) : `a snapshot of ${positionText(installing)} comes in`],
    ['verdict', problems.length === 0 ? 'sound' : 'not sound: do not start this master'],
  ];
  for (const { code, message, advice } of problems)
    rows.push(['problem', `${code}: ${message}`], ['what to do', advice]);
  if (problems.length === 0) rows.push(['what to do', 'nothing: this master can be started']);
  return rows;
}

function positionText(position: JournalReport['base']): string {
  return position === undefined ? '-' : `${position.index} of term ${position.term}`;
}
