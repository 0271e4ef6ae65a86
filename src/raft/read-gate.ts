import type { RaftLog } from './log.ts';
import type { Term } from './position.ts';

/**
 * Before it commits an entry of its own term, a leader does not know how far its predecessors committed (thesis §6.4).
 */
export function mayServeReads(log: RaftLog, term: Term): boolean {
  return log.termAt(log.commit) === term;
}
