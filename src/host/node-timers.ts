import type { CancelTimer, Timers } from '../base/clock.ts';

/** The timers of the event loop. `setInterval` makes up no missed runs, which is what `Timers` promises. */
export const nodeTimers: Timers = Object.freeze({
  after(delayMs: number, task: () => void): CancelTimer {
    const timer = setTimeout(task, delayMs);
    return () => clearTimeout(timer);
  },
  every(periodMs: number, task: () => void): CancelTimer {
    const timer = setInterval(task, periodMs);
    return () => clearInterval(timer);
  },
});
