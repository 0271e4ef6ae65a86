import type { CancelTimer, Timers } from '../base/clock.ts';
import type { Random } from '../base/random.ts';
import type { MasterLink } from './master-link.ts';

/** A client that lives this long after its first answer may live to see another leader. */
const WARM_FIRST_MS = 1_000;
/** How often a busy client dials masters that it has no connection to, give or take a half. */
const WARM_EVERY_MS = 5_000;
/** More masters than any cluster needs. */
const WARM_MAX = 8;

export interface MasterLinksParts {
  readonly timers: Timers;
  readonly random: Random;
  /** Masters to which a connection is kept although they are not asked for anything. */
  warm(): readonly string[];
  /** Whether operations go to `address` at present. */
  asks(address: string): boolean;
  dial(address: string): MasterLink;
}

/**
 * A client's connections to masters, one to each. The ones to masters that are not asked for anything are made and kept
 * as well while the client is at work: to dial the new leader takes longer than to elect it, most of all when every
 * client does so at the same moment.
 */
export class MasterLinks {
  readonly #parts: MasterLinksParts;
  readonly #links = new Map<string, MasterLink>();
  #warmed = false;
  #cancelWarming: CancelTimer | undefined;

  constructor(parts: MasterLinksParts) {
    this.#parts = parts;
  }

  /** The connection that there is, usable or not. */
  get(address: string): MasterLink | undefined {
    return this.#links.get(address);
  }

  /** The connection to `address`, which is dialled when there is none. */
  to(address: string): MasterLink {
    const present = this.#links.get(address);
    if (present !== undefined) return present;
    const link = this.#parts.dial(address);
    this.#links.set(address, link);
    return link;
  }

  /** `link` broke. */
  forget(link: MasterLink): void {
    if (this.#links.get(link.address) === link) this.#links.delete(link.address);
  }

  /**
   * A master answered: in a while the others are dialled, too, and connections that nothing needs are closed. A client
   * that asks nobody dials nobody.
   */
  answered(): void {
    if (this.#cancelWarming !== undefined) return;
    const { timers, random } = this.#parts;
    const delayMs = this.#warmed ? WARM_EVERY_MS * (0.5 + random.next()) : WARM_FIRST_MS;
    this.#cancelWarming = timers.after(delayMs, () => this.#warm());
  }

  /** Closes all of them; none is made any more unless it is asked for. */
  close(): void {
    this.#cancelWarming?.();
    for (const link of this.#links.values()) link.close();
    this.#links.clear();
  }

  #warm(): void {
    this.#cancelWarming = undefined;
    this.#warmed = true;
    const warm = new Set(this.#parts.warm().slice(0, WARM_MAX));
    for (const [address, link] of this.#links) {
      if (warm.has(address) || this.#parts.asks(address) || link.inFlight.size > 0) continue;
      link.close();
      this.#links.delete(address);
    }
    for (const address of warm) this.to(address);
  }
}
