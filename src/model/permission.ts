import type { Refusal } from './errors.ts';
import type { DirectoryInode, Inode } from './inode.ts';
import type { Caller } from './principal.ts';
import { refuse } from './refusal.ts';

/** Permission bits as in one digit of a mode. */
export type Access = 1 | 2 | 3 | 4 | 5 | 6 | 7;

export const EXECUTE = 1;
export const WRITE = 2;
export const WRITE_AND_EXECUTE = 3;
export const READ_AND_EXECUTE = 5;

const STICKY = 0o1000;
const ACCESS_WORDS = ['nothing', 'traverse', 'write', 'write and traverse', 'read', 'list', 'read and write', 'all'];

/**
 * Whether `caller` has all the bits of `access` on `inode`, as POSIX decides it: only the first class that fits (owner,
 * group, others) counts, even when a later one would give more.
 */
export function mayAccess(caller: Caller, inode: Inode, access: Access): boolean {
  if (caller.superuser) return true;
  const shift = inode.owner === caller.user ? 6 : caller.groups.includes(inode.group) ? 3 : 0;
  return ((inode.mode >> shift) & access) === access;
}

/** Refuses with PERMISSION_DENIED unless `caller` has `access` on `inode` at `path`. */
export function checkAccess(caller: Caller, path: string, inode: Inode, access: Access): Refusal | undefined {
  if (mayAccess(caller, inode, access)) return undefined;
  const words = inode.kind === 'file' && access === EXECUTE ? 'execute' : (ACCESS_WORDS[access] ?? '');
  const rights = `owner ${inode.owner}, group ${inode.group}, mode ${inode.mode.toString(8).padStart(4, '0')}`;
  return refuse(
    'PERMISSION_DENIED',
    `User ${caller.user} may not ${words} ${path} (${rights}): its owner or a superuser can allow it with chmod`,
  );
}

/** Refuses unless `caller` owns `inode` or is a superuser. `what` completes "Only the owner can …". */
export function checkOwner(caller: Caller, path: string, inode: Inode, what: string): Refusal | undefined {
  if (caller.superuser || inode.owner === caller.user) return undefined;
  return refuse(
    'PERMISSION_DENIED',
    `User ${caller.user} does not own ${path}: only its owner ${inode.owner} or a superuser can ${what}`,
  );
}

/** Refuses unless `caller` is a superuser. `what` is what was asked, e.g. `mount`. */
export function checkSuperuser(caller: Caller, what: string): Refusal | undefined {
  if (caller.superuser) return undefined;
  return refuse('PERMISSION_DENIED', `User ${caller.user} may not ${what}: ask a superuser to do it`);
}

/** Refuses the removal of an entry from a sticky directory to all but the owners of the two, as POSIX does. */
export function checkSticky(caller: Caller, parent: DirectoryInode, path: string, inode: Inode): Refusal | undefined {
  if ((parent.mode & STICKY) === 0 || caller.superuser) return undefined;
  if (inode.owner === caller.user || parent.owner === caller.user) return undefined;
  return refuse(
    'PERMISSION_DENIED',
    `User ${caller.user} does not own ${path}, and its directory is sticky: its owner ${inode.owner} can do it`,
  );
}
