import { checkCount } from './apply-check.ts';
import { type ApplyContext, DONE, type Result } from './apply-context.ts';
import { newDirectory } from './apply-directory.ts';
import type { CommandOf } from './command.ts';
import type { Refusal } from './errors.ts';
import type { DirectoryInode, Inode } from './inode.ts';
import type { Mount } from './mount.ts';
import { depthOf, directoryAt, keyAt, notFound, parentAt, target, type Walk, walk } from './namespace.ts';
import { isBelow, nameOf, parsePath } from './path.ts';
import { checkSuperuser } from './permission.ts';
import { isRefusal, refuse } from './refusal.ts';
import { idKey, type MountIndexEntry, ROOT_KEY, ROOT_PLACE } from './state-store.ts';

/** Mounts in one namespace at most. */
const MAX_MOUNTS = 4096;

const MAX_OPTION_CHARACTERS = 65_536;
const URI = /^[a-z][a-z0-9+.-]*:\/\//;
const MOUNT_POINT_MODE = 0o755;

/** Applies `mount`: makes the mount point's directory, or takes an empty root. */
export function applyMount(context: ApplyContext, command: CommandOf<'mount'>): Result {
  const path = parsePath(command.path);
  if (isRefusal(path)) return path;
  const walked = walk(context.store, path);
  const entry = { path, uri: withoutSlash(command.uri), endpoint: endpointOf(command.options) };
  const refusal =
    checkSuperuser(context.caller, `mount ${path}`) ??
    checkOptions(command) ??
    checkMountPoint(walked) ??
    checkOverlap(mountsOf(context), entry);
  if (refusal !== undefined) return refusal;
  const directory = path === '/' ? takeRoot(context, walked) : makeMountPoint(context, walked);
  const mount: Mount = {
    id: context.newMountId(),
    path,
    inodeId: directory.id,
    uri: command.uri,
    options: command.options,
    readOnly: command.readOnly,
    syncIntervalMs: command.syncIntervalMs,
    mountedMs: context.nowMs,
  };
  context.store.put('mount', path, mount);
  context.store.put('mountIndex', '', { mounts: [...mountsOf(context), { id: mount.id, ...entry }] });
  context.mountsChanged(mount.id);
  context.notify({ kind: 'changed', path, subtree: true });
  return { kind: 'mount', mount };
}

/** Applies `unmount`: detaches all that is known below the mount point; the UFS is not touched. */
export function applyUnmount(context: ApplyContext, command: CommandOf<'unmount'>): Result {
  const path = parsePath(command.path);
  if (isRefusal(path)) return path;
  const walked = walk(context.store, path);
  const denied = checkSuperuser(context.caller, `unmount ${path}`);
  if (denied !== undefined) return denied;
  const inode = target(walked);
  if (inode === undefined) return notFound(walked);
  const mount = context.store.get('mount', path);
  if (mount === undefined || inode.kind === 'file') {
    return refuse('INVALID_ARGUMENT', `${path} is not a mount point: look for its mount in the mount table`);
  }
  if (inode.mountsBelow > 0) {
    const below = mountsOf(context).find((entry) => isBelow(entry.path, path));
    return refuse('CROSS_MOUNT', `${below?.path ?? 'Another UFS'} is mounted below ${path}: unmount it first`);
  }
  context.store.delete('mount', path);
  context.store.put('mountIndex', '', { mounts: mountsOf(context).filter((entry) => entry.id !== mount.id) });
  const detached: DirectoryInode = { ...inode, mountPoint: false };
  if (path === '/') renewRoot(context, detached);
  else {
    context.dropChild(parentAt(walked), nameOf(path), detached, 'touch');
    countMountsBelow(context, walked, -1);
  }
  context.mountsChanged(mount.id);
  context.notify({ kind: 'changed', path, subtree: true });
  return DONE;
}

function checkOptions(command: CommandOf<'mount'>): Refusal | undefined {
  if (!URI.test(command.uri)) {
    const address = JSON.stringify(command.uri);
    const message = `UFS address ${address} has no scheme: write it like file:///data or s3://bucket/prefix`;
    return refuse('INVALID_ARGUMENT', message);
  }
  const characters = Object.entries(command.options).reduce((sum, [key, value]) => sum + key.length + value.length, 0);
  if (characters > MAX_OPTION_CHARACTERS) {
    const message =
      `The options of ${command.uri} have ${characters} characters, more than ${MAX_OPTION_CHARACTERS}: ` +
      'shorten them';
    return refuse('INVALID_ARGUMENT', message);
  }
  return checkCount(`Sync interval of ${command.path}`, command.syncIntervalMs, -1);
}

