import type { Clock } from '../base/clock.ts';

/** The clock of this machine. */
export const systemClock: Clock = Object.freeze({
  wallMs: () => Date.now(),
  monotonicMs: () => performance.now(),
});
