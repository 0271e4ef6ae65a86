import type { CancelTimer, Timers } from '../base/clock.ts';
import type { MasterLink } from './master-link.ts';

/** A client that lives this long after its first answer may live to see another leader. */
const WARM_FIRST_MS = 1_000;
/** How often a busy client dials masters that it has no connection to. */
const WARM_EVERY_MS = 5_000;
/** More masters than any cluster needs. */
const WARM_MAX = 8;

/**
 * A client's connections to masters, one to each. The ones to masters that are not asked for anything are made and kept
 * as well while the client is at work: to dial the new leader takes longer than to elect it, most of all when every
 * client does so at the same moment.
 */
export class MasterLinks {
  readonly #timers: Timers;
  readonly #dial: (address: string) => MasterLink;
  /** All masters that are known. */
  readonly #masters: () => readonly string[];
  readonly #links = new Map<string, MasterLink>();
  #warmed = false;
  #cancelWarming: CancelTimer | undefined;

  constructor(timers: Timers, masters: () => readonly string[], dial: (address: string) => MasterLink) {
    this.#timers = timers;
    this.#masters = masters;
    this.#dial = dial;
  }

  /** The connection that there is, usable or not. */
  get(address: string): MasterLink | undefined {
    return this.#links.get(address);
  }

  /** The connection to `address`, which is dialled when there is none. */
  to(address: string): MasterLink {
    const present = this.#links.get(address);
    if (present !== undefined) return present;
    const link = this.#dial(address);
    this.#links.set(address, link);
    return link;
  }

  /** `link` broke. */
  forget(link: MasterLink): void {
    if (this.#links.get(link.address) === link) this.#links.delete(link.address);
  }

  /**
   * A master answered: in a moment others are dialled, too, and connections are closed that owe nothing and are neither
   * `used` nor to one of the masters. Nothing happens in a client that asks nobody.
   */
  answered(used: (address: string) => boolean): void {
    if (this.#cancelWarming !== undefined) return;
    this.#cancelWarming = this.#timers.after(this.#warmed ? WARM_EVERY_MS : WARM_FIRST_MS, () => {
      this.#cancelWarming = undefined;
      this.#warmed = true;
      const warm = new Set(this.#masters().slice(0, WARM_MAX));
      for (const [address, link] of this.#links) {
        if (warm.has(address) || used(address) || link.inFlight.size > 0) continue;
        link.close();
        this.#links.delete(address);
      }
      for (const address of warm) this.to(address);
    });
  }

  /** Closes all of them; none is made any more unless it is asked for. */
  close(): void {
    this.#cancelWarming?.();
    for (const link of this.#links.values()) link.close();
    this.#links.clear();
  }
}
