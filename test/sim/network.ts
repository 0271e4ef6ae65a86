import { type Random, randomInt } from '../../src/base/random.ts';
import type { Envelope } from '../../src/raft/message.ts';
import type { NodeId } from '../../src/raft/position.ts';
import type { Agenda } from './agenda.ts';
import { exponential, type Faults, TICK } from './faults.ts';

/** Carries messages late, twice, out of order, or not at all. */
export class SimNetwork {
  readonly #agenda: Agenda;
  readonly #random: Random;
  readonly #deliver: (envelope: Envelope) => void;
  /** Links that carry nothing, as `from>to`. */
  readonly #cut = new Set<string>();
  readonly #lastArrival = new Map<string, number>();
  faults: Faults;

  constructor(agenda: Agenda, random: Random, faults: Faults, deliver: (envelope: Envelope) => void) {
    this.#agenda = agenda;
    this.#random = random;
    this.faults = faults;
    this.#deliver = deliver;
  }

  send(envelope: Envelope): void {
    const { loss, duplicate } = this.faults;
    if (this.#random.next() < loss) return;
    this.#schedule(envelope);
    if (this.#random.next() < duplicate) this.#schedule(envelope);
  }

  /** Cuts the links around some nodes, in both directions or in one. */
  partition(nodes: readonly NodeId[], isolated: readonly NodeId[]): void {
    const both = !this.faults.oneWay || this.#random.next() < 0.5;
    const inward = this.#random.next() < 0.5;
    for (const inside of isolated) {
      for (const outside of nodes) {
        if (isolated.includes(outside)) continue;
        if (both || inward) this.#cut.add(`${outside}>${inside}`);
        if (both || !inward) this.#cut.add(`${inside}>${outside}`);
      }
    }
  }

  heal(): void {
    this.#cut.clear();
  }

  /** Whether nothing gets from one to the other. */
  isCut(from: NodeId, to: NodeId): boolean {
    return this.#cut.has(`${from}>${to}`);
  }

  #schedule(envelope: Envelope): void {
    const { delayMin, delayMean, straggler, ordered } = this.faults;
    const link = `${envelope.from}>${envelope.to}`;
    let delay = delayMin + exponential(this.#random, delayMean);
    if (this.#random.next() < straggler) delay += randomInt(this.#random, 10, 100) * TICK;
    else if (ordered) {
      delay = Math.max(delay, (this.#lastArrival.get(link) ?? 0) - this.#agenda.now);
      this.#lastArrival.set(link, this.#agenda.now + delay);
    }
    this.#agenda.after(delay, () => {
      if (!this.#cut.has(link)) this.#deliver(envelope);
    });
  }
}
