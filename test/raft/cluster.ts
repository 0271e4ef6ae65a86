import { seededRandom } from '../../src/base/random.ts';
import type { Effect } from '../../src/raft/effect.ts';
import type { Entry } from '../../src/raft/entry.ts';
import type { Event } from '../../src/raft/event.ts';
import type { LogWrite, TermRun } from '../../src/raft/log-store.ts';
import { type Membership, membershipOf } from '../../src/raft/membership.ts';
import type { Envelope, Message, MessageKind } from '../../src/raft/message.ts';
import { DEFAULT_RAFT_LIMITS, type RaftLimits } from '../../src/raft/options.ts';
import { type NodeId, ORIGIN, type Position } from '../../src/raft/position.ts';
import { Raft, type RaftStatus } from '../../src/raft/raft.ts';

export interface NodeSetup {
  readonly term?: number;
  readonly votedFor?: NodeId;
  /** The terms of the entries in the log. */
  readonly log?: readonly number[];
  readonly commit?: number;
  readonly base?: Position;
  readonly limits?: Partial<RaftLimits>;
  readonly membership?: Membership;
  readonly seed?: number;
  /** The disk does nothing until `persist` is called. */
  readonly slowDisk?: boolean;
}

type EffectOf<K extends Effect['kind']> = Extract<Effect, { kind: K }>;

/** One core with a disk that obeys at once (unless it is slow), for tests that speak to it message by message. */
export class Node {
  readonly id: NodeId;
  readonly raft: Raft;
  /** Everything that the core asked for, in order; messages that wait for a write are in `sent` when they leave. */
  effects: Effect[] = [];
  sent: Envelope[] = [];
  /** Its clock; only leases look at it. */
  timeMs = 0;
  /** The log as terms, and as entries. */
  readonly entries: Entry[] = [];
  readonly #slow: boolean;
  readonly #held: EffectOf<'send'>[] = [];
  #writing: EffectOf<'write'> | undefined;
  #proposals = 0;

  constructor(id: NodeId, voters: readonly NodeId[], setup: NodeSetup = {}) {
    this.id = id;
    this.#slow = setup.slowDisk ?? false;
    const { log = [], base = ORIGIN } = setup;
    log.forEach((term, i) => {
      this.entries.push({ term, index: base.index + i + 1, kind: 'command', bytes: new Uint8Array(0) });
    });
    const runs: TermRun[] = [];
    for (const { term, index } of this.entries) if (runs.at(-1)?.term !== term) runs.push({ first: index, term });
    const last = this.entries.at(-1) ?? base;
    this.raft = new Raft({
      ...DEFAULT_RAFT_LIMITS,
      ...setup.limits,
      id,
      membership: setup.membership ?? membershipOf(voters),
      stored: {
        ballot: { term: setup.term ?? last.term, votedFor: setup.votedFor },
        base,
        last: { term: last.term, index: last.index },
        runs,
        commit: setup.commit ?? base.index,
        configs: [],
      },
      applied: base.index,
      random: seededRandom(setup.seed ?? id.charCodeAt(0)),
    });
  }

  get status(): RaftStatus {
    return this.raft.status();
  }

  get terms(): number[] {
    return this.entries.map(({ term }) => term);
  }

  /** Takes and forgets the messages that left. */
  take(): Envelope[] {
    return this.sent.splice(0);
  }

  /** The messages of one kind that left and were not taken yet. */
  sentOf<K extends MessageKind>(kind: K): Extract<Message, { kind: K }>[] {
    return this.sent.map(({ message }) => message).filter((m): m is Extract<Message, { kind: K }> => m.kind === kind);
  }

  effectsOf<K extends Effect['kind']>(kind: K): EffectOf<K>[] {
    return this.effects.filter((effect): effect is EffectOf<K> => effect.kind === kind);
  }

