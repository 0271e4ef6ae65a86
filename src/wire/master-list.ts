import { assert } from '../base/assert.ts';
import type { Random } from '../base/random.ts';
import { SluiceError } from '../model/errors.ts';

const BACKOFF_FIRST_MS = 10;
const BACKOFF_MAX_MS = 50;

/**
 * Which master to ask: the one that leads as far as we know. Hints are followed at once, unless they name a master that
 * just failed; otherwise the next of the list is asked. When all were asked in vain, each further change waits a
 * little, with jitter, at most 50 ms: whoever waits longer adds to the time of an election.
 */
export class MasterList {
  readonly #addresses: readonly string[];
  readonly #random: Random;
  readonly #failed = new Set<string>();
  #current: string;
  /** Changes of mind since a master answered. */
  #hops = 0;

  /** @param addresses `host:port` of every master. @throws SluiceError INVALID_ARGUMENT when there is none. */
  constructor(addresses: readonly string[], random: Random) {
    const bad = addresses.find((address) => !/^.+:\d{1,5}$/.test(address));
    if (bad !== undefined)
      throw new SluiceError('INVALID_ARGUMENT', `A master's address must be HOST:PORT, got ${JSON.stringify(bad)}`);
    const [first] = addresses;
    if (first === undefined) throw new SluiceError('INVALID_ARGUMENT', 'No master is configured: name at least one');
    this.#addresses = addresses;
    this.#random = random;
    this.#current = first;
  }

  get current(): string {
    return this.#current;
  }

  /** All addresses, for messages. */
  get names(): string {
    return this.#addresses.join(', ');
  }

  /** Addresses that have not failed since a master answered. */
  notFailed(): readonly string[] {
    return this.#addresses.filter((address) => !this.#failed.has(address));
  }

  /** The current master did what only a leader does. */
  answered(address: string): void {
    if (address !== this.#current) return;
    this.#hops = 0;
    this.#failed.clear();
  }

  /**
   * `from` does not lead, and named `hint` (or nobody: empty).
   * @returns how long to wait before asking `current`; undefined when that is another one already.
   */
  redirected(from: string, hint: string): number | undefined {
    if (from !== this.#current) return undefined;
    const useful = hint !== '' && hint !== from && !this.#failed.has(hint);
    return this.#moveTo(useful ? hint : this.#after(from));
  }

  /** `from` cannot be reached, or does not answer. @returns as `redirected`. */
  failed(from: string): number | undefined {
    this.#failed.add(from);
    if (this.#addresses.every((address) => this.#failed.has(address))) this.#failed.clear();
    return from === this.#current ? this.#moveTo(this.#after(from)) : undefined;
  }

  #moveTo(address: string): number {
    this.#current = address;
    this.#hops += 1;
    const over = this.#hops - this.#addresses.length;
    if (over < 0) return 0;
    const full = Math.min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS * 2 ** Math.min(over, 10));
    return full * (0.5 + this.#random.next() / 2);
  }

  #after(address: string): string {
    const next = this.#addresses[(this.#addresses.indexOf(address) + 1) % this.#addresses.length];
    assert(next !== undefined, 'the list of masters is not empty');
    return next;
  }
}
