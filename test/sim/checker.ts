import type { Ballot } from '../../src/raft/effect.ts';
import type { Entry } from '../../src/raft/entry.ts';
import type { Event } from '../../src/raft/event.ts';
import { allMembers, isJoint, type Membership } from '../../src/raft/membership.ts';
import { decodeMembership } from '../../src/raft/membership-codec.ts';
import type { Message } from '../../src/raft/message.ts';
import type { RaftLimits } from '../../src/raft/options.ts';
import { type LogIndex, type NodeId, ORIGIN, type Position, type Term } from '../../src/raft/position.ts';
import type { RaftStatus } from '../../src/raft/raft.ts';
import type { SnapshotMeta } from '../../src/raft/snapshot-meta.ts';
import type { SimDisk } from './disk.ts';
import type { NamespaceState } from './namespace-state.ts';
import type { SimLog } from './sim-log.ts';

/** A promise of Raft was broken in the simulation. */
export class BrokenPromise extends Error {}

interface Committed {
  readonly entry: Entry;
  /** The term in which it was first seen as committed. */
  readonly term: Term;
}

/** What the checker remembers of a node's present life. */
interface Life {
  term: Term;
  commit: LogIndex;
  leading: Term;
  /** The node's own ticks. */
  now: number;
  /** The tick in which it became leader. */
  leadingSince: number;
  /** By peer: the tick in which anything came from it. */
  readonly heard: Map<NodeId, number>;
  /** Where its log ends; before the first entry while that may be changing. */
  last: Position;
  /** By candidate and term: the oldest end of its log when it was asked for its vote. */
  readonly asked: Map<string, Position>;
  /** As leader, by peer. */
  readonly matches: Map<NodeId, LogIndex>;
  /** As leader, by peer: the tick in which it began to send to it. */
  readonly peersSince: Map<NodeId, number>;
  /** In force after its last step. */
  membership: Membership;
  /** Where configurations stand in its log. */
  configs: LogIndex[];
  /** Where the one in force stands when there is none in its log. */
  configBase: LogIndex;
  /** Configurations that it appended as leader and that were not judged yet. */
  proposed: Term[];
}

interface CommittedConfig {
  readonly index: LogIndex;
  readonly membership: Membership;
}

/** Whether a log that ends at `a` holds what one that ends at `b` may lack. */
function isNewer(a: Position, b: Position): boolean {
  return a.term > b.term || (a.term === b.term && a.index > b.index);
}

/** Numbered as in the list of invariants in this folder's README. */
function expectThat(condition: boolean, promise: () => string): asserts condition {
  if (!condition) throw new BrokenPromise(promise());
}

/**
 * Sees the whole cluster after each step, and compares it with what Raft promises. Written without the core's own code.
 */
export class Checker {
  readonly #disks: ReadonlyMap<NodeId, SimDisk>;
  readonly #leaders = new Map<Term, NodeId>();
  readonly #lives = new Map<NodeId, Life>();
  /** By index and term: the entry, and the term before it. */
  readonly #known = new Map<string, { entry: Entry; before: Term }>();
  readonly #committed: Committed[] = [];
  readonly #committedTerms = new Set<Term>();
  readonly #configs: CommittedConfig[] = [];
  readonly #founders: Membership;
  readonly #limits: RaftLimits;
  /** By index: what the state is there. */
  readonly #digests = new Map<LogIndex, number>();
  /** By candidate and term: where its log ended when it asked for votes. */
  readonly #campaigns = new Map<string, Position>();
  readonly #settled = new Set<string>();
  /** By voter and term: to whom a vote was sent, in whatever life. */
  readonly #votes = new Map<string, NodeId>();
  readonly #dropped = new WeakSet<Uint8Array>();
  readonly #committedCommands = new WeakSet<Uint8Array>();
  elections = 0;
  /** Who would read now without asking anybody. */
  leaseHolders: () => readonly { readonly id: NodeId; readonly term: Term }[] = () => [];

  constructor(disks: ReadonlyMap<NodeId, SimDisk>, founders: Membership, limits: RaftLimits) {
    this.#disks = disks;
    this.#founders = founders;
    this.#limits = limits;
  }

  /** The highest index that any node has known to be committed. */
  get commit(): LogIndex {
    return this.#committed.length;
  }

  committedAt(index: LogIndex): Entry | undefined {
    return this.#committed[index - 1]?.entry;
  }

