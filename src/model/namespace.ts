import { assert, must } from '../base/assert.ts';
import type { Refusal } from './errors.ts';
import { type DirectoryInode, type Inode, type InodeId, TRASH_INODE_ID } from './inode.ts';
import { type Mount, NO_MOUNT_ID } from './mount.ts';
import { isBelow, namesOf, parsePath, pathOfNames } from './path.ts';
import { checkAccess, EXECUTE, mayAccess } from './permission.ts';
import type { Caller } from './principal.ts';
import { isRefusal, refuse } from './refusal.ts';
import { dentryKey, idKey, ROOT_KEY, ROOT_PLACE, type StateReader } from './state-store.ts';
import { type FileStatus, fileStatus, type Located } from './status.ts';

/** A path and what of it exists. */
export interface Walk {
  readonly path: string;
  readonly names: readonly string[];
  /** The root, then the inode of each name as far as there are any; all but the last are directories. */
  readonly chain: readonly Inode[];
  /** The keys of the rows of `chain`, then that of the first name that does not exist. */
  readonly keys: readonly string[];
  /** The mount that backs the path; that of the deepest directory that exists. */
  readonly mount: Mount | undefined;
}

/** A directory and the key of its row. */
export interface DirectoryRef {
  readonly id: InodeId;
  readonly key: string;
}

/** Follows a normal path from the root: one read for each name, and one for the mount when there is one. */
export function walk(reader: StateReader, path: string): Walk {
  const names = namesOf(path);
  let inode: Inode = must(reader.get('inode', ROOT_KEY), 'The namespace has a root');
  const chain: Inode[] = [inode];
  const keys: string[] = [ROOT_KEY];
  let mountDepth = isMountPoint(inode) ? 0 : -1;
  for (const name of names) {
    if (inode.kind !== 'directory') break;
    const key = dentryKey(inode.id, name);
    keys.push(key);
    const child = reader.get('inode', key);
    if (child === undefined) break;
    chain.push(child);
    inode = child;
    if (isMountPoint(inode)) mountDepth = chain.length - 1;
  }
  if (mountDepth < 0) return { path, names, chain, keys, mount: undefined };
  const mountPath = pathOfNames(names, mountDepth);
  return {
    path,
    names,
    chain,
    keys,
    mount: must(reader.get('mount', mountPath), `Mount point ${mountPath} has a row`),
  };
}

/** The inode at the end of the path, when all of it exists. */
export function target(walked: Walk): Inode | undefined {
  return walked.chain.length === walked.names.length + 1 ? walked.chain.at(-1) : undefined;
}

/** The inode `depth` names below the root. */
export function inodeAt(walked: Walk, depth: number): Inode {
  return must(walked.chain[depth], `${walked.path} exists to depth ${depth}`);
}

/** The directory `depth` names below the root. */
export function directoryAt(walked: Walk, depth: number): DirectoryInode {
  const inode = inodeAt(walked, depth);
  assert(inode.kind === 'directory', `${walked.path} has a directory at depth ${depth}`);
  return inode;
}

/** The name `depth` names below the root's first: that of the inode at `depth + 1`, if there is one. */
export function nameAt(walked: Walk, depth: number): string {
  return must(walked.names[depth], `${walked.path} has more than ${depth} names`);
}

/** The key of the row `depth` names below the root. */
export function keyAt(walked: Walk, depth: number): string {
  return must(walked.keys[depth], 'The path exists to the depth above');
}

/** The directory above the path's last name; it must exist, and the path must not be the root. */
export function parentAt(walked: Walk): DirectoryRef {
  const depth = walked.names.length - 1;
  return { id: directoryAt(walked, depth).id, key: keyAt(walked, depth) };
}

/** How many names below the root the last existing inode is. */
export function depthOf(walked: Walk): number {
  return walked.chain.length - 1;
}

/** Refuses unless `caller` may traverse every directory above the last existing inode, and that one if more follows. */
export function checkTraverse(caller: Caller, walked: Walk): Refusal | undefined {
  if (caller.superuser) return undefined;
  const last = depthOf(walked);
  for (let depth = 0; depth < walked.names.length && depth <= last; depth++) {
    const inode = inodeAt(walked, depth);
    if (inode.kind !== 'directory') break;
    if (!mayAccess(caller, inode, EXECUTE))
      return checkAccess(caller, pathOfNames(walked.names, depth), inode, EXECUTE);
  }
  return undefined;
}

/** Says that a path does not exist, and why: a name is missing, or a file stands where a directory is needed. */
export function notFound(walked: Walk): Refusal {
  const depth = depthOf(walked);
  const there = pathOfNames(walked.names, depth);
  if (inodeAt(walked, depth).kind === 'file') {
    return refuse('NOT_A_DIRECTORY', `${there} is a file, so there is no ${walked.path} below it: use another path`);
  }
  const missing = pathOfNames(walked.names, depth + 1);
  const said = missing === walked.path ? `${missing} does not exist` : `${walked.path} does not exist: no ${missing}`;
  return refuse('NOT_FOUND', said, { path: walked.path });
}

/** What stands at the end of a walk that found all of its path. */
export function located(walked: Walk, inode: Inode): Located {
  return locatedIn(walked.mount, walked.path, inode);
}

/** `inode` at `path`, which `mount` backs. */
export function locatedIn(mount: Mount | undefined, path: string, inode: Inode): Located {
  if (mount === undefined) return { path, inode, mountId: NO_MOUNT_ID, ufsPath: '' };
  return { path, inode, mountId: mount.id, ufsPath: ufsPathOf(mount, path) };
}

/** `path` relative to the UFS of `mount`, without leading slash; the mount point itself is empty. */
export function ufsPathOf(mount: Mount, path: string): string {
  if (path === mount.path) return '';
  assert(isBelow(path, mount.path), `${path} is below mount point ${mount.path}`);
  return path.slice(mount.path === '/' ? 1 : mount.path.length + 1);
}

/** Walks `text` for a reader: refuses a bad path, a state without a root, and a caller without the right. */
export function walkFor(reader: StateReader, caller: Caller, text: string): Walk | Refusal {
  const path = parsePath(text);
  if (isRefusal(path)) return path;
  if (reader.get('inode', ROOT_KEY) === undefined) return notFormatted();
  const walked = walk(reader, path);
  return checkTraverse(caller, walked) ?? walked;
}

/** What is at `text`, or why `caller` does not get to know it. */
export function statusOf(reader: StateReader, caller: Caller, text: string): FileStatus | Refusal {
  const walked = walkFor(reader, caller, text);
  if (isRefusal(walked)) return walked;
  const inode = target(walked);
  return inode === undefined ? notFound(walked) : fileStatus(located(walked, inode));
}

/** The path of an inode, or undefined when there is none or it is detached. One read for each name. */
export function pathOf(reader: StateReader, id: InodeId): string | undefined {
  const names: string[] = [];
  for (let at = id; ; ) {
    const place = reader.get('place', idKey(at));
    if (place === undefined || place.parentId === TRASH_INODE_ID) return undefined;
    if (place.parentId === ROOT_PLACE.parentId) return `/${names.reverse().join('/')}`;
    names.push(place.name);
    at = place.parentId;
  }
}

/** Nothing can be served before the cluster's first command is applied. */
export function notFormatted(): Refusal {
  return refuse('UNAVAILABLE', 'The namespace is not formatted yet: the leader does so when it starts; try again');
}

function isMountPoint(inode: Inode): boolean {
  return inode.kind === 'directory' && inode.mountPoint;
}
