import { checkCount, checkMode, checkWritable } from './apply-check.ts';
import { type ApplyContext, inodeOutcome, type Result } from './apply-context.ts';
import type { CommandOf } from './command.ts';
import type { Refusal } from './errors.ts';
import type { Inode } from './inode.ts';
import { checkTraverse, keyAt, notFound, target, type Walk, walk } from './namespace.ts';
import { parsePath } from './path.ts';
import { checkAccess, checkOwner, checkSuperuser, WRITE } from './permission.ts';
import type { Caller } from './principal.ts';
import { isRefusal, refuse } from './refusal.ts';

const SET_GROUP_ID = 0o2000;
const SET_ID_BITS = 0o6000;
const MAX_OWNER_CHARACTERS = 255;

type Request = CommandOf<'setAttributes'>;

/** Applies `setAttributes`: all of it, or nothing. */
export function applySetAttributes(context: ApplyContext, command: Request): Result {
  const path = parsePath(command.path);
  if (isRefusal(path)) return path;
  const walked = walk(context.store, path);
  const hidden = checkTraverse(context.caller, walked);
  if (hidden !== undefined) return hidden;
  const inode = target(walked);
  if (inode === undefined) return notFound(walked);
  const refusal = checkValues(path, command) ?? checkRights(context.caller, walked, inode, command);
  if (refusal !== undefined) return refusal;
  const after = changed(context, inode, command);
  if (after === inode) return inodeOutcome(walked, inode);
  context.store.put('inode', keyAt(walked, walked.names.length), after);
  context.notify({ kind: 'changed', path, subtree: false });
  return inodeOutcome(walked, after);
}

function checkValues(path: string, command: Request): Refusal | undefined {
  const { mode, owner, group, modifiedMs, accessedMs, ttlMs } = command;
  return (
    (mode === undefined ? undefined : checkMode(mode)) ??
    (owner === undefined ? undefined : checkPerson('Owner', path, owner)) ??
    (group === undefined ? undefined : checkPerson('Group', path, group)) ??
    (modifiedMs === undefined ? undefined : checkCount(`Modification time of ${path}`, modifiedMs, 0)) ??
    (accessedMs === undefined ? undefined : checkCount(`Access time of ${path}`, accessedMs, 0)) ??
    (ttlMs === undefined ? undefined : checkCount(`TTL of ${path}`, ttlMs, -1))
  );
}

function checkPerson(what: string, path: string, name: string): Refusal | undefined {
  if (name !== '' && name.length <= MAX_OWNER_CHARACTERS) return undefined;
  const message = `${what} of ${path} has ${name.length} characters: give a name of 1 to ${MAX_OWNER_CHARACTERS}`;
  return refuse('INVALID_ARGUMENT', message);
}

/**
 * Owners change what is theirs; a group only to one of their own; only superusers give files away. Who may write may
 * also pin and set a TTL: these concern the cache, so they work on read-only mounts unless the TTL would delete.
 */
function checkRights(caller: Caller, walked: Walk, inode: Inode, command: Request): Refusal | undefined {
  const { path, mount } = walked;
  const { mode, owner, group, modifiedMs, accessedMs, pinned, ttlMs, ttlAction } = command;
  if ([mode, owner, group, modifiedMs, accessedMs].some((value) => value !== undefined)) {
    const refusal = checkOwner(caller, path, inode, 'change its owner, group, mode or times') ?? checkWritable(mount);
    if (refusal !== undefined) return refusal;
  }
  if (owner !== undefined && owner !== inode.owner) {
    const refusal = checkSuperuser(caller, `give ${path} to another owner`);
    if (refusal !== undefined) return refusal;
  }
  if (group !== undefined && group !== inode.group && !caller.superuser && !caller.groups.includes(group)) {
    const message = `User ${caller.user} is not in group ${group}, so cannot give ${path} to it: ask a superuser`;
    return refuse('PERMISSION_DENIED', message);
  }
  if (pinned === undefined && ttlMs === undefined && ttlAction === undefined) return undefined;
  if (inode.owner !== caller.user) {
    const refusal = checkAccess(caller, path, inode, WRITE);
    if (refusal !== undefined) return refusal;
  }
  const deletes = (ttlAction ?? inode.ttlAction) === 'delete' && (ttlMs ?? inode.ttlMs) >= 0;
  return deletes ? checkWritable(mount) : undefined;
}

function changed(context: ApplyContext, inode: Inode, command: Request): Inode {
  const { owner = inode.owner, group = inode.group, pinned = inode.pinned } = command;
  const { ttlMs = inode.ttlMs, ttlAction = inode.ttlAction } = command;
  const { modifiedMs = inode.modifiedMs, accessedMs = inode.accessedMs } = command;
  const mode = modeAfter(context.caller, inode, { mode: command.mode, owner, group });
  const asked = { owner, group, mode, pinned, ttlMs, ttlAction, modifiedMs, accessedMs };
  const same = Object.entries(asked).every(([key, value]) => inode[key as keyof typeof asked] === value);
  return same ? inode : { ...inode, ...asked, changedMs: context.nowMs };
}

/** POSIX takes set-id bits from files that change hands, and set-group-id from who is not in the file's group. */
function modeAfter(
  caller: Caller,
  inode: Inode,
  asked: { readonly mode: number | undefined; readonly owner: string; readonly group: string },
): number {
  if (inode.kind === 'directory') return asked.mode ?? inode.mode;
  if (asked.mode === undefined) {
    const sameHands = asked.owner === inode.owner && asked.group === inode.group;
    return sameHands ? inode.mode : inode.mode & ~SET_ID_BITS;
  }
  const mayGiveGroup = caller.superuser || caller.groups.includes(asked.group);
  return mayGiveGroup ? asked.mode : asked.mode & ~SET_GROUP_ID;
}
