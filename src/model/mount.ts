import type { InodeId } from './inode.ts';

/** Identifies a mount for ever; 0 is the part of the namespace that no UFS backs. */
export type MountId = number;

export const NO_MOUNT_ID: MountId = 0;

/** A UFS attached to a directory of the namespace. */
export interface Mount {
  readonly id: MountId;
  /** Absolute path of the mount point in the namespace. */
  readonly path: string;
  /** Inode of the mount point. */
  readonly inodeId: InodeId;
  /** Where the UFS is: `file:///data`, `s3://bucket/prefix`. */
  readonly uri: string;
  /** Options of the UFS, e.g. `s3.endpoint`; may hold secrets, see `visibleOptions`. */
  readonly options: Readonly<Record<string, string>>;
  readonly readOnly: boolean;
  /** After this long what is known of the UFS is looked up anew; 0 at each access, -1 never. */
  readonly syncIntervalMs: number;
  readonly mountedMs: number;
}

const SECRET = /secret|password|token|credential/i;

/** The options of a mount with every secret value replaced, for people and logs. */
export function visibleOptions(options: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(options).map(([key, value]) => [key, SECRET.test(key) ? '******' : value]));
}
