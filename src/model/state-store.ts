import type { Outcome } from './command.ts';
import type { Inode, InodeId } from './inode.ts';
import type { Mount } from './mount.ts';
import type { WorkerRegistration, WorkerState } from './worker.ts';

/** Where an inode hangs. */
export interface Place {
  readonly parentId: InodeId;
  readonly name: string;
}

/** A session of a client. */
export interface SessionRow {
  readonly client: string;
  /** Answers below this sequence have been forgotten. */
  readonly acknowledgedBelow: number;
  /** Largest sequence seen. */
  readonly lastSequence: number;
  /** Log time of its last command. */
  readonly lastSeenMs: number;
}

/** A remembered answer. */
export interface ReplyRow {
  readonly outcome: Outcome;
}

export interface WorkerRow extends WorkerRegistration {
  readonly state: WorkerState;
  readonly registeredMs: number;
}

/** A detached subtree that is to be purged. */
export interface TrashRow {
  readonly id: InodeId;
}

/** Counters, one row with key ''. */
export interface CountersRow {
  readonly nextInodeId: number;
  readonly nextMountId: number;
  /** Log time: the largest stamp applied. */
  readonly logTimeMs: number;
  /** Grows with each change that moves the ring of workers. */
  readonly workersVersion: number;
  readonly mountsVersion: number;
}

/**
 * The replicated tables. Rows are frozen by convention: a change puts a new row. Keys are strings that are ordered by
 * code points.
 */
export interface Tables {
  /** Key `dentryKey(parentId, name)`: a directory's children stand together, in name order. */
  readonly inode: Inode;
  /** Key `idKey(id)`. */
  readonly place: Place;
  /** Key: mount path. */
  readonly mount: Mount;
  /** Key: client. */
  readonly session: SessionRow;
  /** Key `replyKey(client, sequence)`. */
  readonly reply: ReplyRow;
  /** Key: worker id. */
  readonly worker: WorkerRow;
  /** Key `idKey(id)`. */
  readonly trash: TrashRow;
  readonly counters: CountersRow;
}

export type TableName = keyof Tables;

/** The synchronous view of replicated state that `apply` and point reads use. */
export interface StateReader {
  get<T extends TableName>(table: T, key: string): Tables[T] | undefined;
}

/** What `apply` writes to; all writes of one journal entry become visible and durable together. */
export interface StateStore extends StateReader {
  put<T extends TableName>(table: T, key: string, row: Tables[T]): void;
  delete(table: TableName, key: string): void;
}

/** A range of keys: `prefix` first, then keys greater than `after` (when not empty). */
export interface ScanRange {
  readonly prefix: string;
  readonly after: string;
  readonly limit: number;
}

/** Ordered access for listings; consistent as of the call, although it answers later. */
export interface StateScanner {
  scan<T extends TableName>(
    table: T,
    range: ScanRange,
  ): Promise<readonly { readonly key: string; readonly row: Tables[T] }[]>;
}

const ID_DIGITS = 11;

/** Fixed-width key of an id, so that key order is numeric order. 36^11 is above 2^53. */
export function idKey(id: InodeId): string {
  return id.toString(36).padStart(ID_DIGITS, '0');
}

/** Key of a directory entry. */
export function dentryKey(parentId: InodeId, name: string): string {
  return `${idKey(parentId)}/${name}`;
}

/** Prefix of all entries of a directory. */
export function dentryPrefix(parentId: InodeId): string {
  return `${idKey(parentId)}/`;
}

export function replyKey(client: string, sequence: number): string {
  return `${client}/${sequence.toString(36).padStart(ID_DIGITS, '0')}`;
}
