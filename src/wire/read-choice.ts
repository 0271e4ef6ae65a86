import { must } from '../base/assert.ts';
import type { Clock } from '../base/clock.ts';
import { type Random, randomInt } from '../base/random.ts';

/** How long reads go to the leader after the master that was chosen for them did not answer one. */
const LEADER_MS = 250;
/** After this long one is chosen anew, so that clients come back to masters that were away. */
const CHOICE_MS = 30_000;

/**
 * Which master a client's reads go to, when any may answer them: one at random, so that clients spread over all, for as
 * long as it does answer, or half a minute.
 */
export class ReadChoice {
  readonly #clock: Clock;
  readonly #random: Random;
  #current: string | undefined;
  /** The last one that did not answer: not the next one, if there is a choice. */
  #avoided: string | undefined;
  /** When the choice is made anew. */
  #dueMs = -Infinity;

  constructor(clock: Clock, random: Random) {
    this.#clock = clock;
    this.#random = random;
  }

  /** Where reads go; undefined while that is the leader, or before the first one. */
  get current(): string | undefined {
    return this.#current;
  }

  /** @returns one of `masters`, of which there is at least one; undefined while reads go to the leader */
  choose(masters: readonly string[]): string | undefined {
    const nowMs = this.#clock.monotonicMs();
    const known = this.#current !== undefined && masters.includes(this.#current);
    if (nowMs < this.#dueMs && (known || this.#current === undefined)) return this.#current;
    this.#dueMs = nowMs + CHOICE_MS;
    const others = masters.filter((address) => address !== this.#avoided);
    const among = others.length === 0 ? masters : others;
    this.#current = must(among[randomInt(this.#random, 0, among.length - 1)], 'There is a master');
    return this.#current;
  }

  /** A read was not answered there. */
  failed(address: string): void {
    if (address !== this.#current) return;
    this.#current = undefined;
    this.#avoided = address;
    this.#dueMs = this.#clock.monotonicMs() + LEADER_MS;
  }
}
