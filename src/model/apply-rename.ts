import { checkNoMounts, checkRemoval, checkWritable } from './apply-check.ts';
import { type ApplyContext, DONE, type Result } from './apply-context.ts';
import { persistParents } from './apply-directory.ts';
import type { CommandOf } from './command.ts';
import type { Refusal } from './errors.ts';
import type { Inode } from './inode.ts';
import { checkTraverse, depthOf, directoryAt, notFound, parentAt, target, type Walk, walk } from './namespace.ts';
import { isBelow, nameOf, parentOf, parsePath } from './path.ts';
import { checkAccess, WRITE, WRITE_AND_EXECUTE } from './permission.ts';
import { isRefusal, refuse } from './refusal.ts';

/** Applies `rename`: POSIX's rules; only the entry moves, whatever hangs below it. */
export function applyRename(context: ApplyContext, command: CommandOf<'rename'>): Result {
  const sourcePath = parsePath(command.source);
  if (isRefusal(sourcePath)) return sourcePath;
  const targetPath = parsePath(command.target);
  if (isRefusal(targetPath)) return targetPath;
  const from = walk(context.store, sourcePath);
  const to = walk(context.store, targetPath);
  const hidden = checkTraverse(context.caller, from) ?? checkTraverse(context.caller, to);
  if (hidden !== undefined) return hidden;
  const inode = target(from);
  if (inode === undefined) return notFound(from);
  if (sourcePath === targetPath) return DONE;
  if (sourcePath === '/' || targetPath === '/') {
    const message = `The root / cannot be renamed or replaced (${sourcePath} to ${targetPath}): use paths below it`;
    return refuse('INVALID_ARGUMENT', message);
  }
  const refusal = checkSource(context, from, inode, targetPath) ?? checkTarget(context, from, to, inode, command);
  if (refusal !== undefined) return refusal;
  if (inode.persistence === 'persisted') persistParents(context, to);
  const replaced = target(to);
  const source = { parent: parentAt(from), name: nameOf(sourcePath) };
  const place = { parent: parentAt(to), name: nameOf(targetPath) };
  if (replaced !== undefined) context.dropChild(place.parent, place.name, replaced, 'touch');
  context.moveChild(source, place, moved(inode, command.ufsVersion, context.nowMs));
  const subtree = inode.kind === 'directory';
  context.notify({ kind: 'changed', path: sourcePath, subtree });
  context.notify({ kind: 'changed', path: targetPath, subtree });
  return DONE;
}

function checkSource(context: ApplyContext, from: Walk, inode: Inode, targetPath: string): Refusal | undefined {
  const { path } = from;
  const refusal =
    checkRemoval(context.caller, from, inode) ?? checkWritable(from.mount) ?? checkNoMounts('rename', path, inode);
  if (refusal !== undefined) return refusal;
  if (inode.kind === 'file' && !inode.complete) {
    return refuse('INCOMPLETE', `${path} is still being written: complete it before it is renamed`, { path });
  }
  if (isBelow(targetPath, path)) {
    const message = `${path} cannot be renamed to ${targetPath}, which is below it: choose a target elsewhere`;
    return refuse('INVALID_ARGUMENT', message);
  }
  if (inode.kind === 'directory' && parentOf(path) !== parentOf(targetPath)) {
    return checkAccess(context.caller, path, inode, WRITE);
  }
  return undefined;
}

function checkTarget(
  context: ApplyContext,
  from: Walk,
  to: Walk,
  inode: Inode,
  command: CommandOf<'rename'>,
): Refusal | undefined {
  const { path } = to;
  if (depthOf(to) < to.names.length - 1) return notFound(to);
  const replaced = target(to);
  if (replaced !== undefined) {
    const refusal = checkNoMounts('replace', path, replaced) ?? checkReplace(path, inode, replaced, command.overwrite);
    if (refusal !== undefined) return refusal;
  } else {
    const parent = to.chain[to.names.length - 1];
    if (parent?.kind !== 'directory') return notFound(to);
  }
  if (from.mount?.id !== to.mount?.id) {
    const mounts = `${from.mount?.path ?? 'no mount'} and ${to.mount?.path ?? 'no mount'}`;
    const message = `${from.path} and ${path} are in different mounts (${mounts}): copy it and delete the source`;
    return refuse('CROSS_MOUNT', message);
  }
  if (replaced !== undefined) return checkRemoval(context.caller, to, replaced);
  const parent = directoryAt(to, to.names.length - 1);
  return checkAccess(context.caller, parentOf(path), parent, WRITE_AND_EXECUTE);
}

function checkReplace(path: string, inode: Inode, replaced: Inode, overwrite: boolean): Refusal | undefined {
  if (!overwrite) {
    return refuse('ALREADY_EXISTS', `${path} is a ${replaced.kind} already: use another target, or overwrite it`, {
      path,
    });
  }
  if (inode.kind === 'file') {
    if (replaced.kind === 'file') return undefined;
    return refuse('IS_A_DIRECTORY', `${path} is a directory, which no file can replace: give the name below it`, {
      path,
    });
  }
  if (replaced.kind === 'file') {
    return refuse('NOT_A_DIRECTORY', `${path} is a file, which no directory can replace: delete it first`, { path });
  }
  if (replaced.childCount === 0) return undefined;
  const message = `Directory ${path} has ${replaced.childCount} entries, so it cannot be replaced: delete them first`;
  return refuse('NOT_EMPTY', message, { path, childCount: replaced.childCount });
}

function moved(inode: Inode, ufsVersion: string, nowMs: number): Inode {
  if (inode.kind === 'directory' || ufsVersion === '' || inode.persistence === 'cached') {
    return { ...inode, changedMs: nowMs };
  }
  return { ...inode, changedMs: nowMs, version: ufsVersion };
}