  /** What the committed log says about the members up to `index`; undefined when nothing. */
  membershipAt(index: LogIndex): Membership | undefined {
    return this.#configs.findLast((config) => config.index <= index)?.membership;
  }

  /** The configuration that a member would have which started from this disk. */
  membershipIn(disk: SimDisk, founders: Membership): Membership {
    const last = disk.entries.findLast(({ kind }) => kind === 'config');
    const said = last === undefined ? undefined : decodeMembership(last.bytes);
    return said ?? this.membershipAt(disk.base.index) ?? founders;
  }

  /** The last committed configuration. */
  get membership(): Membership {
    return this.#configs.at(-1)?.membership ?? this.#founders;
  }

  /** Where that stands. */
  get membershipIndex(): LogIndex {
    return this.#configs.at(-1)?.index ?? 0;
  }

  /** Whether the node was a member once, and is none any more as of `index`. */
  isRemoved(node: NodeId, index: LogIndex): boolean {
    const now = this.membershipAt(index);
    if (now === undefined || allMembers(now).includes(node)) return false;
    const former = [{ index: 0, membership: this.#founders }, ...this.#configs];
    return former.some((config) => config.index < index && allMembers(config.membership).includes(node));
  }

  born(node: NodeId, status: RaftStatus, configs: readonly Entry[]): void {
    const { ballot, commit } = this.#disks.get(node)!;
    expectThat(status.term >= ballot.term, () => `I6: ${node}: term fell over a restart`);
    expectThat(status.commit >= commit, () => `I8: ${node}: commit fell over a restart below ${commit}`);
    this.#lives.set(node, {
      term: status.term,
      commit: status.commit,
      leading: 0,
      now: 0,
      leadingSince: 0,
      heard: new Map(),
      last: status.last,
      asked: new Map(),
      matches: new Map(),
      peersSince: new Map(),
      membership: status.membership,
      configs: configs.map(({ index }) => index).filter((index) => index > status.applied),
      configBase: 0,
      proposed: [],
    });
  }

  /** An event is given to the node. */
  heard(node: NodeId, event: Event): void {
    const life = this.#lives.get(node)!;
    if (event.kind === 'tick') life.now += 1;
    if (event.kind !== 'receive') return;
    const { from, message } = event;
    life.heard.set(from, life.now);
    if (message.kind === 'append') life.last = ORIGIN;
    if (message.kind !== 'vote') return;
    const candidate = `${from} ${message.term}`;
    const before = life.asked.get(candidate);
    if (before === undefined || isNewer(before, life.last)) life.asked.set(candidate, life.last);
  }

  truncated(node: NodeId, from: LogIndex, status: RaftStatus): void {
    const life = this.#lives.get(node)!;
    const leads = life.leading !== 0 && life.leading === status.term;
    expectThat(!leads, () => `I2: ${node} leads in ${status.term} and removes its entries from ${from} on`);
    expectThat(
      from > life.commit,
      () => `I13: ${node} removes ${from}, which it knew to be committed (${life.commit})`,
    );
    life.configs = life.configs.filter((index) => index < from);
  }

  /** One entry for each index and term, and always behind an entry of the same term; no gaps, no falling terms. */
  staged(node: NodeId, entries: readonly Entry[], before: Position, installing: boolean, status: RaftStatus): void {
    const life = this.#lives.get(node)!;
    expectThat(!installing, () => `I27: ${node} changes its log while a snapshot takes its place`);
    let previous = before;
    for (const entry of entries) {
      const follows = entry.index === previous.index + 1 && entry.term >= previous.term;
      expectThat(
        follows,
        () => `I10: ${node} puts ${entry.term}/${entry.index} behind ${previous.term}/${previous.index}`,
      );
      const key = `${entry.index} ${entry.term}`;
      const known = this.#known.get(key);
      if (known === undefined) this.#known.set(key, { entry, before: previous.term });
      else {
        const same =
          known.before === previous.term && known.entry.bytes === entry.bytes && known.entry.kind === entry.kind;
        expectThat(same, () => `I3: log matching: ${node} holds another entry at ${entry.index} in term ${entry.term}`);
      }
      previous = entry;
      if (entry.kind !== 'config') continue;
      life.configs.push(entry.index);
      if (status.role === 'leader' && entry.term === status.term) life.proposed.push(entry.term);
    }
  }

