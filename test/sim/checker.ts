import type { Ballot } from '../../src/raft/effect.ts';
import type { Entry } from '../../src/raft/entry.ts';
import type { Event } from '../../src/raft/event.ts';
import type { Message } from '../../src/raft/message.ts';
import { DEFAULT_RAFT_LIMITS } from '../../src/raft/options.ts';
import type { LogIndex, NodeId, Position, Term } from '../../src/raft/position.ts';
import type { RaftStatus } from '../../src/raft/raft.ts';
import type { SimDisk } from './disk.ts';

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
  /** As leader, by peer. */
  matches: ReadonlyMap<NodeId, LogIndex>;
}

/** Numbered as in the list of invariants in this folder's README. */
function expectThat(condition: boolean, promise: string): asserts condition {
  if (!condition) throw new BrokenPromise(promise);
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
  /** By candidate and term: where its log ended when it asked for votes. */
  readonly #campaigns = new Map<string, Position>();
  readonly #settled = new Set<string>();
  /** By voter and term: to whom a vote was sent, in whatever life. */
  readonly #votes = new Map<string, NodeId>();
  readonly #dropped = new WeakSet<Uint8Array>();
  readonly #committedCommands = new WeakSet<Uint8Array>();
  elections = 0;

  constructor(disks: ReadonlyMap<NodeId, SimDisk>) {
    this.#disks = disks;
  }

  /** The highest index that any node has known to be committed. */
  get commit(): LogIndex {
    return this.#committed.length;
  }

  committedAt(index: LogIndex): Entry | undefined {
    return this.#committed[index - 1]?.entry;
  }

  born(node: NodeId, status: RaftStatus): void {
    const { ballot, commit } = this.#disks.get(node)!;
    expectThat(status.term >= ballot.term, `I6: ${node}: term fell over a restart`);
    expectThat(status.commit >= commit, `I8: ${node}: commit fell over a restart below ${commit}`);
    this.#lives.set(node, {
      term: status.term,
      commit: status.commit,
      leading: 0,
      now: 0,
      leadingSince: 0,
      heard: new Map(),
      matches: new Map(),
    });
  }

  /** An event is given to the node. */
  heard(node: NodeId, event: Event): void {
    const life = this.#lives.get(node)!;
    if (event.kind === 'tick') life.now += 1;
    else if (event.kind === 'receive') life.heard.set(event.from, life.now);
  }

  truncated(node: NodeId, from: LogIndex, status: RaftStatus): void {
    const life = this.#lives.get(node)!;
    const leads = life.leading !== 0 && life.leading === status.term;
    expectThat(!leads, `I2: ${node} leads in ${status.term} and removes its entries from ${from} on`);
    expectThat(from > life.commit, `I13: ${node} removes ${from}, which it knew to be committed (${life.commit})`);
  }

  /** One entry for each index and term, and always behind an entry of the same term; no gaps, no falling terms. */
  staged(node: NodeId, entries: readonly Entry[], before: Position): void {
    let previous = before;
    for (const entry of entries) {
      const follows = entry.index === previous.index + 1 && entry.term >= previous.term;
      expectThat(follows, `I10: ${node} puts ${entry.term}/${entry.index} behind ${previous.term}/${previous.index}`);
      const key = `${entry.index} ${entry.term}`;
      const known = this.#known.get(key);
      if (known === undefined) this.#known.set(key, { entry, before: previous.term });
      else {
        const same =
          known.before === previous.term && known.entry.bytes === entry.bytes && known.entry.kind === entry.kind;
        expectThat(same, `I3: log matching: ${node} holds another entry at ${entry.index} in term ${entry.term}`);
      }
      previous = entry;
    }
  }

  /** A write reached the disk. */
  stored(node: NodeId, before: Ballot, after: Ballot): void {
    expectThat(after.term >= before.term, `I6: ${node}: durable term fell from ${before.term} to ${after.term}`);
    const kept = after.term > before.term || before.votedFor === undefined || after.votedFor === before.votedFor;
    expectThat(kept, `I7: ${node}: vote of ${after.term} changed from ${before.votedFor} to ${after.votedFor}`);
  }

  /** After a step, nothing is on its way to the disk. */
  idle(node: NodeId, status: RaftStatus): void {
    const { ballot, entries } = this.#disks.get(node)!;
    const { term, last } = status;
    expectThat(ballot.term === term, `I28: ${node} is in term ${term}, its disk in ${ballot.term}`);
    const same = entries.length === last.index && (entries.at(-1)?.term ?? 0) === last.term;
    expectThat(same, `I28: ${node}: the log ends at ${last.term}/${last.index}, its disk's at ${entries.length}`);
  }

  /** A message was decided on, though it may have to wait for a write. */
  decided(node: NodeId, to: NodeId, message: Message, status: RaftStatus): void {
    if (message.kind === 'vote') this.#campaigns.set(`${node} ${message.term}`, message.last);
    if (message.kind !== 'voteReply' || !message.granted) return;
    // In the same step the voter may have heard the winner already, or a later one, and taken its entries.
    if (status.term !== message.term || status.leader !== undefined) return;
    const asked = this.#campaigns.get(`${to} ${message.term}`);
    const { term, index } = status.last;
    const newer = asked !== undefined && (asked.term > term || (asked.term === term && asked.index >= index));
    expectThat(newer, `I14: ${node} votes in ${message.term} for ${to}, whose log is older`);
  }

  sent(node: NodeId, to: NodeId, message: Message, status: RaftStatus): void {
    if (message.kind !== 'preVote' && message.kind !== 'preVoteReply') {
      expectThat(message.term <= status.term, `I15: ${node} sent term ${message.term} while in ${status.term}`);
    }
    const disk = this.#disks.get(node)!;
    if (message.kind === 'voteReply' && message.granted) {
      const { term, votedFor } = disk.ballot;
      const durable = term > message.term || (term === message.term && votedFor === to);
      expectThat(durable, `I17: ${node} gave its vote in ${message.term} to ${to} before it was durable`);
      const vote = `${node} ${message.term}`;
      const first = this.#votes.get(vote) ?? to;
      expectThat(first === to, `I7: ${node} voted in ${message.term} for ${first} and for ${to}`);
      this.#votes.set(vote, to);
    }
    if (message.kind === 'appendReply') {
      const durable =
        disk.ballot.term >= message.term && (disk.ballot.term > message.term || disk.entries.length >= message.match);
      expectThat(durable, `I17: ${node} acknowledged ${message.match} before it was durable`);
    }
  }

  stepped(node: NodeId, status: RaftStatus, log: readonly Entry[]): void {
    const life = this.#lives.get(node)!;
    expectThat(status.term >= life.term, `I6: ${node}: term fell from ${life.term} to ${status.term}`);
    expectThat(status.commit >= life.commit, `I8: ${node}: commit fell from ${life.commit} to ${status.commit}`);
    expectThat(
      status.last.index === log.length,
      `I10: ${node}: the core's log ends at ${status.last.index}, not at ${log.length}`,
    );
    expectThat(status.commit <= log.length, `I9: ${node}: commit ${status.commit} is beyond the log`);
    for (let index = life.commit + 1; index <= status.commit; index += 1) this.#commits(node, log[index - 1]!, status);
    if (life.leading === status.term && status.commit > life.commit) {
      const { term } = log[status.commit - 1]!;
      expectThat(
        term === status.term,
        `I12: ${node} leads in ${status.term} and commits entry of term ${term} by counting`,
      );
    }
    expectThat(status.term >= status.last.term, `I10: ${node}: term ${status.term} is behind the log's`);
    if (status.role === 'leader') this.#checkLeader(node, life, status, log);
    life.leading = status.role === 'leader' ? status.term : 0;
    life.term = status.term;
    life.commit = status.commit;
  }

  applying(node: NodeId, from: LogIndex, to: LogIndex, status: RaftStatus): void {
    const disk = this.#disks.get(node)!;
    expectThat(from === status.applied + 1 || from > status.applied, `I9: ${node}: applies ${from} again`);
    expectThat(to <= status.commit, `I9: ${node}: applies ${to} beyond commit ${status.commit}`);
    for (let index = from; index <= to; index += 1) {
      const committed = this.#committed[index - 1]?.entry;
      const held = disk.entries[index - 1];
      expectThat(held !== undefined, `I9: ${node}: applies ${index}, which is not durable there`);
      expectThat(
        held.term === committed?.term && held.bytes === committed.bytes,
        `I5: state machine safety: ${node} at ${index}`,
      );
    }
  }

  readServed(node: NodeId, index: LogIndex, committedBefore: LogIndex): void {
    const stale = index < committedBefore;
    expectThat(
      !stale,
      `I22: stale read at ${node}: index ${index}, but ${committedBefore} was committed when it began`,
    );
  }

  /** Everything that is asked is answered once. */
  answered(what: string): void {
    expectThat(!this.#settled.has(what), `I24: answered twice: ${what}`);
    this.#settled.add(what);
  }

  /** A proposal was refused: it must never be found committed. */
  dropped(bytes: Uint8Array): void {
    this.#dropped.add(bytes);
  }

  #checkLeader(node: NodeId, life: Life, status: RaftStatus, log: readonly Entry[]): void {
    if (life.leading !== status.term) {
      this.#leads(node, status, log);
      life.leadingSince = life.now;
      life.matches = new Map();
    }
    const { electionTicks } = DEFAULT_RAFT_LIMITS;
    const recent = [...status.peers.keys()].filter((peer) => {
      return life.now - Math.max(life.heard.get(peer) ?? 0, life.leadingSince) <= electionTicks + 1;
    });
    const reached = recent.length + 1;
    expectThat(
      reached * 2 > this.#disks.size,
      `I31: ${node} leads in ${status.term} and hears ${reached} of ${this.#disks.size}`,
    );
    const matches = new Map<NodeId, LogIndex>();
    for (const [peer, { match, next }] of status.peers) {
      const before = life.matches.get(peer) ?? 0;
      expectThat(match >= before, `I16: ${node}: match of ${peer} fell from ${before} to ${match}`);
      expectThat(match < next && next <= log.length + 1, `I16: ${node}: next of ${peer} is ${next}, match ${match}`);
      matches.set(peer, match);
    }
    life.matches = matches;
  }

  #commits(node: NodeId, entry: Entry, status: RaftStatus): void {
    const known = this.#committed[entry.index - 1]?.entry;
    if (known !== undefined) {
      const same = known.term === entry.term && known.bytes === entry.bytes;
      expectThat(same, `I5: state machine safety: ${node} commits another entry at ${entry.index} than was committed`);
      return;
    }
    expectThat(
      this.#committed.length === entry.index - 1,
      `I10: ${node}: commits ${entry.index} with a hole before it`,
    );
    const copies = [...this.#disks.values()].filter((disk) => disk.holds(entry.index, entry.term)).length;
    const enough = copies * 2 > this.#disks.size;
    expectThat(enough, `I12: ${node} commits ${entry.index} while only ${copies} of ${this.#disks.size} disks hold it`);
    if (entry.kind === 'command') {
      expectThat(!this.#dropped.has(entry.bytes), `I24: ${node} commits ${entry.index}, which was refused`);
      expectThat(!this.#committedCommands.has(entry.bytes), `I25: ${node} commits ${entry.index} a second time`);
      this.#committedCommands.add(entry.bytes);
    }
    this.#committed.push({ entry, term: status.term });
  }

  #leads(node: NodeId, status: RaftStatus, log: readonly Entry[]): void {
    const other = this.#leaders.get(status.term);
    expectThat(other === undefined, `I1: election safety: ${other} and ${node} lead in term ${status.term}`);
    this.#leaders.set(status.term, node);
    this.elections += 1;
    for (const { entry, term } of this.#committed) {
      if (term > status.term) continue;
      const held = log[entry.index - 1];
      expectThat(
        held?.term === entry.term,
        `I4: leader completeness: ${node} leads in ${status.term} without ${entry.index}`,
      );
    }
  }
}
