import type { LogIndex, Term } from './position.ts';

/**
 * `noop`: a leader's first entry of its term; `command`: opaque to Raft; `config`: a membership (see membership.ts).
 */
export type EntryKind = 'noop' | 'command' | 'config';

/**
 * One log entry. `bytes` pass through the core untouched and are not kept by it; whoever made the entry must not change
 * them afterwards.
 */
export interface Entry {
  readonly term: Term;
  readonly index: LogIndex;
  readonly kind: EntryKind;
  readonly bytes: Uint8Array;
}

/** What an entry costs in queues, frames and memory beyond its bytes. */
export const ENTRY_OVERHEAD_BYTES = 32;

export function entrySizeBytes(entry: Entry): number {
  return entry.bytes.length + ENTRY_OVERHEAD_BYTES;
}
