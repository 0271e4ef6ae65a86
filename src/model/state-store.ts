import type { Outcome } from './command.ts';
import { type Inode, type InodeId, TRASH_INODE_ID } from './inode.ts';
import type { Mount, MountId } from './mount.ts';
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
interface ReplyRow {
  readonly outcome: Outcome;
}

export interface WorkerRow extends WorkerRegistration {
  readonly state: WorkerState;
  readonly registeredMs: number;
}

/**
 * A detached directory that is to be purged. Its inode hangs at `trashPlace(id)`, so that its children are found at
 * `dentryPrefix(id)` as those of every directory are.
 */
interface TrashRow {
  readonly id: InodeId;
}

/** All mounts, to find overlaps; one row with key ''. Bounded by the number of mounts that is allowed. */
interface MountIndexRow {
  readonly mounts: readonly MountIndexEntry[];
}

export interface MountIndexEntry {
  readonly id: MountId;
  readonly path: string;
  readonly uri: string;
  /** Value of the option that names the UFS's endpoint; empty when there is none. */
  readonly endpoint: string;
}

/** Which cluster this state belongs to; one row with key ''. */
interface ClusterRow {
  readonly clusterId: string;
  readonly formattedMs: number;
  /** How often the namespace came out of a backup: 0 when absent. What was known of an earlier epoch may be wrong. */
  readonly epoch?: number;
  /** Numbers of inodes that a restore has passed over, because a future that it lost may have used them. */
  readonly skippedIds?: readonly { readonly from: InodeId; readonly below: InodeId }[];
}

/** Counters, one row with key ''. */
export interface CountersRow {
  readonly nextInodeId: number;
  readonly nextMountId: number;
  /** Rows of the inode table: the root, everything below it, and what waits to be purged. */
  readonly inodeCount: number;
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
  /** Key ''. */
  readonly mountIndex: MountIndexRow;
  /** Key ''. */
  readonly cluster: ClusterRow;
  /** Key ''. */
  readonly counters: CountersRow;
}

export type TableName = keyof Tables;

/** Tables whose rows are read and written by their keys. Replies have ways of their own, by client and sequence. */
export type KeyedTable = Exclude<TableName, 'reply'>;

/** Every table, in a fixed order. */
export const TABLE_NAMES: readonly TableName[] = [
  'inode',
  'place',
  'mount',
  'session',
  'reply',
  'worker',
  'trash',
  'mountIndex',
  'cluster',
  'counters',
];

/** The synchronous view of replicated state that `apply` and point reads use. */
export interface StateReader {
  get<T extends KeyedTable>(table: T, key: string): Tables[T] | undefined;
  reply(client: string, sequence: number): Tables['reply'] | undefined;
}

/**
 * What `apply` writes to. `get` sees what was put and deleted before it, in the same entry too; all writes of one
 * journal entry become durable, and visible to scans, together. Deleting a key that is absent does nothing.
 */
export interface StateStore extends StateReader {
  put<T extends KeyedTable>(table: T, key: string, row: Tables[T]): void;
  /** As `put`, by a caller who knows that no row has the key: such a row may be deleted again without a trace. */
  insert<T extends KeyedTable>(table: T, key: string, row: Tables[T]): void;
  delete(table: KeyedTable, key: string): void;
  /** Remembers the answer to a request that has none. */
  insertReply(client: string, sequence: number, reply: Tables['reply']): void;
  /** Forgets the answers to the requests `from … below`, as far as there are any. */
  deleteReplies(client: string, from: number, below: number): void;
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

/** `ZEROS[n]` fills up a number of n digits: a fifth of the time of `padStart`, for what each command does. */
const ZEROS: readonly string[] = Array.from({ length: ID_DIGITS + 1 }, (_, digits) => '0'.repeat(ID_DIGITS - digits));
const KNOWN_PREFIXES_MAX = 1024;
/** Of directories that were lately used; only saves time. */
const knownPrefixes = new Map<InodeId, string>();

/** Fixed-width key of an id, so that key order is numeric order. 36^11 is above 2^53. */
export function idKey(id: InodeId): string {
  const digits = id.toString(36);
  return ZEROS[digits.length] + digits;
}

/** Key of a directory entry. */
export function dentryKey(parentId: InodeId, name: string): string {
  return dentryPrefix(parentId) + name;
}

/** Prefix of all entries of a directory. */
export function dentryPrefix(parentId: InodeId): string {
  const known = knownPrefixes.get(parentId);
  if (known !== undefined) return known;
  const prefix = `${idKey(parentId)}/`;
  if (knownPrefixes.size >= KNOWN_PREFIXES_MAX) knownPrefixes.clear();
  knownPrefixes.set(parentId, prefix);
  return prefix;
}

/** Where the root hangs: below no inode, without a name. */
export const ROOT_PLACE: Place = Object.freeze({ parentId: 0, name: '' });

/** Key of the root's inode. */
export const ROOT_KEY: string = dentryKey(ROOT_PLACE.parentId, ROOT_PLACE.name);

/** Where a detached directory hangs. */
export function trashPlace(id: InodeId): Place {
  return { parentId: TRASH_INODE_ID, name: idKey(id) };
}

/** Key of a remembered answer; a client's answers stand together, by sequence. */
export function replyKey(client: string, sequence: number): string {
  return `${client}/${idKey(sequence)}`;
}
