import type { Inode, InodeId, Persistence, TtlAction, WriteType } from './inode.ts';
import type { MountId } from './mount.ts';
import { nameOf } from './path.ts';

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

/** An inode with what its place in the namespace says about it. */
export interface Located {
  readonly path: string;
  readonly inode: Inode;
  /** See `FileStatus.mountId`. */
  readonly mountId: MountId;
  /** See `FileStatus.ufsPath`. */
  readonly ufsPath: string;
}

/** What clients see of `located`. */
export function fileStatus(located: Located): FileStatus {
  const { path, inode, mountId, ufsPath } = located;
  const file = inode.kind === 'file' ? inode : undefined;
  const directory = inode.kind === 'directory' ? inode : undefined;
  return {
    path,
    name: nameOf(path),
    id: inode.id,
    kind: inode.kind,
    lengthBytes: file?.lengthBytes ?? 0,
    blockSizeBytes: file?.blockSizeBytes ?? 0,
    complete: file?.complete ?? true,
    owner: inode.owner,
    group: inode.group,
    mode: inode.mode,
    createdMs: inode.createdMs,
    modifiedMs: inode.modifiedMs,
    accessedMs: inode.accessedMs,
    changedMs: inode.changedMs,
    pinned: inode.pinned,
    ttlMs: inode.ttlMs,
    ttlAction: inode.ttlAction,
    persistence: inode.persistence,
    writeType: file?.writeType ?? 'MUST_CACHE',
    version: file?.version ?? '',
    childCount: directory?.childCount ?? 0,
    mountPoint: directory?.mountPoint ?? false,
    mountId,
    ufsPath,
  };
}
