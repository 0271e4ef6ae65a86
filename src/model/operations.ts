import type { TtlAction, WriteType } from './inode.ts';
import type { Mount } from './mount.ts';
import type { FileStatus } from './status.ts';
import type { WorkerList } from './worker.ts';

/**
 * Makes a retried command harmless: the masters remember the answer to each `sequence` of a `client` until the client
 * says, by `acknowledgedBelow`, that it has seen the answers to all smaller ones.
 */
export interface RequestId {
  /** UUID that the client made at its start. */
  readonly client: string;
  /** Counts the client's mutating operations from 1; number 1 opens the session. */
  readonly sequence: number;
  /** Every sequence below this one has been answered. */
  readonly acknowledgedBelow: number;
}

export interface CreateFileRequest {
  readonly path: string;
  readonly mode: number;
  readonly writeType: WriteType;
  /** Bytes per block; 0 takes the cluster's default. */
  readonly blockSizeBytes: number;
  /** Make missing parent directories. */
  readonly recursive: boolean;
  /** Replace a complete file of that name. */
  readonly overwrite: boolean;
  /** The file is empty and complete at once. Without it, it is incomplete until `completeFile`. */
  readonly empty: boolean;
}

export interface CompleteFileRequest {
  readonly path: string;
  /** Identity that `createFile` returned; refused with NOT_FOUND when the path is another file by now. */
  readonly id: number;
  readonly lengthBytes: number;
  /** Version that the UFS gave for the written content; empty for files that are only cached. */
  readonly ufsVersion: string;
  /** UFS modification time of the written content, -1 when there is none. */
  readonly ufsModifiedMs: number;
}

export interface MakeDirectoryRequest {
  readonly path: string;
  readonly mode: number;
  readonly recursive: boolean;
  /** An existing directory is no error. */
  readonly allowExists: boolean;
}

export interface DeleteRequest {
  readonly path: string;
  /** Delete a directory with all that is below it. */
  readonly recursive: boolean;
  /** Forget it here but leave it in the UFS. */
  readonly keepUfs: boolean;
  /** Refuse with STALE unless the path is this inode; 0 accepts any. */
  readonly id: number;
}

export interface RenameRequest {
  readonly source: string;
  readonly target: string;
  /** Replace a file, or an empty directory, at `target`, as POSIX rename does. */
  readonly overwrite: boolean;
}

/** Absent fields stay as they are. */
export interface SetAttributesRequest {
  readonly path: string;
  readonly mode?: number;
  readonly owner?: string;
  readonly group?: string;
  readonly modifiedMs?: number;
  readonly accessedMs?: number;
  readonly pinned?: boolean;
  readonly ttlMs?: number;
  readonly ttlAction?: TtlAction;
}

export interface PathRequest {
  readonly path: string;
}

interface StatusRequest extends PathRequest {
  /** Look at the UFS first, however young what is known is; false when absent. */
  readonly sync?: boolean;
}

export interface ListRequest {
  readonly path: string;
  /** Also everything below, depth first, a directory before its children. */
  readonly recursive: boolean;
  /** Where the last page ended; empty for the first page. Opaque. */
  readonly cursor: string;
  /** Entries wanted at most, 1..10,000; 0 takes the default of 1,000. */
  readonly limit: number;
  /** Look at the UFS first, however young what is known is; false when absent. */
  readonly sync?: boolean;
}

export interface ListReply {
  /** May be fewer than asked for before the end: whoever waits for slow directories gets what there is. */
  readonly entries: readonly FileStatus[];
  /** Where the next page begins; empty at the end. */
  readonly cursor: string;
}

export interface MountRequest {
  readonly path: string;
  readonly uri: string;
  readonly options: Readonly<Record<string, string>>;
  readonly readOnly: boolean;
  readonly syncIntervalMs: number;
}

/** A mount as people see it: secrets in `options` are masked. */
export type MountInfo = Mount;

/**
 * Every metadata operation: name, request, reply. One handler table serves them as unary methods and inside sessions;
 * a refusal is a thrown SluiceError on both sides.
 */
export interface Operations {
  createFile: { request: CreateFileRequest; reply: FileStatus };
  completeFile: { request: CompleteFileRequest; reply: FileStatus };
  makeDirectory: { request: MakeDirectoryRequest; reply: FileStatus };
  delete: { request: DeleteRequest; reply: Record<never, never> };
  rename: { request: RenameRequest; reply: Record<never, never> };
  setAttributes: { request: SetAttributesRequest; reply: FileStatus };
  getStatus: { request: StatusRequest; reply: FileStatus };
  exists: { request: PathRequest; reply: { readonly exists: boolean } };
  listStatus: { request: ListRequest; reply: ListReply };
  mount: { request: MountRequest; reply: MountInfo };
  unmount: { request: PathRequest; reply: Record<never, never> };
  getMountTable: { request: Record<never, never>; reply: { readonly mounts: readonly MountInfo[] } };
  getWorkers: { request: Record<never, never>; reply: WorkerList };
}

export type OperationName = keyof Operations;

/** The operations that change replicated state: they need a RequestId to be retried safely. */
export const MUTATIONS: readonly OperationName[] = [
  'createFile',
  'completeFile',
  'makeDirectory',
  'delete',
  'rename',
  'setAttributes',
  'mount',
  'unmount',
];

/**
 * The operations that need only what is replicated: a master that does not lead may answer them, to clients that ask
 * for it. `getWorkers` is none of them, because only the leader hears from workers.
 */
export const STANDBY_READS = ['getStatus', 'exists', 'listStatus', 'getMountTable'] as const;

export type StandbyRead = (typeof STANDBY_READS)[number];
