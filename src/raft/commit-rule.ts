import type { RaftLog } from './log.ts';
import type { LogIndex, Term } from './position.ts';

/** Only entries of the leader's own term are committed by counting copies; older ones follow with them (§5.4.2). */
export function mayCommit(log: RaftLog, index: LogIndex, term: Term): boolean {
  return log.termAt(index) === term;
}
