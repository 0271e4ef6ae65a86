import type { Refusal } from './errors.ts';
import type { Inode, InodeId } from './inode.ts';
import type { Mount, MountId } from './mount.ts';
import type {
  CompleteFileRequest,
  CreateFileRequest,
  DeleteRequest,
  MakeDirectoryRequest,
  MountRequest,
  RenameRequest,
  RequestId,
  SetAttributesRequest,
} from './operations.ts';
import type { Principal } from './principal.ts';
import type { WorkerId, WorkerRegistration } from './worker.ts';

/** One thing that a UFS has, as a listing or a look-up showed it. */
export interface UfsFact {
  /** Name in its directory, without slashes. */
  readonly name: string;
  readonly kind: 'file' | 'directory';
  readonly lengthBytes: number;
  /** ETag, or mtime and length: changes whenever the content does. Empty for directories. */
  readonly version: string;
  readonly modifiedMs: number;
  /** Absent where the UFS has no owners: the mount's are used. */
  readonly owner?: string;
  readonly group?: string;
  readonly mode?: number;
}

/**
 * What a look at the UFS proved about the children of one directory. `apply` inserts or updates `upserts`, deletes
 * `removals` (a name only when it still is the inode with that id and is persisted), never touches incomplete or only
 * cached files, and sets `childrenLoaded` when `complete`.
 */
export interface LoadMetadataCommand {
  readonly kind: 'loadMetadata';
  /** Directory whose children are described; refused with NOT_FOUND when it is gone. */
  readonly directoryId: InodeId;
  readonly upserts: readonly UfsFact[];
  readonly removals: readonly { readonly name: string; readonly id: InodeId }[];
  /** The last command of a listing that reached its end. */
  readonly complete: boolean;
}

/**
 * What changes replicated state. A name is an order, never a past; a kind never changes its meaning. `persisted` says
 * that the UFS has it already: the leader does the UFS's part before it proposes.
 */
export type Command =
  | ({ readonly kind: 'createFile' } & CreateFileRequest)
  | ({ readonly kind: 'completeFile' } & CompleteFileRequest)
  | ({ readonly kind: 'makeDirectory'; readonly persisted: boolean } & MakeDirectoryRequest)
  | ({ readonly kind: 'delete' } & DeleteRequest)
  | ({ readonly kind: 'rename' } & RenameRequest)
  | ({ readonly kind: 'setAttributes' } & SetAttributesRequest)
  | ({ readonly kind: 'mount' } & MountRequest)
  | { readonly kind: 'unmount'; readonly path: string }
  | LoadMetadataCommand
  /** Removes what an earlier delete or unmount detached: children first, in bounded batches. */
  | { readonly kind: 'purge'; readonly entries: readonly { readonly parentId: InodeId; readonly name: string }[] }
  | { readonly kind: 'registerWorker'; readonly worker: WorkerRegistration }
  | { readonly kind: 'setWorkerState'; readonly id: WorkerId; readonly state: 'live' | 'lost' }
  /** Removes sessions that were idle since before `idleSinceMs`, at most 1,000 at a time. */
  | { readonly kind: 'expireSessions'; readonly clients: readonly string[]; readonly idleSinceMs: number };

export type CommandKind = Command['kind'];

/** A command as the leader proposes it: nothing else may influence `apply`. */
export interface StampedCommand {
  /** Leader's wall clock; `apply` uses the larger of this and the last one, so log time never runs backwards. */
  readonly atMs: number;
  readonly principal: Principal;
  readonly requestId?: RequestId;
  readonly command: Command;
}

/** What `apply` answers; stored with the session so that a retry gets the same one. */
export type Outcome =
  | { readonly kind: 'done' }
  | { readonly kind: 'inode'; readonly path: string; readonly inode: Inode }
  | { readonly kind: 'mount'; readonly mount: Mount }
  | { readonly kind: 'refused'; readonly refusal: Refusal };

/** What a background service of the leader may want to know about an applied command. Not state: may be dropped. */
export type Notice =
  /** The content of this file is no longer reachable: workers may forget its pages. */
  | { readonly kind: 'contentDropped'; readonly id: InodeId }
  /** A subtree waits for purge commands. */
  | { readonly kind: 'detached'; readonly id: InodeId }
  | { readonly kind: 'mountsChanged'; readonly mountId: MountId }
  | { readonly kind: 'workersChanged' };
