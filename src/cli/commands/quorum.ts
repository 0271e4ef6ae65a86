import { formatDuration } from '../../base/units.ts';
import { nodeTimers } from '../../host/node-timers.ts';
import { systemClock } from '../../host/system-clock.ts';
import { SluiceError } from '../../model/errors.ts';
import type { AddMember, AddProgress } from '../../model/membership-change.ts';
import type { DigestRound, QuorumInfo } from '../../model/report.ts';
import type { AdminChannel } from '../../wire/admin-channel.ts';
import type { CommandGroup, CommandSpec } from '../command-spec.ts';
import type { CommandContext } from '../context.ts';
import { delay } from '../delay.ts';
import { durationOrNever } from '../numbers.ts';
import { showCount } from '../progress.ts';
import type { Row } from '../table.ts';

const infoCommand: CommandSpec = {
  name: 'info',
  summary: 'show who leads and how far each master is',
  async run(context) {
    const quorum = await seenBest(context);
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
        ['members', quorum.changing ? 'are changing' : 'settled'],
      ]);
      await context.out.lines(['']);
      await context.out.table(masterRows(quorum));
      if (quorum.leader !== quorum.self)
        await context.out.lines(['', `${whyNotLeader(quorum, context)}; - is what ${quorum.self} does not know`]);
    }
    return 0;
  },
};

/** Why what is shown is not what the leader knows. */
function whyNotLeader({ leader, self }: QuorumInfo, context: CommandContext): string {
  if (leader === '') return `${self} knows no leader`;
  return context.masters().length === 1 ? `${leader} leads, and alone hears all others` : `${leader} did not answer`;
}

/** The leader alone hears all others: unless one certain master was named, it is looked for, and asked. */
async function seenBest(context: CommandContext): Promise<QuorumInfo> {
  const first = await (await context.admin()).quorum();
  const masters = context.masters();
  if (first.self === first.leader || masters.length === 1) return first;
  const found = new AbortController();
  const signal = AbortSignal.any([context.signal, found.signal]);
  const ask = async (address: string): Promise<QuorumInfo> => {
    const admin = await context.admin({ masters: [address], timeoutMs: LEADER_MS, attemptMs: LEADER_MS, signal });
    const info = await admin.quorum();
    if (info.self !== info.leader) throw new SluiceError('NOT_LEADER', `${info.self} does not lead`);
    return info;
  };
  try {
    return await Promise.any(masters.map(ask));
  } catch {
    // None of them leads, or says so in time: what the first one knows is more than nothing.
    if (context.signal.aborted) throw new SluiceError('CANCELLED', 'The caller gave up looking for the leader');
    return first;
  } finally {
    found.abort();
  }
}

/** What the leader may take, when another master has answered already. */
const LEADER_MS = 1_000;
const STEP_MS = 300;

interface AddOptions {
  readonly timeout?: string;
}

const addCommand: CommandSpec<AddOptions> = {
  name: 'add',
  summary: 'take a master into the cluster, or one with a new disk in place of one whose disk is lost',
  arguments: [['<master>', 'NAME=HOST:PORT: its master.name, and where the other masters reach it']],
  options: [['--timeout <duration>', 'how long it may make no progress with the journal; 1m unless given']],
  examples: [
    'sluice admin quorum add m4=m4.example:19998',
    'sluice admin quorum add m2=m2.example:19998 --timeout never',
  ],
  async run(context, [given = ''], { timeout = '1m' }) {
    const asked = parseMember(given);
    const { identity } = await takeIn(context, asked, durationOrNever('--timeout', timeout));
    if (context.json) await context.out.json({ ...asked, identity });
    else await context.out.lines([`${asked.name} votes`]);
    return 0;
  },
};

/** Asks for one step after the other; who asks again after an error, or another leader, goes on from there. */
async function takeIn(context: CommandContext, asked: AddMember, patienceMs: number): Promise<AddProgress> {
  const admin = await context.admin();
  const bar = await showCount(context.world.stderr, 'entries');
  let last: AddProgress | undefined;
  let movedMs = systemClock.monotonicMs();
  try {
    for (;;) {
      const progress = await step(admin, asked, last);
      if (progress.phase === 'done') return progress;
      const moved = last === undefined || progress.phase !== last.phase || progress.matchIndex > last.matchIndex;
      if (moved) movedMs = systemClock.monotonicMs();
      else if (patienceMs >= 0 && systemClock.monotonicMs() - movedMs > patienceMs)
        throw stuck(asked, progress, patienceMs);
      if (progress.phase === 'learning') bar.update(progress.matchIndex, progress.lastIndex);
      last = progress;
      await delay(nodeTimers, STEP_MS, context.signal);
      if (context.signal.aborted) throw new SluiceError('CANCELLED', `${asked.name} is not a voter yet; ${AGAIN}`);
    }
  } finally {
    bar.stop();
  }
}

