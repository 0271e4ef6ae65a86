import type { CancelTimer, Clock, Timers } from '../base/clock.ts';

export interface TickerOptions {
  readonly clock: Clock;
  readonly timers: Timers;
  readonly periodMs: number;
  /** A tick that comes later than this after its time tells that this process stood still. */
  readonly stallMs: number;
  tick(): void;
  /** This process did not run for `lateMs`: silence of others during that time says nothing about them. */
  stalled(lateMs: number): void;
}

/** Two ticks are at least so much of a period apart, however late the first was: leases rely on it. */
export const SHORTEST_TICK = 0.9;

/** Ticks that are skipped after a stall: by then what arrived meanwhile has been read. */
const SKIPPED_AFTER_STALL = 2;

/**
 * Turns time into ticks: one at most per period, none is made up. After a stall of the event loop it reports the stall
 * and skips ticks instead of letting them fire an election before the messages of the leader, which wait in the
 * sockets, are read (measured: a wall-clock timer misfires after nearly every stall).
 */
export class Ticker {
  readonly #options: TickerOptions;
  readonly #cancel: CancelTimer;
  #dueMs: number;
  #lastMs = Number.NEGATIVE_INFINITY;
  #skip = 0;

  constructor(options: TickerOptions) {
    this.#options = options;
    this.#dueMs = options.clock.monotonicMs() + options.periodMs;
    this.#cancel = options.timers.every(options.periodMs, () => this.#fire());
  }

  stop(): void {
    this.#cancel();
  }

  #fire(): void {
    const { clock, periodMs, stallMs } = this.#options;
    const now = clock.monotonicMs();
    if (now - this.#lastMs < periodMs * SHORTEST_TICK) return;
    this.#lastMs = now;
    const lateMs = now - this.#dueMs;
    this.#dueMs = now + periodMs;
    if (lateMs > stallMs) {
      this.#skip = SKIPPED_AFTER_STALL;
      this.#options.stalled(lateMs);
    }
    if (this.#skip > 0) this.#skip -= 1;
    else this.#options.tick();
  }
}