  /** A write reached the disk. */
  stored(node: NodeId, before: Ballot, after: Ballot): void {
    expectThat(after.term >= before.term, () => `I6: ${node}: durable term fell from ${before.term} to ${after.term}`);
    const kept = after.term > before.term || before.votedFor === undefined || after.votedFor === before.votedFor;
    expectThat(kept, () => `I7: ${node}: vote of ${after.term} changed from ${before.votedFor} to ${after.votedFor}`);
  }

  /** After a step, nothing is on its way to the disk. */
  idle(node: NodeId, status: RaftStatus): void {
    const { ballot, last: stored } = this.#disks.get(node)!;
    const { term, last } = status;
    expectThat(ballot.term === term, () => `I28: ${node} is in term ${term}, its disk in ${ballot.term}`);
    const same = stored.index === last.index && stored.term === last.term;
    expectThat(same, () => `I28: ${node}: the log ends at ${last.term}/${last.index}, its disk's at ${stored.index}`);
  }

  /** A message was decided on, though it may have to wait for a write. */
  decided(node: NodeId, to: NodeId, message: Message): void {
    if (message.kind === 'vote') this.#campaigns.set(`${node} ${message.term}`, message.last);
    if (message.kind !== 'voteReply' || !message.granted) return;
    const candidate = `${to} ${message.term}`;
    const asked = this.#campaigns.get(candidate);
    const voter = this.#lives.get(node)!.asked.get(candidate);
    const newer = asked !== undefined && voter !== undefined && !isNewer(voter, asked);
    expectThat(newer, () => `I14: ${node} votes in ${message.term} for ${to}, whose log is older`);
  }

  sent(node: NodeId, to: NodeId, message: Message, status: RaftStatus): void {
    if (message.kind !== 'preVote' && message.kind !== 'preVoteReply') {
      expectThat(message.term <= status.term, () => `I15: ${node} sent term ${message.term} while in ${status.term}`);
    }
    const disk = this.#disks.get(node)!;
    if (message.kind === 'voteReply' && message.granted) {
      const { term, votedFor } = disk.ballot;
      const durable = term > message.term || (term === message.term && votedFor === to);
      expectThat(durable, () => `I17: ${node} gave its vote in ${message.term} to ${to} before it was durable`);
      const vote = `${node} ${message.term}`;
      const first = this.#votes.get(vote) ?? to;
      expectThat(first === to, () => `I7: ${node} voted in ${message.term} for ${first} and for ${to}`);
      this.#votes.set(vote, to);
    }
    if (message.kind === 'appendReply') {
      const durable =
        disk.ballot.term >= message.term && (disk.ballot.term > message.term || disk.last.index >= message.match);
      expectThat(durable, () => `I17: ${node} acknowledged ${message.match} before it was durable`);
    }
  }

  stepped(node: NodeId, status: RaftStatus, log: SimLog): void {
    const life = this.#lives.get(node)!;
    expectThat(status.term >= life.term, () => `I6: ${node}: term fell from ${life.term} to ${status.term}`);
    expectThat(status.commit >= life.commit, () => `I8: ${node}: commit fell from ${life.commit} to ${status.commit}`);
    expectThat(
      status.last.index === log.last.index && status.base.index === log.base.index,
      () => `I10: ${node}: the core's log ends at ${status.last.index}, not at ${log.last.index}`,
    );
    expectThat(status.commit <= log.last.index, () => `I9: ${node}: commit ${status.commit} is beyond the log`);
    for (let index = life.commit + 1; index <= status.commit; index += 1)
      this.#commits(node, life, log.at(index)!, status);
    if (life.leading === status.term && status.commit > life.commit) {
      const term = log.termAt(status.commit);
      expectThat(
        term === status.term,
        () => `I12: ${node} leads in ${status.term} and commits entry of term ${term} by counting`,
      );
    }
    expectThat(status.term >= status.last.term, () => `I10: ${node}: term ${status.term} is behind the log's`);
    this.#checkMembership(node, life, status);
    if (status.role === 'leader') this.#checkLeader(node, life, status, log);
    life.leading = status.role === 'leader' ? status.term : 0;
    life.membership = status.membership;
    life.term = status.term;
    life.last = status.last;
    life.commit = status.commit;
  }

