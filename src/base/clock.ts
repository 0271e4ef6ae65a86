/** Time as the rooms see it; production and tests give different ones. */
export interface Clock {
  /** Wall-clock time in milliseconds since 1970. May step; never use it to measure durations. */
  wallMs(): number;
  /** Monotonic time in milliseconds with an arbitrary origin; use it to measure durations. */
  monotonicMs(): number;
}

/** Stops a timer; calling it twice does no harm. */
export type CancelTimer = () => void;

/** Timers as the rooms see them, so that tests own time. */
export interface Timers {
  /** Runs `task` once after `delayMs`. */
  after(delayMs: number, task: () => void): CancelTimer;
  /** Runs `task` every `periodMs`; runs that were missed while the event loop stalled are not made up. */
  every(periodMs: number, task: () => void): CancelTimer;
}
