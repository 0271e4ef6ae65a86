import { assert } from '../base/assert.ts';
import type { Random } from '../base/random.ts';
import { type ErrorDetails, SluiceError } from '../model/errors.ts';

const BACKOFF_FIRST_MS = 10;
const BACKOFF_MAX_MS = 50;
/** A master that failed is not tried again for so many changes of mind, about 200 ms, while there are others. */
const AVOIDED_HOPS = 8;
const ADDRESS = /^.+:\d{1,5}$/;
/** More masters than any cluster has. */
const LEARNED_MAX = 64;
/** Masters that were learned once and are still tried. */
const FORMER_MAX = 16;

/**
 * Which master to ask: the one that leads as far as we know. Hints are followed at once, unless they name a master that
 * just failed; otherwise the next of the list is asked. When all were asked in vain, each further change waits a
 * little, with jitter, at most 50 ms: whoever waits longer adds to the time of an election.
 */
export class MasterList {
  readonly #configured: readonly string[];
  /** What a master said last. */
  #said: readonly string[] = [];
  #addresses: readonly string[];
  readonly #random: Random;
  /** By address: `#hops` when it failed. */
  readonly #failed = new Map<string, number>();
  #current: string;
  /** Changes of mind since a master answered. */
  #hops = 0;

  /** @param addresses `host:port` of every master. @throws SluiceError INVALID_ARGUMENT when there is none. */
  constructor(addresses: readonly string[], random: Random) {
    const bad = addresses.find((address) => !ADDRESS.test(address));
    if (bad !== undefined)
      throw new SluiceError('INVALID_ARGUMENT', `A master's address must be HOST:PORT, got ${JSON.stringify(bad)}`);
    const [first] = addresses;
    if (first === undefined) throw new SluiceError('INVALID_ARGUMENT', 'No master is configured: name at least one');
    this.#configured = addresses;
    this.#addresses = addresses;
    this.#random = random;
    this.#current = first;
  }

  get current(): string {
    return this.#current;
  }

  /** All that are known; never none. */
  get addresses(): readonly string[] {
    return this.#addresses;
  }

  /** The masters of the cluster as one of them said last; before that, the configured ones. */
  get members(): readonly string[] {
    return this.#said.length === 0 ? this.#configured : this.#said;
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
   * These are all masters, as one of them says. Another one may not know yet, or know more: the order stays and what
   * was said before is kept for a while, or two that say different things could send us to and fro between them.
   */
  learn(addresses: readonly string[]): void {
    const known = addresses.filter((address) => ADDRESS.test(address)).slice(0, LEARNED_MAX);
    if (known.length > 0) this.#said = known;
    const stays = new Set([...known, ...this.#configured]);
    const former = this.#addresses.filter((address) => !stays.has(address)).slice(-FORMER_MAX);
    for (const address of former) stays.add(address);
    const present = this.#addresses.filter((address) => stays.has(address));
    this.#addresses = [...new Set([...present, ...known])];
    for (const address of this.#failed.keys()) if (!this.#addresses.includes(address)) this.#failed.delete(address);
  }

  /** What masters said was of another cluster. */
  forget(): void {
    this.#said = [];
    this.#addresses = this.#configured;
    this.#failed.clear();
  }

  /**
   * `from` does not lead; `said` may name the `leader`, and all `masters` with commas between them.
   * @returns how long to wait before asking `current`; undefined when that is another one already.
   */
  redirected(from: string, said: ErrorDetails): number | undefined {
    const { leader, masters } = said;
    if (typeof masters === 'string') this.learn(masters.split(','));
    if (from !== this.#current) return undefined;
    const hint = typeof leader === 'string' ? leader : '';
    const useful = hint !== '' && hint !== from && !this.#failed.has(hint);
    return this.#moveTo(useful ? hint : this.#after(from));
  }

  /** `from` cannot be reached, or does not answer. @returns as `redirected`. */
  failed(from: string): number | undefined {
    // One that was away while another one served may well be the next to lead.
    if (this.#hops === 0 && from !== this.#current) return undefined;
    this.#failed.set(from, this.#hops);
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
    const at = this.#addresses.indexOf(address) + 1;
    const order = [...this.#addresses.slice(at), ...this.#addresses.slice(0, at)];
    // Others name a leader that hangs until they miss it, too; to dial it meanwhile would take longer than an election.
    const next = order.find((each) => each !== address && !this.#hasJustFailed(each)) ?? order[0];
    assert(next !== undefined, 'the list of masters is not empty');
    return next;
  }

  #hasJustFailed(address: string): boolean {
    const hops = this.#failed.get(address);
    return hops !== undefined && this.#hops - hops < AVOIDED_HOPS;
  }
}
