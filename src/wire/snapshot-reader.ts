import type { SnapshotMeta } from '../raft/snapshot-meta.ts';

/** A row as the state store has it: the key begins with the letter of its table, the value with its checksum. */
export type SnapshotRow = readonly [key: string, value: Uint8Array];

/** What a reader asks for. */
export interface SnapshotOrder {
  /** Id of a snapshot that was opened before, to go on with it; a new one is opened when it is gone. */
  readonly resume?: string;
  /**
   * For a backup: everything that was acknowledged before shall be in it. The master does not keep its log from there
   * on, as it does for who will go on with it.
   */
  readonly latest?: boolean;
}

/** A snapshot that is held open. */
export interface SnapshotHeader {
  readonly id: string;
  /** Of the namespace; empty before it is formatted. */
  readonly clusterId: string;
  readonly meta: SnapshotMeta;
  /** How many rows there are, roughly. */
  readonly expectedRows: number;
}

/** The next rows of a snapshot, in key order. */
export interface SnapshotChunk {
  /** See `encodeSnapshotRows`. */
  readonly rows: Uint8Array;
  /** CRC-32 of the encoded rows of all chunks from the first to this one, however they were cut. */
  readonly chain: number;
  /** Nothing follows. */
  readonly last: boolean;
}

/** One master's snapshots, at that master or from afar. */
export interface SnapshotReader {
  /**
   * Holds the state of now still until it is closed, or not read for a while.
   * @throws SluiceError EXHAUSTED when too many are open, UNAVAILABLE
   */
  open(order: SnapshotOrder): Promise<SnapshotHeader>;
  /**
   * The rows behind the key `after`, which ended a chunk of this snapshot, or the first ones when it is empty.
   * @throws SluiceError NOT_FOUND when the snapshot is gone: open another one and begin anew
   */
  read(id: string, after: string): Promise<SnapshotChunk>;
  /** Lets go of it. Idempotent. */
  close(id: string): Promise<void>;
}
