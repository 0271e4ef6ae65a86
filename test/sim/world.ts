import { type Random, randomInt, seededRandom } from '../../src/base/random.ts';
import type { Outcome } from '../../src/model/command.ts';
import type { Effect } from '../../src/raft/effect.ts';
import type { Entry } from '../../src/raft/entry.ts';
import { allMembers, isJoint, type Membership, membershipOf, NO_MEMBERS } from '../../src/raft/membership.ts';
import type { MessageKind } from '../../src/raft/message.ts';
import { DEFAULT_RAFT_LIMITS, type RaftLimits } from '../../src/raft/options.ts';
import type { LogIndex, NodeId, Term } from '../../src/raft/position.ts';
import { wrongFolders } from '../lin/namespace-model.ts';
import { Agenda } from './agenda.ts';
import { BrokenPromise, Checker, hasQuorum } from './checker.ts';
import { Coverage } from './coverage.ts';
import type { SimDisk } from './disk.ts';
import { drawFaults, exponential, type FaultKind, type Faults, healed, TICK, without } from './faults.ts';
import { Member } from './member.ts';
import { NamespaceClient, NamespaceHistory } from './namespace-client.ts';
import { SimNetwork } from './network.ts';
import { Trace } from './trace.ts';
import { Trouble } from './trouble.ts';

interface OpenRead {
  /** What was committed when it began. */
  readonly committed: LogIndex;
  readonly serve: ((member: Member | undefined) => void) | undefined;
}

type Answer = ((outcome: Outcome | undefined) => void) | undefined;

interface OpenProposal {
  readonly asked: NodeId;
  readonly bytes: Uint8Array;
  readonly answer: Answer;
}

interface Accepted {
  readonly term: Term;
  readonly answer: Answer;
}

const SMALL_LIMITS: Partial<RaftLimits> = {
  maxFrameBytes: 120,
  maxInFlightFrames: 3,
  maxInFlightBytes: 400,
  maxPendingProposals: 30,
  maxPendingReads: 20,
};

/**
 * A lease is less than twenty ticks of the fastest clock, of which the first may come at once and each in a late turn, on
 * the slowest clock; and longer than an election of those who feel free takes.
 */
const LEASES: Partial<RaftLimits> = { electionTicks: 20, stalledWriteTicks: 40, leaseMs: 160 };

/** Clients of the namespace whose history is judged. */
const CALLERS = 4;

/** How long everything that is late may take in the end, and how long nothing must change then. */
const CALM_TICKS = 120;

/** Mistakes of a driver, to prove that the checks see them. */
export interface DriverBugs {
  /** Messages of this kind do not wait for the write that they promise. */
  readonly sendsBeforeDurable?: MessageKind;
  /** A snapshot lacks the tables of the sessions. */
  readonly snapshotWithoutSessions?: boolean;
  /** A snapshot never takes the place of the log. */
  readonly keepsLog?: boolean;
}

export interface SimulationOptions {
  readonly seed: number;
  /** Length of the part with faults, in ticks. */
  readonly ticks: number;
  readonly bugs?: DriverBugs;
  /** Kinds of faults that shall not happen, though the seed has drawn them. */
  readonly without?: readonly FaultKind[];
}

export interface SimulationReport {
  readonly hash: number;
  readonly events: number;
  readonly commit: LogIndex;
  readonly elections: number;
  readonly reads: number;
  readonly accepted: number;
  /** Calls of clients of the namespace with an answer. */
  readonly calls: number;
  /** An operator's change and the loss of a disk met, so that nothing was left to work at the end. */
  readonly majorityLost: boolean;
  readonly coverage: Coverage;
}

/** A promise was broken in a simulation that can be run again. */
export class SimulationFailure extends Error {
  readonly options: SimulationOptions;
  /** What was broken, in one line. */
  readonly promise: string;
  readonly faults: Faults;
  /** The last events, oldest first. */
  readonly tail: readonly string[];

  constructor(options: SimulationOptions, cause: Error, faults: Faults, tail: readonly string[]) {
    const head = `Seed ${options.seed}, ${options.ticks} ticks: ${cause.message}`;
    super(`${head}\n${JSON.stringify(faults)}\n${tail.join('\n')}\n${head}`, { cause });
    this.options = options;
    this.promise = cause.message.split('\n')[0] ?? '';
    this.faults = faults;
    this.tail = tail;
  }
}

