import { checkMode, checkWritable } from './apply-check.ts';
import { type ApplyContext, inodeOutcome, type Result } from './apply-context.ts';
import type { CommandOf } from './command.ts';
import type { Refusal } from './errors.ts';
import type { DirectoryInode } from './inode.ts';
import {
  checkTraverse,
  type DirectoryRef,
  depthOf,
  directoryAt,
  keyAt,
  notFound,
  target,
  type Walk,
  walk,
} from './namespace.ts';
import { joinPath, nameOf, parsePath, pathOfNames } from './path.ts';
import { checkAccess, mayAccess, WRITE_AND_EXECUTE } from './permission.ts';
import { isRefusal, refuse } from './refusal.ts';
import { dentryKey } from './state-store.ts';

const SET_GROUP_ID = 0o2000;

/** How directories are made on the way to a new file or directory. */
export interface NewDirectories {
  readonly mode: number;
  /** The UFS has them too. */
  readonly persisted: boolean;
}

/** Applies `makeDirectory`. */
export function applyMakeDirectory(context: ApplyContext, command: CommandOf<'makeDirectory'>): Result {
  const path = parsePath(command.path);
  if (isRefusal(path)) return path;
  const walked = walk(context.store, path);
  const refusal = checkMode(command.mode) ?? checkTraverse(context.caller, walked);
  if (refusal !== undefined) return refusal;
  const existing = target(walked);
  if (existing !== undefined) {
    if (existing.kind === 'directory' && command.allowExists) return keepExisting(context, walked, existing, command);
    return refuse('ALREADY_EXISTS', `${path} is a ${existing.kind} already: use another path`, { path });
  }
  const no = checkWritable(walked.mount) ?? checkNewChild(context, walked, command.recursive);
  if (no !== undefined) return no;
  const persisted = command.persisted && walked.mount !== undefined;
  if (persisted) persistParents(context, walked);
  const parent = makeParents(context, walked, { mode: passable(command.mode), persisted });
  const directory = newDirectory(context, parent.inode, { mode: command.mode, persisted });
  context.addChild(parent.ref, nameOf(path), directory, 'touch');
  context.notify({ kind: 'changed', path, subtree: false });
  return inodeOutcome(walked, directory);
}

function keepExisting(
  context: ApplyContext,
  walked: Walk,
  existing: DirectoryInode,
  command: CommandOf<'makeDirectory'>,
): Result {
  if (!command.persisted || walked.mount === undefined || existing.persistence === 'persisted') {
    return inodeOutcome(walked, existing);
  }
  const persisted: DirectoryInode = { ...existing, persistence: 'persisted' };
  context.store.put('inode', keyAt(walked, depthOf(walked)), persisted);
  persistParents(context, walked);
  context.notify({ kind: 'changed', path: walked.path, subtree: false });
  return inodeOutcome(walked, persisted);
}

/** Refuses unless the caller may add the rest of the path: one name, or more of them when `recursive`. */
export function checkNewChild(context: ApplyContext, walked: Walk, recursive: boolean): Refusal | undefined {
  const depth = depthOf(walked);
  const last = walked.chain[depth];
  if (last?.kind === 'file') return notFound(walked);
  if (depth < walked.names.length - 1 && !recursive) {
    const missing = pathOfNames(walked.names, depth + 1);
    const message = `Directory ${missing} does not exist: make it first, or ask for missing parents (recursive)`;
    return refuse('NOT_FOUND', message, { path: missing });
  }
  const directory = directoryAt(walked, depth);
  if (mayAccess(context.caller, directory, WRITE_AND_EXECUTE)) return undefined;
  return checkAccess(context.caller, pathOfNames(walked.names, depth), directory, WRITE_AND_EXECUTE);
}

/** Makes the directories that are missing above the path's last name; answers the last name's parent. */
export function makeParents(
  context: ApplyContext,
  walked: Walk,
  made: NewDirectories,
): { readonly ref: DirectoryRef; readonly inode: DirectoryInode } {
  const depth = Math.min(depthOf(walked), walked.names.length - 1);
  let inode = directoryAt(walked, depth);
  let ref: DirectoryRef = { id: inode.id, key: keyAt(walked, depth) };
  if (depth >= walked.names.length - 1) return { ref, inode };
  let path = pathOfNames(walked.names, depth);
  for (const name of walked.names.slice(depth, -1)) {
    const child = newDirectory(context, inode, made);
    context.addChild(ref, name, child, 'touch');
    path = joinPath(path, name);
    context.notify({ kind: 'changed', path, subtree: false });
    ref = { id: child.id, key: dentryKey(ref.id, name) };
    inode = child;
  }
  return { ref, inode };
}

/** What is put into the UFS has its directories there too: marks the existing ones above it, up to the mount point. */
export function persistParents(context: ApplyContext, walked: Walk): void {
  for (let depth = Math.min(depthOf(walked), walked.names.length - 1); depth > 0; depth--) {
    if (directoryAt(walked, depth).persistence === 'persisted') return;
    context.changeDirectory(keyAt(walked, depth), () => ({ persistence: 'persisted' }));
  }
}

/** A new empty directory of the caller's; as on Linux, a set-group-id parent hands down its group and that bit. */
export function newDirectory(context: ApplyContext, parent: DirectoryInode, made: NewDirectories): DirectoryInode {
  const inherits = (parent.mode & SET_GROUP_ID) !== 0;
  return {
    kind: 'directory',
    id: context.newInodeId(),
    owner: context.caller.user,
    group: groupOfNew(context, parent),
    mode: inherits ? made.mode | SET_GROUP_ID : made.mode,
    createdMs: context.nowMs,
    modifiedMs: context.nowMs,
    accessedMs: context.nowMs,
    changedMs: context.nowMs,
    pinned: parent.pinned,
    ttlMs: -1,
    ttlAction: 'free',
    persistence: made.persisted ? 'persisted' : 'cached',
    childCount: 0,
    childrenLoaded: true,
    mountPoint: false,
    mountsBelow: 0,
  };
}

/** The group of what the caller makes in `parent`: the caller's first, or the parent's by its set-group-id bit. */
export function groupOfNew(context: ApplyContext, parent: DirectoryInode): string {
  if ((parent.mode & SET_GROUP_ID) !== 0) return parent.group;
  return context.caller.groups[0] ?? parent.group;
}

/** A mode for directories on the way to something of `mode`: its owner may fill them, and who may read may pass. */
export function passable(mode: number): number {
  return (mode & 0o777) | 0o300 | ((mode & 0o444) >> 2);
}