  applying(node: NodeId, from: LogIndex, to: LogIndex, status: RaftStatus): void {
    const disk = this.#disks.get(node)!;
    expectThat(from === status.applied + 1 || from > status.applied, () => `I9: ${node}: applies ${from} again`);
    const { term } = disk.ballot;
    expectThat(
      term === status.term,
      () => `I9: ${node}: applies ${to}, known in ${status.term}, while its disk is in ${term}`,
    );
    expectThat(to <= status.commit, () => `I9: ${node}: applies ${to} beyond commit ${status.commit}`);
    for (let index = from; index <= to; index += 1) {
      const committed = this.#committed[index - 1]?.entry;
      const held = disk.at(index);
      expectThat(held !== undefined, () => `I9: ${node}: applies ${index}, which is not durable there`);
      expectThat(
        held.term === committed?.term && held.bytes === committed.bytes,
        () => `I5: state machine safety: ${node} at ${index}`,
      );
    }
  }

  /** A node's state is this at `index`, by applying or by a snapshot. */
  reached(node: NodeId, index: LogIndex, digest: number): void {
    const should = this.#digests.get(index) ?? digest;
    expectThat(digest === should, () => `I26: the state of ${node} at ${index} is not that of the others`);
    this.#digests.set(index, digest);
  }

  /** A node's state at the end of everything. */
  finished(node: NodeId, state: NamespaceState): void {
    const digest = state.digestOfRows();
    expectThat(digest === state.digest, () => `I26: rows of ${node} have changed that nobody put`);
    this.reached(node, state.index, digest);
  }

  /** A snapshot is about to take the place of a node's state, and of its log unless that continues it. */
  installing(node: NodeId, { position, membership }: SnapshotMeta, log: SimLog, keepLog: boolean): void {
    const life = this.#lives.get(node)!;
    const { index, term } = position;
    expectThat(
      this.committedAt(index)?.term === term,
      () => `I27: ${node} installs ${term}/${index}, which is not committed`,
    );
    expectThat(
      index > life.commit,
      () => `I27: ${node} installs ${index}, though it knows ${life.commit} to be committed`,
    );
    expectThat(
      keepLog === (log.termAt(index) === term),
      () => `I27: ${node} installs ${index}, keeps its log: ${keepLog}`,
    );
    const should = this.membershipAt(index);
    const same = should === undefined || JSON.stringify(should) === JSON.stringify(membership);
    expectThat(same, () => `I19: ${node} installs ${index} with members that are not those of ${index}`);
  }

  installed(node: NodeId, { position }: SnapshotMeta, keepLog: boolean): void {
    const life = this.#lives.get(node)!;
    life.commit = position.index;
    if (keepLog) return;
    life.configs = [];
    life.configBase = position.index;
  }

  readServed(node: NodeId, index: LogIndex, committedBefore: LogIndex): void {
    const stale = index < committedBefore;
    expectThat(
      !stale,
      () => `I22: stale read at ${node}: index ${index}, but ${committedBefore} was committed when it began`,
    );
  }

  /** Everything that is asked is answered once. */
  answered(what: string): void {
    expectThat(!this.#settled.has(what), () => `I24: answered twice: ${what}`);
    this.#settled.add(what);
  }

  /** A proposal was refused: it must never be found committed. */
  dropped(bytes: Uint8Array): void {
    this.#dropped.add(bytes);
  }

  /** What is in force is the last configuration in the log; changes begin only behind a commit in the own term. */
  #checkMembership(node: NodeId, life: Life, { membershipAt }: RaftStatus): void {
    const should = life.configs.at(-1) ?? life.configBase;
    expectThat(membershipAt === should, () => `I19: ${node} obeys the members of ${membershipAt}, not of ${should}`);
    for (const term of life.proposed) {
      expectThat(
        this.#committedTerms.has(term),
        () => `I21: ${node} changes the members before it committed in ${term}`,
      );
    }
    life.proposed = [];
  }

