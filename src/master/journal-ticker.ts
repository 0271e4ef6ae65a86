import type { JournalMetrics } from './journal-metrics.ts';
import type { JournalParts } from './journal-parts.ts';
import { Ticker } from './ticker.ts';

/** The clock of elections and heartbeats. */
export function journalTicker(parts: JournalParts, metrics: JournalMetrics, tick: () => void): Ticker {
  const { clock, timers, tickMs, limits, logger } = parts;
  return new Ticker({
    clock,
    timers,
    periodMs: tickMs,
    stallMs: (limits.electionTicks * tickMs) / 2,
    tick,
    stalled: (lateMs) => {
      metrics.stalled(lateMs);
      logger.warn({ lateMs: Math.round(lateMs) }, 'this process stood still');
    },
  });
}