function checkMountPoint(walked: Walk): Refusal | undefined {
  const { path } = walked;
  const existing = target(walked);
  if (existing === undefined) {
    if (depthOf(walked) === walked.names.length - 1 && walked.chain.at(-1)?.kind === 'directory') return undefined;
    return notFound(walked);
  }
  if (existing.kind === 'directory' && existing.mountPoint) {
    return refuse('ALREADY_EXISTS', `${walked.mount?.uri ?? 'A UFS'} is mounted at ${path}: unmount it first`, {
      path,
    });
  }
  if (path === '/') return checkRoot(existing);
  return refuse('ALREADY_EXISTS', `${path} is a ${existing.kind} already: mount at a path that does not exist`, {
    path,
  });
}

function checkRoot(root: Inode): Refusal | undefined {
  if (root.kind === 'directory' && root.childCount === 0) return undefined;
  return refuse('NOT_EMPTY', 'The root / has entries: delete or unmount them first, or mount at a path below it');
}

function checkOverlap(mounts: readonly MountIndexEntry[], asked: Omit<MountIndexEntry, 'id'>): Refusal | undefined {
  if (mounts.length >= MAX_MOUNTS) {
    return refuse(
      'EXHAUSTED',
      `There are ${mounts.length} mounts, which is the most: unmount one, or mount their parent`,
    );
  }
  const overlaps = (other: MountIndexEntry) =>
    other.endpoint === asked.endpoint &&
    (other.uri === asked.uri || within(asked.uri, other.uri) || within(other.uri, asked.uri));
  const found = mounts.find(overlaps);
  if (found === undefined) return undefined;
  const message = `${asked.uri} overlaps ${found.uri}, which is mounted at ${found.path}: use that, or unmount it`;
  return refuse('ALREADY_EXISTS', message, { path: found.path });
}

/** `uri` without a trailing slash is a strict prefix of `inner` that ends at a slash. */
function within(inner: string, uri: string): boolean {
  return inner.startsWith(uri.endsWith('/') ? uri : `${uri}/`);
}

/** So that `s3://b/` and `s3://b` compare as one; `file:///` keeps the slash that is its path. */
function withoutSlash(uri: string): string {
  let end = uri.length;
  while (uri[end - 1] === '/' && uri[end - 2] !== '/') end--;
  return uri.slice(0, end);
}

function endpointOf(options: Readonly<Record<string, string>>): string {
  const key = Object.keys(options).find((name) => name === 'endpoint' || name.endsWith('.endpoint'));
  return key === undefined ? '' : (options[key] ?? '');
}

function mountsOf(context: ApplyContext): readonly MountIndexEntry[] {
  return context.store.get('mountIndex', '')?.mounts ?? [];
}

function takeRoot(context: ApplyContext, walked: Walk): DirectoryInode {
  const root = directoryAt(walked, 0);
  const taken: DirectoryInode = {
    ...root,
    persistence: 'persisted',
    childrenLoaded: false,
    mountPoint: true,
    changedMs: context.nowMs,
  };
  context.store.put('inode', ROOT_KEY, taken);
  return taken;
}

function makeMountPoint(context: ApplyContext, walked: Walk): DirectoryInode {
  const made = newDirectory(context, directoryAt(walked, depthOf(walked)), { mode: MOUNT_POINT_MODE, persisted: true });
  const directory: DirectoryInode = { ...made, childrenLoaded: false, mountPoint: true };
  context.addChild(parentAt(walked), nameOf(walked.path), directory, 'touch');
  countMountsBelow(context, walked, 1);
  return directory;
}

/** Every directory above the mount point counts it. */
function countMountsBelow(context: ApplyContext, walked: Walk, delta: number): void {
  for (let depth = 0; depth < walked.names.length; depth++) {
    context.changeDirectory(keyAt(walked, depth), ({ mountsBelow }) => ({ mountsBelow: mountsBelow + delta }));
  }
}

/** Its children hang on the old root's number, so the old root goes to the trash and a new one takes its place. */
function renewRoot(context: ApplyContext, root: DirectoryInode): void {
  const fresh: DirectoryInode = {
    ...root,
    id: context.newInodeId(),
    persistence: 'cached',
    childCount: 0,
    childrenLoaded: true,
    modifiedMs: context.nowMs,
    changedMs: context.nowMs,
  };
  context.store.put('inode', ROOT_KEY, fresh);
  context.store.put('place', idKey(fresh.id), ROOT_PLACE);
  context.store.delete('place', idKey(root.id));
  if (root.childCount > 0) context.detach(root);
}