  #checkLeader(node: NodeId, life: Life, status: RaftStatus, log: SimLog): void {
    if (life.leading !== status.term) {
      this.#leads(node, status, log);
      life.leadingSince = life.now;
      life.matches.clear();
      life.peersSince.clear();
    }
    for (const peer of status.peers.keys()) {
      if (!life.peersSince.has(peer)) life.peersSince.set(peer, life.now);
    }
    for (const peer of life.peersSince.keys()) {
      if (status.peers.has(peer)) continue;
      life.peersSince.delete(peer);
      life.matches.delete(peer);
    }
    const { electionTicks } = this.#limits;
    const hears = (voter: NodeId): boolean => {
      if (voter === node) return true;
      const since = life.peersSince.get(voter);
      return since !== undefined && life.now - Math.max(life.heard.get(voter) ?? 0, since) <= electionTicks + 1;
    };
    expectThat(
      hasQuorum(status.membership, hears),
      () =>
        `I31: ${node} leads in ${status.term} and hears ${[node, ...status.peers.keys()].filter(hears).length} members`,
    );
    for (const [peer, { match, next }] of status.peers) {
      const before = life.matches.get(peer) ?? 0;
      expectThat(match >= before, () => `I16: ${node}: match of ${peer} fell from ${before} to ${match}`);
      expectThat(
        match < next && next <= log.last.index + 1,
        () => `I16: ${node}: next of ${peer} is ${next}, match ${match}`,
      );
      const disk = this.#disks.get(peer)!;
      const term = log.termAt(match);
      const held = term === undefined || disk.ballot.term > status.term || disk.holds(match, term);
      expectThat(held, () => `I16: ${node} counts ${peer} up to ${match}, which is not on its disk`);
      life.matches.set(peer, match);
    }
  }

  #commits(node: NodeId, life: Life, entry: Entry, status: RaftStatus): void {
    const known = this.#committed[entry.index - 1]?.entry;
    if (known !== undefined) {
      const same = known.term === entry.term && known.bytes === entry.bytes;
      expectThat(
        same,
        () => `I5: state machine safety: ${node} commits another entry at ${entry.index} than was committed`,
      );
      return;
    }
    expectThat(
      this.#committed.length === entry.index - 1,
      () => `I10: ${node}: commits ${entry.index} with a hole before it`,
    );
    const holds = (voter: NodeId): boolean => this.#disks.get(voter)!.holds(entry.index, entry.term);
    const { voters, outgoing } = status.membership;
    const copies = [...voters, ...outgoing].filter(holds).length;
    // The configuration may have changed in the same step, after the commit.
    const enough = [life.membership, status.membership].some((membership) => hasQuorum(membership, holds));
    expectThat(enough, () => `I12: ${node} commits ${entry.index} while only ${copies} voters hold it durably`);
    if (entry.kind === 'command') {
      expectThat(!this.#dropped.has(entry.bytes), () => `I24: ${node} commits ${entry.index}, which was refused`);
      expectThat(!this.#committedCommands.has(entry.bytes), () => `I25: ${node} commits ${entry.index} a second time`);
      this.#committedCommands.add(entry.bytes);
    }
    this.#committed.push({ entry, term: status.term });
    this.#committedTerms.add(entry.term);
    if (entry.kind === 'config') this.#commitsConfig(node, entry);
  }

  /** Any two configurations that follow each other have quorums that meet (Raft §6). */
  #commitsConfig(node: NodeId, { index, bytes }: Entry): void {
    const next = decodeMembership(bytes);
    const now = this.membership;
    const list = (members: readonly NodeId[]): string => [...members].sort().join();
    let sound = false;
    if (next === undefined) sound = false;
    else if (isJoint(now)) sound = !isJoint(next) && list(next.voters) === list(now.voters);
    else if (isJoint(next)) sound = list(next.outgoing) === list(now.voters);
    else sound = list(next.voters) === list(now.voters);
    expectThat(
      next !== undefined && sound,
      () => `I20: ${node} commits members at ${index} that do not follow the former`,
    );
    this.#configs.push({ index, membership: next });
  }

  #leads(node: NodeId, status: RaftStatus, log: SimLog): void {
    const other = this.#leaders.get(status.term);
    expectThat(other === undefined, () => `I1: election safety: ${other} and ${node} lead in term ${status.term}`);
    this.#leaders.set(status.term, node);
    this.elections += 1;
    // Who is late to be elected in a term that is over can commit nothing.
    const holder = this.leaseHolders().find(({ id, term }) => id !== node && term < status.term);
    expectThat(
      holder === undefined,
      () => `I23: ${node} leads in ${status.term} while ${holder?.id} has a lease in ${holder?.term}`,
    );
    for (const { entry, term } of this.#committed) {
      if (term > status.term || entry.index < log.base.index) continue;
      expectThat(
        log.termAt(entry.index) === entry.term,
        () => `I4: leader completeness: ${node} leads in ${status.term} without ${entry.index}`,
      );
    }
  }
}

/** Whether those who fulfil a condition are a majority, in a joint configuration of both halves. */
export function hasQuorum({ voters, outgoing }: Membership, fulfils: (voter: NodeId) => boolean): boolean {
  const enough = (half: readonly NodeId[]): boolean => half.filter(fulfils).length * 2 > half.length;
  return enough(voters) && (outgoing.length === 0 || enough(outgoing));
}
