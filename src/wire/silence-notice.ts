import type { CancelTimer, Clock, Timers } from '../base/clock.ts';
import type { Logger } from '../host/logger.ts';
import type { SluiceError } from '../model/errors.ts';

/** Longer than an election takes. */
const NOTICE_MS = 2_000;

export interface SilenceNoticeOptions {
  readonly clock: Clock;
  readonly timers: Timers;
  readonly logger: Logger;
  /** Whether somebody waits for an answer. */
  waiting(): boolean;
  /** Whether all that is waited for is with masters that live: what they were asked may take long. */
  reached(): boolean;
  /** What went wrong last, as far as anything did. */
  reason(): SluiceError | undefined;
}

/** Says once, when masters that were asked are not reached for a while, that they are still being tried, and why. */
export class SilenceNotice {
  readonly #options: SilenceNoticeOptions;
  #sinceMs = 0;
  #cancel: CancelTimer | undefined;
  #told = false;

  constructor(options: SilenceNoticeOptions) {
    this.#options = options;
  }

  /** A master is asked. @param alone nobody else waits for an answer */
  asks(alone: boolean): void {
    if (alone) this.#sinceMs = this.#options.clock.monotonicMs();
    if (this.#cancel === undefined && !this.#told) this.#lookAfter(NOTICE_MS);
  }

  /** A master answered. */
  heard(): void {
    this.#sinceMs = this.#options.clock.monotonicMs();
    this.#told = false;
  }

  /** Says nothing any more. */
  close(): void {
    this.#cancel?.();
    this.#told = true;
  }

  #lookAfter(delayMs: number): void {
    const { clock, timers, logger } = this.#options;
    this.#cancel = timers.after(delayMs, () => {
      this.#cancel = undefined;
      if (!this.#options.waiting()) return;
      const leftMs = this.#sinceMs + NOTICE_MS - clock.monotonicMs();
      if (leftMs > 0) return this.#lookAfter(leftMs);
      if (this.#options.reached()) return this.#lookAfter(NOTICE_MS);
      this.#told = true;
      logger.warn({ err: this.#options.reason() }, 'no master answers, still trying');
    });
  }
}
