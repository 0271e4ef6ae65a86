import type { Entry } from '../../src/raft/entry.ts';
import type { Message } from '../../src/raft/message.ts';
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
  applied: LogIndex;
  leading: Term;
}

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
    const life = this.#lives.get(node);
    expectThat(status.term >= (this.#disks.get(node)?.ballot.term ?? 0), `${node}: term fell over a restart`);
    this.#lives.set(node, { term: status.term, commit: status.commit, applied: life?.applied ?? 0, leading: 0 });
  }

  /** Log matching: one entry for each index and term, and always behind an entry of the same term. */
  staged(node: NodeId, entries: readonly Entry[], before: Term): void {
    let previous = before;
    for (const entry of entries) {
      const key = `${entry.index} ${entry.term}`;
      const known = this.#known.get(key);
      if (known === undefined) this.#known.set(key, { entry, before: previous });
      else {
        const same = known.before === previous && known.entry.bytes === entry.bytes && known.entry.kind === entry.kind;
        expectThat(same, `Log matching: ${node} holds another entry at ${entry.index} in term ${entry.term}`);
      }
      previous = entry.term;
    }
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
    expectThat(newer, `${node} votes in ${message.term} for ${to}, whose log is older`);
  }

  sent(node: NodeId, to: NodeId, message: Message, status: RaftStatus): void {
    if (message.kind !== 'preVote' && message.kind !== 'preVoteReply') {
      expectThat(message.term <= status.term, `${node} sent term ${message.term} while in ${status.term}`);
    }
    const disk = this.#disks.get(node)!;
    if (message.kind === 'voteReply' && message.granted) {
      const { term, votedFor } = disk.ballot;
      const durable = term > message.term || (term === message.term && votedFor === to);
      expectThat(durable, `${node} gave its vote in ${message.term} to ${to} before it was durable`);
    }
    if (message.kind === 'appendReply') {
      const durable =
        disk.ballot.term >= message.term && (disk.ballot.term > message.term || disk.entries.length >= message.match);
      expectThat(durable, `${node} acknowledged ${message.match} before it was durable`);
    }
  }

  stepped(node: NodeId, status: RaftStatus, log: readonly Entry[]): void {
    const life = this.#lives.get(node)!;
    expectThat(status.term >= life.term, `${node}: term fell from ${life.term} to ${status.term}`);
    expectThat(status.commit >= life.commit, `${node}: commit fell from ${life.commit} to ${status.commit}`);
    expectThat(
      status.last.index === log.length,
      `${node}: the core's log ends at ${status.last.index}, not at ${log.length}`,
    );
    expectThat(status.commit <= log.length, `${node}: commit ${status.commit} is beyond the log`);
    for (let index = life.commit + 1; index <= status.commit; index += 1) this.#commits(node, log[index - 1]!, status);
    if (life.leading === status.term && status.commit > life.commit) {
      const { term } = log[status.commit - 1]!;
      expectThat(term === status.term, `${node} leads in ${status.term} and commits entry of term ${term} by counting`);
    }
    if (status.role === 'leader' && life.leading !== status.term) this.#leads(node, status, log);
    life.leading = status.role === 'leader' ? status.term : 0;
    life.term = status.term;
    life.commit = status.commit;
  }

  applying(node: NodeId, from: LogIndex, to: LogIndex, status: RaftStatus): void {
    const disk = this.#disks.get(node)!;
    expectThat(from === status.applied + 1 || from > status.applied, `${node}: applies ${from} again`);
    expectThat(to <= status.commit, `${node}: applies ${to} beyond commit ${status.commit}`);
    for (let index = from; index <= to; index += 1) {
      const committed = this.#committed[index - 1]?.entry;
      const held = disk.entries[index - 1];
      expectThat(held !== undefined, `${node}: applies ${index}, which is not durable there`);
      expectThat(
        held.term === committed?.term && held.bytes === committed.bytes,
        `State machine safety: ${node} at ${index}`,
      );
    }
  }

  readServed(node: NodeId, index: LogIndex, committedBefore: LogIndex): void {
    const stale = index < committedBefore;
    expectThat(!stale, `Stale read at ${node}: index ${index}, but ${committedBefore} was committed when it began`);
  }

  /** Everything that is asked is answered once. */
  answered(what: string): void {
    expectThat(!this.#settled.has(what), `Answered twice: ${what}`);
    this.#settled.add(what);
  }

  #commits(node: NodeId, entry: Entry, status: RaftStatus): void {
    const known = this.#committed[entry.index - 1]?.entry;
    if (known !== undefined) {
      const same = known.term === entry.term && known.bytes === entry.bytes;
      expectThat(same, `State machine safety: ${node} commits another entry at ${entry.index} than was committed`);
      return;
    }
    expectThat(this.#committed.length === entry.index - 1, `${node}: commits ${entry.index} with a hole before it`);
    const copies = [...this.#disks.values()].filter((disk) => disk.holds(entry.index, entry.term)).length;
    const enough = copies * 2 > this.#disks.size;
    expectThat(enough, `${node} commits ${entry.index} while only ${copies} of ${this.#disks.size} disks hold it`);
    this.#committed.push({ entry, term: status.term });
  }

  #leads(node: NodeId, status: RaftStatus, log: readonly Entry[]): void {
    const other = this.#leaders.get(status.term);
    expectThat(other === undefined, `Election safety: ${other} and ${node} lead in term ${status.term}`);
    this.#leaders.set(status.term, node);
    this.elections += 1;
    for (const { entry, term } of this.#committed) {
      if (term > status.term) continue;
      const held = log[entry.index - 1];
      expectThat(
        held?.term === entry.term,
        `Leader completeness: ${node} leads in ${status.term} without ${entry.index}`,
      );
    }
  }
}
