import type { CancelTimer, Clock, Timers } from '../../src/base/clock.ts';

interface Timer {
  dueMs: number;
  readonly delayMs: number;
  readonly periodMs: number | undefined;
  readonly task: () => void;
}

/** Time that stands still until the test moves it. */
export class ManualTime implements Clock, Timers {
  readonly #timers = new Set<Timer>();
  #nowMs = 1_000;

  wallMs(): number {
    return 1_700_000_000_000 + this.#nowMs;
  }

  monotonicMs(): number {
    return this.#nowMs;
  }

  after(delayMs: number, task: () => void): CancelTimer {
    return this.#add({ dueMs: this.#nowMs + delayMs, delayMs, periodMs: undefined, task });
  }

  every(periodMs: number, task: () => void): CancelTimer {
    return this.#add({ dueMs: this.#nowMs + periodMs, delayMs: periodMs, periodMs, task });
  }

  /** Timers that wait. */
  get pending(): number {
    return this.#timers.size;
  }

  /** Resolves when a timer of this delay waits; something that takes real time may start it. */
  async armed(delayMs: number): Promise<void> {
    while (![...this.#timers].some((timer) => timer.delayMs === delayMs)) await turns(1);
  }

  /** Moves time on and runs what becomes due, in order; what it starts gets its turns in between. */
  async advance(ms: number): Promise<void> {
    const end = this.#nowMs + ms;
    for (;;) {
      await turns();
      const due = [...this.#timers].filter((timer) => timer.dueMs <= end).sort((a, b) => a.dueMs - b.dueMs)[0];
      if (due === undefined) break;
      this.#nowMs = Math.max(this.#nowMs, due.dueMs);
      if (due.periodMs === undefined) this.#timers.delete(due);
      else due.dueMs += due.periodMs;
      due.task();
    }
    this.#nowMs = end;
    await turns();
  }

  #add(timer: Timer): CancelTimer {
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }
}

/** Lets everything run that only waits for the event loop. */
export async function turns(count = 20): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise<void>((resolve) => setImmediate(resolve));
}