  give(...events: Event[]): this {
    for (const effect of this.raft.stepAll(events, this.timeMs)) {
      this.effects.push(effect);
      if (effect.kind === 'stage') {
        const { truncateFrom, entries } = effect;
        if (truncateFrom !== undefined)
          this.entries.splice(this.entries.findIndex(({ index }) => index === truncateFrom));
        this.entries.push(...entries);
      } else if (effect.kind === 'write') this.#writing = effect;
      else if (effect.kind === 'send' && effect.after !== undefined) this.#held.push(effect);
      else if (effect.kind === 'send') this.#send(effect);
    }
    if (!this.#slow) while (this.#writing !== undefined) this.persist();
    return this;
  }

  receive(from: NodeId, message: Message): this {
    return this.give({ kind: 'receive', from, message });
  }

  tick(count = 1): this {
    for (let i = 0; i < count; i += 1) this.give({ kind: 'tick' });
    return this;
  }

  propose(count = 1): this {
    const proposals = Array.from({ length: count }, () => ({ id: ++this.#proposals, bytes: new Uint8Array(8) }));
    return this.give({ kind: 'propose', proposals });
  }

  /** Completes the write in flight. */
  persist(): void {
    const write = this.#writing;
    if (write === undefined) throw new Error('No write is in flight');
    this.#writing = undefined;
    for (const effect of this.#held.splice(0)) {
      if (effect.after === write.id) this.#send(effect);
      else this.#held.push(effect);
    }
    this.give({ kind: 'persisted', write: write.id });
  }

  get writing(): (LogWrite & { readonly id: number }) | undefined {
    return this.#writing;
  }

  /** Ticks until it asks for pre-votes, or leads because it is alone. */
  timeOut(): this {
    for (let i = 0; i < 100; i += 1) {
      const { role } = this.tick().status;
      if (role === 'preCandidate' || role === 'leader') return this;
    }
    throw new Error(`${this.id} never campaigns`);
  }

  /** Lets the named voters grant everything. */
  campaign(...voters: NodeId[]): this {
    if (this.status.role !== 'preCandidate') this.timeOut();
    const term = this.status.term + 1;
    for (const from of voters) this.receive(from, { kind: 'preVoteReply', term, granted: true, commit: 0 });
    return this;
  }

  lead(...voters: NodeId[]): this {
    this.campaign(...voters);
    const { term } = this.status;
    for (const from of voters) this.receive(from, { kind: 'voteReply', term, granted: true, commit: 0 });
    if (this.status.role !== 'leader') throw new Error(`${this.id} does not lead`);
    return this;
  }

  #send({ to, message }: EffectOf<'send'>): void {
    if (message.kind !== 'append') {
      this.sent.push({ from: this.id, to, message });
      return;
    }
    const { previous, last } = message;
    const entries = this.entries.filter(({ index }) => index > previous.index && index <= last);
    if (entries.length !== last - previous.index) return;
    this.sent.push({ from: this.id, to, message: { ...message, entries } });
  }
}

/** Several nodes, whose messages travel when told to. */
export class Cluster {
  readonly nodes: ReadonlyMap<NodeId, Node>;
  /** Which messages get lost. */
  drop: (envelope: Envelope) => boolean = () => false;

  constructor(setups: Record<NodeId, NodeSetup>) {
    const ids = Object.keys(setups);
    this.nodes = new Map(ids.map((id) => [id, new Node(id, ids, setups[id])]));
  }

  node(id: NodeId): Node {
    return this.nodes.get(id)!;
  }

  /** Delivers messages until there are none. */
  settle(): this {
    for (let rounds = 0; rounds < 1000; rounds += 1) {
      const envelopes = [...this.nodes.values()].flatMap((node) => node.take());
      if (envelopes.length === 0) return this;
      for (const envelope of envelopes) {
        if (this.drop(envelope)) continue;
        this.nodes.get(envelope.to)?.receive(envelope.from, envelope.message);
      }
    }
    throw new Error('The messages never end');
  }

  /** Lets time pass for all (or the named) nodes, and messages travel. */
  tick(count = 1, ids: readonly NodeId[] = [...this.nodes.keys()]): this {
    for (let i = 0; i < count; i += 1) {
      for (const id of ids) this.node(id).tick();
      this.settle();
    }
    return this;
  }

  elect(id: NodeId): this {
    this.node(id).timeOut();
    this.settle();
    if (this.node(id).status.role !== 'leader') throw new Error(`${id} was not elected`);
    return this;
  }

  /** Nothing travels from or to these. */
  isolate(...ids: NodeId[]): this {
    this.drop = ({ from, to }) => ids.includes(from) || ids.includes(to);
    return this;
  }

  heal(): this {
    this.drop = () => false;
    return this;
  }

  get leaders(): NodeId[] {
    return [...this.nodes.values()].filter(({ status }) => status.role === 'leader').map(({ id }) => id);
  }
}

/** An append of entries with these terms behind `previous`. */
export function append(
  term: number,
  previous: Position,
  terms: readonly number[] = [],
  commit = 0,
  readPosition = 0,
): Extract<Message, { kind: 'append' }> {
  const entries = terms.map((entryTerm, i): Entry => {
    return { term: entryTerm, index: previous.index + i + 1, kind: 'command', bytes: new Uint8Array(0) };
  });
  return { kind: 'append', term, previous, last: previous.index + terms.length, entries, commit, readPosition };
}

export function at(term: number, index: number): Position {
  return { term, index };
}