/** A cluster of real cores on a simulated network, disks and clocks, all of it decided by one seed. */
export class World {
  readonly agenda = new Agenda();
  readonly trace = new Trace();
  readonly coverage = new Coverage();
  readonly trouble = new Trouble(this);
  readonly random: Random;
  /** Draws what happens to bytes on disks. */
  readonly diskRandom: Random;
  readonly #works: (() => Promise<void>)[] = [];
  /** Everybody who ever was there. */
  readonly ids: NodeId[] = [];
  readonly limits: Partial<RaftLimits>;
  readonly members = new Map<NodeId, Member>();
  readonly network: SimNetwork;
  readonly checker: Checker;
  readonly #disks = new Map<NodeId, SimDisk>();
  /** What says something to the state machine. */
  readonly #commands = new WeakSet<Uint8Array>();
  readonly #history = new NamespaceHistory();
  readonly #callers: readonly NamespaceClient[];
  readonly bugs: DriverBugs;
  readonly #options: SimulationOptions;
  faults: Faults;
  /** Until then nobody proposes anything, so that nobody is behind. */
  quietUntil = 0;
  #nextRequest = 1;
  #reads = 0;
  #acceptedCount = 0;
  /** By member and token: what was committed when the read began. */
  readonly #openReads = new Map<string, OpenRead>();
  /** Proposals without an answer, and the member that was asked. */
  readonly #openProposals = new Map<string, OpenProposal>();
  /** By member and index: accepted proposals that were not seen applied yet. */
  readonly #accepted = new Map<NodeId, Map<LogIndex, Accepted>>();
  #stopClients = false;
  #majorityLost = false;

