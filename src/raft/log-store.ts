import type { Ballot } from './effect.ts';
import type { Entry } from './entry.ts';
import type { LogIndex, Position, Term } from './position.ts';

/** From `first` on, until the next run, entries have this term. */
export interface TermRun {
  readonly first: LogIndex;
  readonly term: Term;
}

/** What a store knows after it has verified itself. */
export interface StoredLog {
  readonly ballot: Ballot;
  /** The entry before the first one kept; ORIGIN when nothing was compacted. */
  readonly base: Position;
  readonly last: Position;
  readonly runs: readonly TermRun[];
  /** The largest commit index that was durably noted; never above `last.index`, nor below `base.index`. */
  readonly commit: LogIndex;
  /** All entries of kind `config` that are kept. */
  readonly configs: readonly Entry[];
}

/** One atomic, synced write; the same as the `write` effect. */
export interface LogWrite {
  readonly ballot?: Ballot;
  readonly truncateFrom?: LogIndex;
  readonly entries: readonly Entry[];
  readonly commit: LogIndex;
}

/**
 * A durable log. One write at a time (asserted), and beside it one compaction. An error of a change (`write`,
 * `compact`, `reset`) poisons the store, which refuses every later change: what is on disk is unknown, the caller stops
 * the node.
 */
export interface LogStore {
  /**
   * Verifies checksums, the chain and contiguity, and reads the ends of the log.
   * @throws SluiceError CORRUPT that names the index and what to do, when an acknowledged entry may be lost or damaged.
   */
  open(): Promise<StoredLog>;
  write(write: LogWrite): Promise<void>;
  /** Entries `from … to` (both included), cut after the one that reaches `maxBytes`; at least one entry. */
  read(from: LogIndex, to: LogIndex, maxBytes: number): Promise<readonly Entry[]>;
  /** Forgets entries up to and including `upTo`, which are committed. It may keep some of them, the newest. */
  compact(upTo: Position): Promise<void>;
  /**
   * Forgets all entries, whatever they were, and begins anew behind `base`: a snapshot at `base` is durably installed
   * before this is called. The ballot stays, the commit becomes `base.index`, and the chain restarts from a value made
   * of `base`. Atomic and synced. Not while a write or a compaction runs (asserted).
   */
  reset(base: Position): Promise<void>;
  close(): Promise<void>;
}
