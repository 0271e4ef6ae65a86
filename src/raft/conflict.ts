import type { Entry } from './entry.ts';
import type { RaftLog } from './log.ts';

/**
 * How many of `entries` the log holds already, with the same terms. The first one behind them is new, or is where the
 * logs differ: only such a proven difference may remove entries (a late append must not remove newer ones).
 */
export function alreadyHeld(log: RaftLog, entries: readonly Entry[]): number {
  if ((entries[0]?.index ?? 0) > log.last.index) return 0;
  let held = 0;
  for (const entry of entries) {
    if (entry.index > log.base.index && log.termAt(entry.index) !== entry.term) break;
    held += 1;
  }
  return held;
}