  constructor(options: SimulationOptions) {
    this.#options = options;
    this.random = seededRandom(options.seed);
    this.bugs = options.bugs ?? {};
    this.diskRandom = seededRandom(options.seed + 1064 * 2 ** 20);
    this.faults = without(drawFaults(this.random, this.diskRandom), options.without ?? []);
    const small = this.random.next() < 0.5;
    this.limits = { ...(small ? SMALL_LIMITS : {}), ...(this.faults.leases ? LEASES : {}) };
    const founders = membershipOf(Array.from({ length: this.faults.nodes }, (_, i) => `n${i + 1}`));
    this.checker = new Checker(this.#disks, founders, { ...DEFAULT_RAFT_LIMITS, ...this.limits });
    this.checker.leaseHolders = () => this.#leaseHolders();
    for (const _ of founders.voters) this.join(founders);
    this.#callers = Array.from({ length: CALLERS }, (_, i) => new NamespaceClient(this, this.#history, i));
    this.network = new SimNetwork(this.agenda, this.random, this.faults, this.coverage, ({ from, to, message }) => {
      const member = this.members.get(to)!;
      member.give({ kind: 'receive', from, message });
      return member.alive;
    });
  }

  /** @throws SimulationFailure with the seed and the last events when a promise was broken. */
  async run(): Promise<SimulationReport> {
    try {
      await this.#faultyPart();
      await this.#healedPart();
      this.#judge();
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      throw new SimulationFailure(this.#options, error, this.faults, this.trace.tail());
    }
    const { hash, count } = this.trace;
    const { commit, elections } = this.checker;
    const { coverage } = this;
    return {
      hash,
      events: count,
      commit,
      elections,
      reads: this.#reads,
      accepted: this.#acceptedCount,
      calls: this.#history.operations.filter(({ outcome }) => outcome !== undefined).length,
      majorityLost: this.#majorityLost,
      coverage,
    };
  }

  /** Another member comes into being, with an empty disk; it does not run yet. */
  join(founders: Membership = NO_MEMBERS): Member {
    const id = `n${this.ids.length + 1}`;
    const { random, faults } = this;
    const drift = this.limits.leaseMs
      ? { period: TICK + randomInt(random, -1, 1), rate: 0.95 + random.next() / 10 }
      : undefined;
    const clock = drift ?? { period: Math.round(TICK * faults.skew ** (2 * random.next() - 1)), rate: 1 };
    if (clock.period !== TICK) this.coverage.fault('skew');
    const member = new Member(id, this, clock, founders);
    this.ids.push(id);
    this.members.set(id, member);
    this.#disks.set(id, member.disk);
    this.#accepted.set(id, new Map());
    return member;
  }

  #leaseHolders(): { readonly id: NodeId; readonly term: Term }[] {
    const holders = [...this.members.values()].filter(({ holdsLease }) => holdsLease);
    return holders.map((member) => ({ id: member.id, term: member.status()?.term ?? 0 }));
  }

  /** Whether an entry says something to the state machine. */
  isCommand(bytes: Uint8Array): boolean {
    return this.#commands.has(bytes);
  }

  /** Proposes a command; `answer` gets nothing when it is refused, and may never come. */
  proposeCommand(member: Member, bytes: Uint8Array, answer: (outcome: Outcome | undefined) => void): void {
    if (!member.alive) return;
    if (this.agenda.now < this.quietUntil) {
      answer(undefined);
      return;
    }
    const id = this.#nextRequest++;
    this.#commands.add(bytes);
    this.#openProposals.set(`proposal ${id}`, { asked: member.id, bytes, answer });
    member.give({ kind: 'propose', proposals: [{ id, bytes }] });
  }

  /** Asks to read; `serve` is given the member as soon as its state may be read, or undefined. */
  readFrom(member: Member, serve: (member: Member | undefined) => void): void {
    if (!member.alive) return;
    const token = this.#nextRequest++;
    this.#openReads.set(`read ${member.id} ${token}`, { committed: this.checker.commit, serve });
    member.give({ kind: 'read', token });
  }

  settled(node: NodeId, effect: Extract<Effect, { kind: 'settle' }>): void {
    const what = `proposal ${effect.proposal}`;
    this.checker.answered(what);
    const open = this.#openProposals.get(what);
    this.#openProposals.delete(what);
    if (effect.fate !== 'accepted') {
      if (open !== undefined) this.checker.dropped(open.bytes);
      open?.answer?.(undefined);
      return;
    }
    this.#acceptedCount += 1;
    this.#accepted.get(node)?.set(effect.at.index, { term: effect.at.term, answer: open?.answer });
  }

  /** A snapshot has taken the place of entries: whether they are in it is not known to who proposed them here. */
  passed(node: NodeId, to: LogIndex): void {
    const accepted = this.#accepted.get(node);
    for (const index of accepted?.keys() ?? []) if (index <= to) accepted?.delete(index);
  }

  /** Entries were removed from a log: whether they commit elsewhere is not known to who proposed them here. */
  removed(node: NodeId, from: LogIndex): void {
    const accepted = this.#accepted.get(node)!;
    for (const index of accepted.keys()) if (index >= from) accepted.delete(index);
  }

  appliedAt(node: NodeId, entry: Entry, outcome: Outcome | undefined): void {
    const accepted = this.#accepted.get(node);
    const waiting = accepted?.get(entry.index);
    accepted?.delete(entry.index);
    if (waiting?.term === entry.term) waiting.answer?.(outcome);
  }

  readServed(node: NodeId, token: number, index: LogIndex): void {
    const key = `read ${node} ${token}`;
    this.checker.answered(key);
    const open = this.#openReads.get(key);
    this.checker.readServed(node, index, open?.committed ?? 0);
    this.#openReads.delete(key);
    this.#reads += 1;
    open?.serve?.(this.members.get(node));
  }

  readFailed(node: NodeId, token: number): void {
    const key = `read ${node} ${token}`;
    this.checker.answered(key);
    const open = this.#openReads.get(key);
    this.#openReads.delete(key);
    open?.serve?.(undefined);
  }

  /** A process died, and with it all who waited for its answers; its connections break. */
  forget(node: NodeId): void {
    this.#accepted.get(node)?.clear();
    for (const key of this.#openReads.keys()) if (key.startsWith(`read ${node} `)) this.#openReads.delete(key);
    for (const [what, { asked }] of this.#openProposals) if (asked === node) this.#openProposals.delete(what);
    this.trouble.tellOthers(node, 'peerUnreachable');
  }

  async #faultyPart(): Promise<void> {
    for (const member of this.members.values()) member.start();
    this.#clients();
    for (const caller of this.#callers) caller.start();
    this.trouble.begin();
    const end = this.#options.ticks * TICK;
    // What is under way then is for the survivors to finish.
    if (this.faults.churn > 0) this.agenda.after(end - randomInt(this.random, 0, 5 * TICK), () => this.trouble.churn());
    while (this.agenda.next(end)) if (this.#works.length > 0) await this.#finishWorks();
  }

  /** What files do takes promises, but no time: it is done before anything else happens. */
  meanwhile(work: () => Promise<void>): void {
    this.#works.push(work);
  }

  async #finishWorks(): Promise<void> {
    for (const work of this.#works.splice(0)) await work();
  }

  /** Everything, or half of the time only a majority, works again: then the cluster must work. */
  async #healedPart(): Promise<void> {
    this.#stopClients = true;
    for (const caller of this.#callers) caller.stop();
    this.trouble.end();
    this.faults = healed(this.faults);
    this.network.faults = this.faults;
    this.network.heal();
    const everybody = this.random.next() < 0.5;
    const core = this.#survivors(everybody);
    for (const [id, member] of this.members) {
      // Else it might, as it awakes, need somebody for a majority whom this part leaves dead.
      member.forgetChanges();
      member.pause(0);
      member.stopClock(0);
      if (!core.includes(id)) member.crash();
      else if (!member.alive) member.start();
    }
    this.trace.add(`healed: ${core.join(' ')}`);
    const working = core.map((id) => this.members.get(id)!);
    if (!this.#relevant().every((membership) => hasQuorum(membership, (voter) => core.includes(voter)))) {
      // An operator's change and the loss of a disk met: nothing can work any more, and nothing was promised.
      this.trace.add('a majority is lost for ever');
      this.#majorityLost = true;
      return;
    }
    this.#until(working, 'a leader that all follow', () => this.#leaderOf(working) !== undefined);
    let asked = 0;
    this.#until(working, 'a new entry that all have applied', () => {
      const leader = this.#leaderOf(working);
      if (leader === undefined) return false;
      if (this.agenda.now >= asked) {
        asked = this.agenda.now + 20 * TICK;
        this.#propose(leader, 1);
        for (const member of working) this.#read(member);
      }
      const last = leader.last.index;
      const following = followersOf(leader, working);
      return (
        this.#openProposals.size === 0 &&
        following.every((member) => member.last.index === last && member.applied === last)
      );
    });
    this.#until(working, 'an answer to everything', () => {
      const following = followersOf(this.#leaderOf(working), working);
      const waiting = following.reduce((sum, { id }) => sum + (this.#accepted.get(id)?.size ?? 0), 0);
      const ids = following.map(({ id }) => id);
      // Who was removed may never hear of what a read that it asked for must wait for.
      const reads = [...this.#openReads.keys()].filter((key) => ids.includes(key.split(' ')[1]!));
      // A client may have tried once more, and what it proposed be known to some.
      const ends = new Set(following.map(({ last }) => last.index));
      return ends.size === 1 && reads.length === 0 && this.#openProposals.size === 0 && waiting === 0;
    });
    const following = followersOf(this.#leaderOf(working), working);
    const from = Math.max(...following.map(({ disk }) => disk.base.index + 1));
    const lines = following.map(({ entries }) =>
      entries
        .filter(({ index }) => index >= from)
        .map(({ term }) => term)
        .join(),
    );
    if (new Set(lines).size !== 1) throw new BrokenPromise('I30: the logs differ at the end');
    for (const { id, state } of following) this.checker.finished(id, state);
    this.#mustStayCalm(working);
  }

  /** Nobody, removed members included, takes leadership from who has it. Where clocks differ a timeout may be too short. */
  #mustStayCalm(working: readonly Member[]): void {
    if (this.faults.skew !== 1) return;
    const pass = (ticks: number): void => {
      const end = this.agenda.now + ticks * TICK;
      while (this.agenda.next(end));
    };
    // What is still on its way may ask for an election.
    pass(CALM_TICKS);
    const before = this.#leaderOf(working);
    const term = before?.status()?.term;
    pass(CALM_TICKS);
    const after = this.#leaderOf(working);
    if (before !== undefined && after === before && after.status()?.term === term) return;
    const states = working.map((member) => JSON.stringify(member.status()));
    throw new BrokenPromise(
      `I30: without faults, ${before?.id} does not go on leading in ${term}:\n${states.join('\n')}`,
    );
  }

  /** What the clients of the namespace saw must have one order. */
  #judge(): void {
    for (const caller of this.#callers) caller.end();
    const wrong = wrongFolders(this.#history.operations);
    if (wrong.length === 0) return;
    const [folder = ''] = wrong;
    const seen = this.#history.operations.filter(({ input }) => input.path.startsWith(`${folder}/`));
    const lines = seen.map((operation) => JSON.stringify(operation)).join('\n');
    throw new BrokenPromise(`I29: no order explains what clients saw in ${folder}\n${lines}`);
  }

  #until(working: readonly Member[], what: string, reached: () => boolean): void {
    // Who is far behind, and is sent a few entries in each frame, needs a while.
    const ends = working.map(({ last }) => last.index);
    const end = this.agenda.now + (400 + Math.max(...ends) - Math.min(...ends)) * TICK;
    while (!reached()) {
      if (this.agenda.next(end)) continue;
      const states = working.map((member) => JSON.stringify(member.status()));
      throw new BrokenPromise(`I30: without faults, there is not ${what}:\n${states.join('\n')}`);
    }
  }

  /** Who leads all members that work, with no change under way. */
  #leaderOf(working: readonly Member[]): Member | undefined {
    return working.find((member) => {
      const status = member.status();
      if (status?.role !== 'leader' || status.transferringTo !== undefined) return false;
      if (!status.membershipCommitted || isJoint(status.membership)) return false;
      return followersOf(member, working).every((follower) => follower.status()?.leader === member.id);
    });
  }

  /** Who shall work from now on: whoever still can, or, unless `everybody`, no more than some majority needs. */
  #survivors(everybody: boolean): NodeId[] {
    let rest = this.ids.filter((id) => this.members.get(id)?.gone === false);
    if (everybody) return rest;
    const relevant = this.#relevant();
    const dead = randomInt(this.random, 1, rest.length);
    for (let i = 0; i < dead; i += 1) {
      const victim = rest[randomInt(this.random, 0, rest.length - 1)];
      const without = rest.filter((id) => id !== victim);
      if (relevant.every((membership) => hasQuorum(membership, (voter) => without.includes(voter)))) rest = without;
    }
    return rest;
  }

  /** The committed configuration, and those which may yet be. */
  #relevant(): Membership[] {
    const { membership, membershipIndex } = this.checker;
    const later = [...this.members.values()].filter((member) => member.membershipAt > membershipIndex);
    return [membership, ...later.map((member) => member.membership)];
  }

  #clients(): void {
    if (this.#stopClients) return;
    const members = [...this.members.values()];
    const leaders = members.filter((member) => member.role === 'leader');
    const leader = leaders[randomInt(this.random, 0, leaders.length)] ?? leaders[0];
    const anyone = members[randomInt(this.random, 0, members.length - 1)]!;
    const chosen = this.random.next() < 0.7 ? (leader ?? anyone) : anyone;
    if (this.agenda.now < this.quietUntil) {
      for (const member of members) this.#read(member);
    } else if (this.random.next() < this.faults.overload) {
      this.coverage.fault('overload');
      this.#propose(chosen, randomInt(this.random, 10, 60));
    } else if (this.random.next() < 0.6) this.#propose(chosen, randomInt(this.random, 1, 4));
    else if (this.random.next() < 0.5) this.#read(chosen);
    // Wherever somebody wrongly believes to lead, or to hear the leader, a read would show it.
    else for (const member of members) this.#read(member);
    this.agenda.after(1 + exponential(this.random, this.faults.think), () => this.#clients());
  }

  #propose(member: Member, count: number): void {
    if (!member.alive) return;
    const proposals = Array.from({ length: count }, () => {
      const id = this.#nextRequest++;
      const bytes = new Uint8Array(randomInt(this.random, 0, 60));
      this.#openProposals.set(`proposal ${id}`, { asked: member.id, bytes, answer: undefined });
      return { id, bytes };
    });
    member.give({ kind: 'propose', proposals });
  }

  #read(member: Member): void {
    if (!member.alive) return;
    const token = this.#nextRequest++;
    this.#openReads.set(`read ${member.id} ${token}`, { committed: this.checker.commit, serve: undefined });
    member.give({ kind: 'read', token });
  }
}

/** Those who work and are members as `leader` sees it. */
function followersOf(leader: Member | undefined, working: readonly Member[]): readonly Member[] {
  const members = leader === undefined ? [] : allMembers(leader.membership);
  return working.filter(({ id }) => members.includes(id));
}

export function simulate(options: SimulationOptions): Promise<SimulationReport> {
  return new World(options).run();
}
