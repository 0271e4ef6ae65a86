import { checkCount, checkNoMounts, checkRemoval, checkWritable } from './apply-check.ts';
import { type ApplyContext, DONE, type Result } from './apply-context.ts';
import type { CommandOf } from './command.ts';
import { checkTraverse, type DirectoryRef, notFound, parentAt, target, walk } from './namespace.ts';
import { nameOf, parsePath } from './path.ts';
import { checkAccess, WRITE_AND_EXECUTE } from './permission.ts';
import { isRefusal, refuse } from './refusal.ts';
import { dentryKey, idKey, trashPlace } from './state-store.ts';

/** Entries in one purge command at most. */
const MAX_PURGE_ENTRIES = 10_000;

/**
 * Applies `delete`. A directory with children is detached, which takes the same time whatever its size; so permissions
 * below it are not looked at: the caller needs to be able to write and traverse the directory itself.
 */
export function applyDelete(context: ApplyContext, command: CommandOf<'delete'>): Result {
  const path = parsePath(command.path);
  if (isRefusal(path)) return path;
  if (path === '/') return refuse('INVALID_ARGUMENT', 'The root / cannot be deleted: delete what is in it');
  const walked = walk(context.store, path);
  const hidden = checkTraverse(context.caller, walked) ?? checkCount(`Expected id of ${path}`, command.id, 0);
  if (hidden !== undefined) return hidden;
  const inode = target(walked);
  if (inode === undefined) return notFound(walked);
  if (command.id !== 0 && command.id !== inode.id) {
    const message = `${path} is inode ${inode.id}, not ${command.id}: it was replaced; look at it again`;
    return refuse('STALE', message, { path, id: inode.id });
  }
  const refusal =
    checkRemoval(context.caller, walked, inode) ?? checkWritable(walked.mount) ?? checkNoMounts('delete', path, inode);
  if (refusal !== undefined) return refusal;
  if (inode.kind === 'directory' && inode.childCount > 0) {
    if (!command.recursive) {
      const message = `Directory ${path} has ${inode.childCount} entries: delete them first, or delete it recursively`;
      return refuse('NOT_EMPTY', message, { path, childCount: inode.childCount });
    }
    const no = checkAccess(context.caller, path, inode, WRITE_AND_EXECUTE);
    if (no !== undefined) return no;
  }
  const parent = parentAt(walked);
  context.dropChild(parent, nameOf(path), inode, 'touch');
  if (command.keepUfs && inode.persistence === 'persisted') {
    context.changeDirectory(parent.key, () => ({ childrenLoaded: false }));
  }
  context.notify({ kind: 'changed', path, subtree: inode.kind === 'directory' });
  return DONE;
}

/** Applies `purge`. Entries that are gone, or whose directory is not detached, are passed over: a purge may be late. */
export function applyPurge(context: ApplyContext, command: CommandOf<'purge'>): Result {
  if (command.entries.length > MAX_PURGE_ENTRIES) {
    const message = `A purge of ${command.entries.length} entries exceeds ${MAX_PURGE_ENTRIES}: split it`;
    return refuse('INVALID_ARGUMENT', message);
  }
  for (const { parentId, name } of command.entries) {
    if (context.store.get('trash', idKey(parentId)) === undefined) continue;
    const child = context.store.get('inode', dentryKey(parentId, name));
    if (child === undefined) continue;
    const place = trashPlace(parentId);
    const parent: DirectoryRef = { id: parentId, key: dentryKey(place.parentId, place.name) };
    context.dropChild(parent, name, child, 'leave');
    removeIfEmpty(context, parent);
  }
  return DONE;
}

function removeIfEmpty(context: ApplyContext, detached: DirectoryRef): void {
  const inode = context.store.get('inode', detached.key);
  if (inode?.kind !== 'directory' || inode.childCount > 0) return;
  context.store.delete('inode', detached.key);
  context.store.delete('place', idKey(detached.id));
  context.store.delete('trash', idKey(detached.id));
  context.countInodes(-1);
}
