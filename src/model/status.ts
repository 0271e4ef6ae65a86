import type { InodeId, Persistence, TtlAction, WriteType } from './inode.ts';
import type { MountId } from './mount.ts';

/** What clients see of a file or directory. */
export interface FileStatus {
  readonly path: string;
  /** Last component of `path`; empty for the root. */
  readonly name: string;
  readonly id: InodeId;
  readonly kind: 'file' | 'directory';
  readonly lengthBytes: number;
  readonly blockSizeBytes: number;
  /** False while a file is being written; always true for directories. */
  readonly complete: boolean;
  readonly owner: string;
  readonly group: string;
  readonly mode: number;
  readonly createdMs: number;
  readonly modifiedMs: number;
  readonly accessedMs: number;
  readonly changedMs: number;
  readonly pinned: boolean;
  readonly ttlMs: number;
  readonly ttlAction: TtlAction;
  readonly persistence: Persistence;
  readonly writeType: WriteType;
  /** Names the content, see `FileInode.version`; empty for directories and incomplete files. */
  readonly version: string;
  /** Direct children of a directory that are known; 0 for files. */
  readonly childCount: number;
  readonly mountPoint: boolean;
  /** Mount that backs this path; 0 when none does. */
  readonly mountId: MountId;
  /** Path inside the mounted UFS, relative to the mount's URI, without leading slash; empty when no UFS backs it. */
  readonly ufsPath: string;
}