const AGAIN = 'the same command goes on, sluice admin quorum remove takes it out';

/** One that was there may be away for a while. */
async function step(admin: AdminChannel, asked: AddMember, last: AddProgress | undefined): Promise<AddProgress> {
  try {
    return await admin.add(asked);
  } catch (thrown) {
    const error = SluiceError.from(thrown);
    if (last === undefined || (error.code !== 'UNAVAILABLE' && error.code !== 'TIMED_OUT')) throw error;
    return { ...last, reason: error.message };
  }
}

function stuck(
  { name }: AddMember,
  { phase, reason, matchIndex, lastIndex }: AddProgress,
  waitedMs: number,
): SluiceError {
  const where = phase === 'learning' ? `it holds ${matchIndex} of ${lastIndex} entries as a learner` : reason;
  const why = phase === 'learning' && reason !== '' ? `${where}; ${reason}` : where;
  const message = `${name} made no progress for ${formatDuration(waitedMs)} (${why}): look at its log; ${AGAIN}`;
  return new SluiceError('TIMED_OUT', message);
}

interface RemoveOptions {
  readonly force?: boolean;
}

const removeCommand: CommandSpec<RemoveOptions> = {
  name: 'remove',
  summary: 'go on without a master; the leader hands over first',
  arguments: [['<master>', 'its name']],
  options: [['--force', 'also when too few of the others are up to serve without it']],
  examples: ['sluice admin quorum remove m4'],
  async run(context, [name = ''], { force = false }) {
    const voters = await (await context.admin()).remove({ name, force });
    if (context.json) await context.out.json({ removed: name, voters });
    else await context.out.lines([`${name} is removed; ${voters.join(', ')} vote${voters.length === 1 ? 's' : ''}`]);
    return 0;
  },
};

const transferCommand: CommandSpec = {
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

interface ElectOptions {
  readonly none?: boolean;
}

const electCommand: CommandSpec<ElectOptions> = {
  name: 'elect',
  summary: 'let a master lead whenever it is up and holds the journal',
  arguments: [['[master]', 'its name']],
  options: [['--none', 'prefer nobody']],
  examples: ['sluice admin quorum elect master-1', 'sluice admin quorum elect --none'],
  async run(context, [name], { none = false }) {
    if ((name === undefined) !== none)
      throw new SluiceError('INVALID_ARGUMENT', 'Name the master that shall lead, or say --none');
    await (await context.admin()).prefer(name);
    if (context.json) await context.out.json({ preferred: name ?? null });
    else await context.out.lines([name === undefined ? 'nobody is preferred' : `${name} leads whenever it can`]);
    return 0;
  },
};

const compareCommand: CommandSpec = {
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

/** `sluice admin quorum`. */
export const quorumGroup: CommandGroup = {
  name: 'quorum',
  summary: 'look after the masters',
  commands: [infoCommand, addCommand, removeCommand, transferCommand, electCommand, compareCommand],
};

/** The masters, one in a row. */
export function masterRows({ self, leader, members }: QuorumInfo): Row[] {
  const leads = self === leader;
  const rows = members.map(({ id, address, role, vote, priority, matchIndex, lastContactMs, identity }): Row => {
    const heard = lastContactMs === 0 ? 'now' : `${formatDuration(lastContactMs)} ago`;
    const votes = priority > 0 ? `${vote}, preferred` : vote;
    // Of a master that a leader does not hear it knows neither what it does nor, at first, where its journal ends.
    const silent = leads && (lastContactMs === -1 || lastContactMs > SILENT_MS);
    const known = matchIndex > 0 || (matchIndex === 0 && !silent);
    const does = silent ? 'silent' : role === 'unknown' ? '-' : role;
    const never = leads ? 'never' : '-';
    return [id, address, does, votes, known ? matchIndex : '-', lastContactMs === -1 ? never : heard, identity];
  });
  return [['master', 'address', 'role', 'vote', 'index', 'heard of', 'identity'], ...rows];
}

/** Longer than the time between heartbeats, unless they are made very slow. */
const SILENT_MS = 3_000;

/** @throws SluiceError INVALID_ARGUMENT */
function parseMember(text: string): AddMember {
  const [, name, address] = /^([A-Za-z0-9._-]{1,64})=(\S+:\d{1,5})$/.exec(text) ?? [];
  if (name !== undefined && address !== undefined) return { name, address };
  throw new SluiceError('INVALID_ARGUMENT', `${JSON.stringify(text)} is no master: write it as NAME=HOST:PORT`);
}
