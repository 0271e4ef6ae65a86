import type { Refusal } from './errors.ts';
import type { InodeId } from './inode.ts';
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
import type { Caller } from './principal.ts';
import type { Located } from './status.ts';
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
 * cached files, mount points, or directories that still have children (so remove bottom-up), and sets
 * `childrenLoaded` when `complete`. What a fact says of owner, group and mode wins over what is known.
 */
export interface LoadMetadataCommand {
  readonly kind: 'loadMetadata';
  /** Directory whose children are described; refused with NOT_FOUND when it is gone. */
  readonly directoryId: InodeId;
  /** Names must pass `checkName`: the leader leaves out (and reports) what cannot be named here. */
  readonly upserts: readonly UfsFact[];
  readonly removals: readonly { readonly name: string; readonly id: InodeId }[];
  /** The last command of a listing that reached its end. */
  readonly complete: boolean;
  /** Block size of files that are inserted. */
  readonly blockSizeBytes: number;
}

/** The first command of a cluster: makes the root and the counters. Everything before it is refused. */
export interface FormatCommand {
  readonly kind: 'format';
  /** UUID; formatting again under the same one does nothing, under another is refused. */
  readonly clusterId: string;
  /** Owner and group of the root, whose mode is 0755. */
  readonly owner: string;
  readonly group: string;
}

/** The states of the masters were not all the same. */
export interface DigestVerdict {
  /** The entry at which they were compared. */
  readonly index: number;
  /** What more than half of the masters have; empty when no digest has a majority. */
  readonly digest: string;
  /** The masters that have another one; empty without a majority. */
  readonly differing: readonly string[];
}

/**
 * What changes replicated state. A name is an order, never a past; a kind never changes its meaning. `persisted` says
 * that the UFS has it already: the leader does the UFS's part before it proposes.
 */
export type Command =
  | FormatCommand
  /**
   * `blockSizeBytes` is resolved (not 0). `ufsVersion`: what the UFS calls the empty file that the leader has put there
   * for `empty` with a write type that needs it; empty otherwise.
   */
  | ({ readonly kind: 'createFile'; readonly ufsVersion: string } & CreateFileRequest)
  | ({ readonly kind: 'completeFile' } & CompleteFileRequest)
  | ({ readonly kind: 'makeDirectory'; readonly persisted: boolean } & MakeDirectoryRequest)
  | ({ readonly kind: 'delete' } & DeleteRequest)
  /** `ufsVersion`: what the UFS calls the renamed file's content afterwards; empty keeps the version. */
  | ({ readonly kind: 'rename'; readonly ufsVersion: string } & RenameRequest)
  | ({ readonly kind: 'setAttributes' } & SetAttributesRequest)
  | ({ readonly kind: 'mount' } & MountRequest)
  | { readonly kind: 'unmount'; readonly path: string }
  | LoadMetadataCommand
  /**
   * Takes children out of detached directories (each `parentId` has a trash row; others are passed over), 10,000 at
   * most. Files and empty directories vanish; a directory with children becomes a detached one itself; a detached
   * directory vanishes with its last child. So: scan the trash table, scan children, propose, until the table is empty.
   */
  | { readonly kind: 'purge'; readonly entries: readonly { readonly parentId: InodeId; readonly name: string }[] }
  | { readonly kind: 'registerWorker'; readonly worker: WorkerRegistration }
  | { readonly kind: 'setWorkerState'; readonly id: WorkerId; readonly state: 'live' | 'lost' }
  /** Removes sessions that were idle since before `idleSinceMs`, at most 1,000 at a time. */
  | { readonly kind: 'expireSessions'; readonly clients: readonly string[]; readonly idleSinceMs: number }
  /** Changes nothing: every master takes the digest of its state as this entry leaves it. */
  | { readonly kind: 'takeDigest' }
  /** Changes nothing: tells every master what came of comparing the digests that were taken at an entry. */
  | ({ readonly kind: 'judgeDigests' } & DigestVerdict);

export type CommandKind = Command['kind'];

/** The command of one kind. */
export type CommandOf<K extends CommandKind> = Extract<Command, { readonly kind: K }>;

/** A command as the leader proposes it: nothing else may influence `apply`. */
export interface StampedCommand {
  /** Leader's wall clock; `apply` uses the larger of this and the last one, so log time never runs backwards. */
  readonly atMs: number;
  readonly principal: Caller;
  readonly requestId?: RequestId;
  readonly command: Command;
}

/** What `apply` answers; stored with the session so that a retry gets the same one. */
export type Outcome =
  | { readonly kind: 'done' }
  /** What was made, completed or changed; `fileStatus` shows it to clients. */
  | ({ readonly kind: 'inode' } & Located)
  | { readonly kind: 'mount'; readonly mount: Mount }
  | { readonly kind: 'refused'; readonly refusal: Refusal };

/** What a background service of the leader may want to know about an applied command. Not state: may be dropped. */
export type Notice =
  /** The content of this file is no longer reachable: workers may forget its pages. */
  | { readonly kind: 'contentDropped'; readonly id: InodeId }
  /** A subtree waits for purge commands. */
  | { readonly kind: 'detached'; readonly id: InodeId }
  /**
   * What was known about this path (with `subtree`, and about all below it) is no longer right; nor are its parent's
   * status and listing.
   */
  | { readonly kind: 'changed'; readonly path: string; readonly subtree: boolean }
  | { readonly kind: 'mountsChanged'; readonly mountId: MountId }
  | { readonly kind: 'workersChanged' }
  | { readonly kind: 'takeDigest' }
  | ({ readonly kind: 'judgeDigests' } & DigestVerdict);

/** What came of a command. */
export interface Applied {
  readonly outcome: Outcome;
  readonly notices: readonly Notice[];
}
