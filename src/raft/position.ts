/** Number of an election; 0 before the first. */
export type Term = number;

/** Index of a log entry; the first is 1, 0 means none. */
export type LogIndex = number;

/** Name of a member, unique in the cluster; addresses are looked up elsewhere. */
export type NodeId = string;

/** A place in the log. Two logs that agree on one position agree on all before it (Raft §5.3). */
export interface Position {
  readonly term: Term;
  readonly index: LogIndex;
}

export const ORIGIN: Position = Object.freeze({ term: 0, index: 0 });

/**
 * Whether a log that ends at `a` is at least as up to date as one that ends at `b`: term first, then index (§5.4.1).
 */
export function isUpToDate(a: Position, b: Position): boolean {
  return a.term !== b.term ? a.term > b.term : a.index >= b.index;
}
