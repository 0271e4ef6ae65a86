import { checkCount, checkMode, checkRemoval, checkWritable } from './apply-check.ts';
import { type ApplyContext, inodeOutcome, type Result } from './apply-context.ts';
import { checkNewChild, groupOfNew, makeParents, passable, persistParents } from './apply-directory.ts';
import type { CommandOf } from './command.ts';
import type { Refusal } from './errors.ts';
import { cachedVersion, type DirectoryInode, type FileInode, type Inode, type WriteType } from './inode.ts';
import { checkTraverse, keyAt, notFound, target, type Walk, walk } from './namespace.ts';
import { nameOf, parsePath } from './path.ts';
import { mayAccess, WRITE } from './permission.ts';
import { isRefusal, refuse } from './refusal.ts';

/** Applies `createFile`. */
export function applyCreateFile(context: ApplyContext, command: CommandOf<'createFile'>): Result {
  const path = parsePath(command.path);
  if (isRefusal(path)) return path;
  const walked = walk(context.store, path);
  const existing = target(walked);
  const refusal =
    checkMode(command.mode) ??
    checkCount(`Block size of ${path}`, command.blockSizeBytes, 1) ??
    checkTraverse(context.caller, walked) ??
    checkExisting(context, walked, existing, command.overwrite) ??
    checkWritable(walked.mount) ??
    (existing === undefined ? checkNewChild(context, walked, command.recursive) : undefined) ??
    checkWriteType(walked, command);
  if (refusal !== undefined) return refusal;

  const persisted = command.ufsVersion !== '';
  if (persisted) persistParents(context, walked);
  const parent = makeParents(context, walked, { mode: passable(command.mode), persisted });
  if (existing !== undefined) context.dropChild(parent.ref, nameOf(path), existing, 'touch');
  const file = newFile(context, parent.inode, command);
  context.addChild(parent.ref, nameOf(path), file, 'touch');
  context.notify({ kind: 'changed', path, subtree: false });
  return inodeOutcome(walked, file);
}

/** Applies `completeFile`. Answering the same completion twice is harmless. */
export function applyCompleteFile(context: ApplyContext, command: CommandOf<'completeFile'>): Result {
  const path = parsePath(command.path);
  if (isRefusal(path)) return path;
  const walked = walk(context.store, path);
  const refusal =
    checkTraverse(context.caller, walked) ??
    checkCount(`Length of ${path}`, command.lengthBytes, 0) ??
    checkCount(`UFS modification time of ${path}`, command.ufsModifiedMs, -1);
  if (refusal !== undefined) return refusal;
  const file = target(walked);
  if (file === undefined) return notFound(walked);
  if (file.kind !== 'file' || file.id !== command.id) {
    const message = `${path} is no longer the file ${command.id}: it was deleted, renamed or replaced meanwhile`;
    return refuse('NOT_FOUND', message, { path, id: file.id });
  }
  if (file.owner !== context.caller.user && !mayAccess(context.caller, file, WRITE)) {
    const message =
      `User ${context.caller.user} may not complete ${path}: only its owner ${file.owner} and who may ` +
      'write it can';
    return refuse('PERMISSION_DENIED', message);
  }
  if (file.complete) return completedBefore(walked, file, command);
  const no = checkWritable(walked.mount) ?? checkCompletion(walked, file, command);
  if (no !== undefined) return no;
  const persisted = file.writeType !== 'MUST_CACHE';
  const completed: FileInode = {
    ...file,
    complete: true,
    lengthBytes: command.lengthBytes,
    version: persisted ? command.ufsVersion : cachedVersion(file.id),
    persistence: persisted ? 'persisted' : 'cached',
    modifiedMs: persisted && command.ufsModifiedMs >= 0 ? command.ufsModifiedMs : context.nowMs,
    changedMs: context.nowMs,
  };
  context.store.put('inode', keyAt(walked, walked.names.length), completed);
  if (persisted) persistParents(context, walked);
  context.notify({ kind: 'changed', path, subtree: false });
  return inodeOutcome(walked, completed);
}

