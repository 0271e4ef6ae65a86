import { type Random, randomInt } from '../../src/base/random.ts';
import type { Envelope, MessageKind } from '../../src/raft/message.ts';
import type { NodeId, Term } from '../../src/raft/position.ts';
import type { Agenda } from './agenda.ts';
import type { Coverage } from './coverage.ts';
import { exponential, type Faults, TICK } from './faults.ts';

/** How many messages of each kind and term are remembered for each receiver, and of how many terms. */
const REMEMBERED = 20;
const REMEMBERED_TERMS = 4;

/** Carries messages late, twice, out of order, long afterwards again, or not at all. */
export class SimNetwork {
  readonly #agenda: Agenda;
  readonly #random: Random;
  readonly #coverage: Coverage;
  /** @returns false when the receiver is dead. */
  readonly #deliver: (envelope: Envelope) => boolean;
  /** Links that carry nothing, as `from>to`. */
  readonly #cut = new Set<string>();
  readonly #lastArrival = new Map<string, number>();
  /** By link: until when nothing arrives. */
  readonly #clogged = new Map<string, number>();
  readonly #travelling = new Map<string, number>();
  /** By receiver, term and kind: what may arrive once more. */
  readonly #past = new Map<NodeId, Map<Term, Map<MessageKind, Envelope[]>>>();
  faults: Faults;

  constructor(
    agenda: Agenda,
    random: Random,
    faults: Faults,
    coverage: Coverage,
    deliver: (envelope: Envelope) => boolean,
  ) {
    this.#agenda = agenda;
    this.#random = random;
    this.faults = faults;
    this.#coverage = coverage;
    this.#deliver = deliver;
  }

  send(envelope: Envelope): void {
    const { loss, duplicate, replay } = this.faults;
    this.#remember(envelope);
    if (this.#random.next() < replay) {
      this.#coverage.fault('replay');
      this.#schedule(this.#remembered(envelope.to));
    }
    if (this.#random.next() < loss) {
      this.#coverage.fault('loss');
      return;
    }
    this.#schedule(envelope);
    if (this.#random.next() >= duplicate) return;
    this.#coverage.fault('duplicate');
    this.#schedule(envelope);
  }

  /** What `to` was told in earlier terms arrives again, within an election timeout. */
  echo(to: NodeId, term: Term): void {
    this.#coverage.fault('echo');
    for (const [past, kinds] of this.#past.get(to) ?? []) {
      if (past >= term) continue;
      for (const envelope of [...kinds.values()].flat()) {
        this.#agenda.after(randomInt(this.#random, 0, 10 * TICK), () => this.#arrive(envelope));
      }
    }
  }

  /** Cuts the links around some nodes, in both directions or in one. */
  partition(nodes: readonly NodeId[], isolated: readonly NodeId[]): void {
    const both = !this.faults.oneWay || this.#random.next() < 0.5;
    const inward = this.#random.next() < 0.5;
    this.#coverage.fault(both ? 'partition' : 'oneWay');
    for (const inside of isolated) {
      for (const outside of nodes) {
        if (isolated.includes(outside)) continue;
        if (both || inward) this.#cut.add(`${outside}>${inside}`);
        if (both || !inward) this.#cut.add(`${inside}>${outside}`);
      }
    }
  }

  /** Nothing that a node says arrives any more. */
  mute(node: NodeId, others: readonly NodeId[]): void {
    for (const other of others) if (other !== node) this.#cut.add(`${node}>${other}`);
  }

  /** Leaves to each node only its two neighbours in a random order, of three nodes to two of them only one. */
  ring(nodes: readonly NodeId[]): void {
    this.#coverage.fault('ring');
    const order = nodes.map((node) => ({ node, key: this.#random.next() })).sort((a, b) => a.key - b.key);
    for (const [i, { node: a }] of order.entries()) {
      for (const [j, { node: b }] of order.entries()) {
        const apart = Math.abs(i - j);
        const neighbours = apart === 1 || (apart === order.length - 1 && order.length > 3);
        if (apart !== 0 && !neighbours) this.#cut.add(`${a}>${b}`);
      }
    }
  }

  /** Keeps back whatever is sent from one to the other for so long. */
  clog(from: NodeId, to: NodeId, duration: number): void {
    this.#coverage.fault('clog');
    this.#clogged.set(`${from}>${to}`, this.#agenda.now + duration);
  }

  heal(): void {
    this.#cut.clear();
  }

  /** Whether nothing gets from one to the other. */
  isCut(from: NodeId, to: NodeId): boolean {
    return this.#cut.has(`${from}>${to}`);
  }

  #remember(envelope: Envelope): void {
    const { kind, term } = envelope.message;
    const terms = childOf(this.#past, envelope.to, () => new Map<Term, Map<MessageKind, Envelope[]>>());
    const kinds = childOf(terms, term, () => new Map<MessageKind, Envelope[]>());
    const messages = childOf(kinds, kind, (): Envelope[] => []);
    messages.push(envelope);
    if (messages.length > REMEMBERED) messages.shift();
    if (terms.size > REMEMBERED_TERMS) terms.delete(Math.min(...terms.keys()));
  }

  /** An old message to the same receiver: one of a short term or a rare kind as often as others. */
  #remembered(to: NodeId): Envelope {
    return this.#any(this.#any(this.#any(this.#past.get(to)!.values()).values()));
  }

  #any<T>(choices: Iterable<T>): T {
    const all = [...choices];
    return all[randomInt(this.#random, 0, all.length - 1)]!;
  }

  #schedule(envelope: Envelope): void {
    const { delayMin, delayMean, straggler, ordered, capacity } = this.faults;
    const { now } = this.#agenda;
    const link = `${envelope.from}>${envelope.to}`;
    const travelling = this.#travelling.get(link) ?? 0;
    if (travelling >= capacity) {
      this.#coverage.fault('capacity');
      return;
    }
    let delay = delayMin + exponential(this.#random, delayMean);
    if (delay > TICK) this.#coverage.fault('delay');
    delay = Math.max(delay, (this.#clogged.get(link) ?? 0) - now);
    if (this.#random.next() < straggler) {
      this.#coverage.fault('straggler');
      delay += randomInt(this.#random, 10, 100) * TICK;
    } else if (ordered) {
      delay = Math.max(delay, (this.#lastArrival.get(link) ?? 0) - now);
      this.#lastArrival.set(link, now + delay);
    }
    this.#travelling.set(link, travelling + 1);
    this.#agenda.after(delay, () => {
      this.#travelling.set(link, (this.#travelling.get(link) ?? 0) - 1);
      if (this.#arrive(envelope) || this.#random.next() >= this.faults.limbo) return;
      this.#coverage.fault('limbo');
      this.#agenda.after(exponential(this.#random, 10 * TICK), () => this.#arrive(envelope));
    });
  }

  /** @returns false when a cut or a dead receiver swallows it. */
  #arrive(envelope: Envelope): boolean {
    return !this.#cut.has(`${envelope.from}>${envelope.to}`) && this.#deliver(envelope);
  }
}

function childOf<K, V>(parents: Map<K, V>, key: K, make: () => V): V {
  const child = parents.get(key) ?? make();
  parents.set(key, child);
  return child;
}
