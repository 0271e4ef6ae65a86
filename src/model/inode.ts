/** A number below 2^53, given once in the life of a cluster and never reused. */
export type InodeId = number;

/** The root that `format` makes. Unmounting `/` gives the namespace a fresh root: find the root at `ROOT_KEY`. */
export const ROOT_INODE_ID: InodeId = 1;

/** Parent of every detached subtree. Only a number for keys: it has no inode. */
export const TRASH_INODE_ID: InodeId = 2;

/** The first number that is given to an inode below the root. */
export const FIRST_INODE_ID: InodeId = 3;

export type TtlAction = 'free' | 'delete';

/** How bytes become safe; design §2.8. */
export type WriteType = 'MUST_CACHE' | 'THROUGH' | 'CACHE_THROUGH';

/**
 * Where the truth of a file's content is. `cached`: only on workers (MUST_CACHE, or not yet completed);
 * `persisted`: in the UFS under `ufsVersion`; directories are `persisted` when the UFS has them too.
 */
export type Persistence = 'cached' | 'persisted';

interface InodeBase {
  readonly id: InodeId;
  readonly owner: string;
  readonly group: string;
  /** Permission bits, 0..0o7777. */
  readonly mode: number;
  readonly createdMs: number;
  readonly modifiedMs: number;
  readonly accessedMs: number;
  /** When the inode itself changed (POSIX ctime). */
  readonly changedMs: number;
  readonly pinned: boolean;
  /** Milliseconds after `createdMs` at which `ttlAction` is due; -1 never. */
  readonly ttlMs: number;
  readonly ttlAction: TtlAction;
  readonly persistence: Persistence;
}

export interface FileInode extends InodeBase {
  readonly kind: 'file';
  readonly lengthBytes: number;
  readonly blockSizeBytes: number;
  readonly complete: boolean;
  readonly writeType: WriteType;
  /**
   * What the pages of this content are named by. Persisted files: the UFS's version (ETag, or mtime and length); cached
   * ones: a version of our own that starts with `c:`. Empty while the file is incomplete.
   */
  readonly version: string;
}

export interface DirectoryInode extends InodeBase {
  readonly kind: 'directory';
  readonly childCount: number;
  /** Whether all children that the UFS had at some time have been loaded; always true where no UFS is mounted. */
  readonly childrenLoaded: boolean;
  /** Whether a UFS is mounted exactly here; its row has this directory's path as key. */
  readonly mountPoint: boolean;
  /** Mount points strictly below: such a directory is neither deleted nor renamed. */
  readonly mountsBelow: number;
}

export type Inode = FileInode | DirectoryInode;

/**
 * Version of a content that only workers have, known before the first byte is written: numbers are never reused and a
 * file is completed once, so no other content ever has it.
 */
export function cachedVersion(id: InodeId): string {
  return `c:${id}`;
}
