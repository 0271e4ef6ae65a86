import type { UfsFact } from '../model/command.ts';
import type { Inode } from '../model/inode.ts';

/**
 * Whether the UFS alone is the truth of this inode, so that a look at the UFS may change or remove it. Files that are
 * being written or only cached are ours, and so are directories that the UFS does not have.
 */
export function isOfUfs(inode: Inode): boolean {
  if (inode.persistence !== 'persisted') return false;
  return inode.kind === 'file' ? inode.complete : !inode.mountPoint;
}

/**
 * Whether what the UFS has is other content than what is known. Rights are not compared: many UFSs cannot keep what was
 * set through us, and would win over it at each look.
 */
export function differs(inode: Inode, fact: UfsFact): boolean {
  if (inode.kind !== fact.kind) return true;
  return inode.kind === 'file' && (inode.version !== fact.version || inode.lengthBytes !== fact.lengthBytes);
}