function checkExisting(
  context: ApplyContext,
  walked: Walk,
  existing: Inode | undefined,
  overwrite: boolean,
): Refusal | undefined {
  const { path } = walked;
  if (existing === undefined) return undefined;
  if (!overwrite) {
    const way = existing.kind === 'file' ? 'use another path, or overwrite it' : 'use another path';
    return refuse('ALREADY_EXISTS', `${path} is a ${existing.kind} already: ${way}`, { path });
  }
  if (existing.kind === 'directory') {
    return refuse('IS_A_DIRECTORY', `${path} is a directory, which no file can overwrite: use another path`, { path });
  }
  if (!existing.complete) {
    return refuse('INCOMPLETE', `${path} is still being written: wait until it is complete, or delete it`, { path });
  }
  return checkRemoval(context.caller, walked, existing);
}

function checkWriteType(walked: Walk, command: CommandOf<'createFile'>): Refusal | undefined {
  const { path, mount } = walked;
  const { writeType, empty, ufsVersion } = command;
  if (writeType === 'MUST_CACHE') {
    if (ufsVersion === '') return undefined;
    return refuse('INVALID_ARGUMENT', `${path} is only cached (MUST_CACHE): it cannot have a UFS version`);
  }
  if (mount === undefined) {
    const message =
      `No UFS is mounted at or above ${path}, so ${writeType} has nowhere to write: use MUST_CACHE, or ` +
      'mount a UFS';
    return refuse('INVALID_ARGUMENT', message, { path });
  }
  if (empty === (ufsVersion !== '')) return undefined;
  const message = empty
    ? `${path} is not in the UFS of ${mount.path} yet: put the empty file there before it is created with ${writeType}`
    : `${path} has a UFS version before it is written: give it when the file is completed`;
  return refuse('INVALID_ARGUMENT', message);
}

function checkCompletion(walked: Walk, file: FileInode, command: CommandOf<'completeFile'>): Refusal | undefined {
  const { path } = walked;
  const cached = file.writeType === 'MUST_CACHE';
  if (cached === (command.ufsVersion === '')) return undefined;
  const message = cached
    ? `${path} was created with MUST_CACHE: it cannot be completed with a UFS version`
    : `${path} was created with ${file.writeType}: complete it with the version that the UFS gave for its content`;
  return refuse('INVALID_ARGUMENT', message);
}

function completedBefore(walked: Walk, file: FileInode, command: CommandOf<'completeFile'>): Result {
  const sameVersion = file.persistence === 'cached' ? command.ufsVersion === '' : command.ufsVersion === file.version;
  if (sameVersion && file.lengthBytes === command.lengthBytes) return inodeOutcome(walked, file);
  const { path } = walked;
  return refuse('ALREADY_EXISTS', `${path} is complete already, with ${file.lengthBytes} bytes: overwrite it instead`);
}

function newFile(context: ApplyContext, parent: DirectoryInode, command: CommandOf<'createFile'>): FileInode {
  const id = context.newInodeId();
  const persisted = command.empty && needsUfs(command.writeType);
  const ours = command.empty ? cachedVersion(id) : '';
  return {
    kind: 'file',
    id,
    owner: context.caller.user,
    group: groupOfNew(context, parent),
    mode: command.mode,
    createdMs: context.nowMs,
    modifiedMs: context.nowMs,
    accessedMs: context.nowMs,
    changedMs: context.nowMs,
    pinned: parent.pinned,
    ttlMs: -1,
    ttlAction: 'free',
    persistence: persisted ? 'persisted' : 'cached',
    lengthBytes: 0,
    blockSizeBytes: command.blockSizeBytes,
    complete: command.empty,
    writeType: command.writeType,
    version: persisted ? command.ufsVersion : ours,
  };
}

function needsUfs(writeType: WriteType): boolean {
  return writeType !== 'MUST_CACHE';
}
