import { checkCount } from './apply-check.ts';
import { type ApplyContext, DONE, type Result } from './apply-context.ts';
import type { CommandOf, UfsFact } from './command.ts';
import type { Refusal } from './errors.ts';
import type { DirectoryInode, FileInode, Inode } from './inode.ts';
import { type DirectoryRef, pathOf, target, walk } from './namespace.ts';
import { checkName, joinPath } from './path.ts';
import { refuse } from './refusal.ts';
import { dentryKey, idKey } from './state-store.ts';

/** Facts and removals in one command at most. */
const MAX_LOAD_ENTRIES = 10_000;

/** The last time that a Date can be (ECMA-262, §21.4.1.1), and before 1970 the first. */
const MAX_TIME_MS = 8.64e15;

type Load = CommandOf<'loadMetadata'>;

interface Loading {
  readonly context: ApplyContext;
  readonly ref: DirectoryRef;
  readonly path: string;
  /** As it was before the command: what new inodes inherit. */
  readonly directory: DirectoryInode;
  readonly blockSizeBytes: number;
}

/** Applies `loadMetadata`; see the command for what is left alone. */
export function applyLoadMetadata(context: ApplyContext, command: Load): Result {
  const refusal = checkLoad(command);
  if (refusal !== undefined) return refusal;
  const path = pathOf(context.store, command.directoryId);
  if (path === undefined) return gone(command);
  const walked = walk(context.store, path);
  const directory = target(walked);
  if (directory?.kind !== 'directory' || walked.mount === undefined) return gone(command);
  const place = context.store.get('place', idKey(directory.id));
  if (place === undefined) return gone(command);
  const ref: DirectoryRef = { id: directory.id, key: dentryKey(place.parentId, place.name) };
  const loading: Loading = { context, ref, path, directory, blockSizeBytes: command.blockSizeBytes };
  for (const removal of command.removals) remove(loading, removal.name, removal.id);
  for (const fact of command.upserts) upsert(loading, fact);
  if (command.complete && !directory.childrenLoaded) context.changeDirectory(ref.key, () => ({ childrenLoaded: true }));
  return DONE;
}

function checkLoad(command: Load): Refusal | undefined {
  const entries = command.upserts.length + command.removals.length;
  if (entries > MAX_LOAD_ENTRIES) {
    return refuse('INVALID_ARGUMENT', `A load of ${entries} entries exceeds ${MAX_LOAD_ENTRIES}: split it`);
  }
  const refusal = checkCount('Block size of loaded files', command.blockSizeBytes, 1);
  if (refusal !== undefined) return refusal;
  for (const fact of command.upserts) {
    const no = checkName(fact.name) ?? checkCount(`Length of ${fact.name}`, fact.lengthBytes, 0);
    if (no !== undefined) return no;
  }
  return undefined;
}

function gone(command: Load): Refusal {
  const message = `Directory ${command.directoryId} is no longer in a mounted UFS: look up its path again`;
  return refuse('NOT_FOUND', message, { id: command.directoryId });
}

function remove(loading: Loading, name: string, id: number): void {
  const inode = childOf(loading, name);
  if (inode === undefined || inode.id !== id || !isReplaceable(inode)) return;
  loading.context.dropChild(loading.ref, name, inode, 'leave');
  changed(loading, name);
}

function upsert(loading: Loading, fact: UfsFact): void {
  const inode = childOf(loading, fact.name);
  if (inode === undefined) insert(loading, fact);
  else if (inode.kind !== fact.kind) replace(loading, inode, fact);
  else if (inode.kind === 'file') updateFile(loading, inode, fact);
  else updateDirectory(loading, inode, fact);
}

function insert(loading: Loading, fact: UfsFact): void {
  const { context, directory } = loading;
  const isFile = fact.kind === 'file';
  const base = {
    id: context.newInodeId(),
    owner: fact.owner ?? directory.owner,
    group: fact.group ?? directory.group,
    mode: fact.mode ?? (isFile ? directory.mode & 0o666 : directory.mode & 0o777),
    createdMs: context.nowMs,
    modifiedMs: timeOf(fact),
    accessedMs: timeOf(fact),
    changedMs: context.nowMs,
    pinned: directory.pinned,
    ttlMs: -1,
    ttlAction: 'free',
    persistence: 'persisted',
  } as const;
  const inode: Inode = isFile
    ? {
        ...base,
        kind: 'file',
        lengthBytes: fact.lengthBytes,
        blockSizeBytes: loading.blockSizeBytes,
        complete: true,
        writeType: 'CACHE_THROUGH',
        version: fact.version,
      }
    : { ...base, kind: 'directory', childCount: 0, childrenLoaded: false, mountPoint: false, mountsBelow: 0 };
  context.addChild(loading.ref, fact.name, inode, 'leave');
  changed(loading, fact.name);
}

function replace(loading: Loading, inode: Inode, fact: UfsFact): void {
  if (!isReplaceable(inode)) return;
  loading.context.dropChild(loading.ref, fact.name, inode, 'leave');
  insert(loading, fact);
}

function updateFile(loading: Loading, file: FileInode, fact: UfsFact): void {
  if (file.persistence !== 'persisted' || !file.complete) return;
  const rights = rightsOf(file, fact);
  const same = file.version === fact.version && file.lengthBytes === fact.lengthBytes;
  if (same && rights === undefined) return;
  const { context, ref } = loading;
  const content = same ? {} : { version: fact.version, lengthBytes: fact.lengthBytes, modifiedMs: timeOf(fact) };
  context.store.put('inode', dentryKey(ref.id, fact.name), {
    ...file,
    ...rights,
    ...content,
    changedMs: context.nowMs,
  });
  if (!same) context.notify({ kind: 'contentDropped', id: file.id });
  changed(loading, fact.name);
}

function updateDirectory(loading: Loading, directory: DirectoryInode, fact: UfsFact): void {
  if (directory.mountPoint) return;
  const rights = rightsOf(directory, fact);
  const known = directory.persistence === 'persisted';
  if (known && rights === undefined) return;
  const { context, ref } = loading;
  context.store.put('inode', dentryKey(ref.id, fact.name), {
    ...directory,
    ...rights,
    persistence: 'persisted',
    childrenLoaded: known && directory.childrenLoaded,
    changedMs: context.nowMs,
  });
  changed(loading, fact.name);
}

/**
 * A UFS may say any time; one that no client could be told becomes the nearest that can, and one that is none becomes
 * 1970, because a file is worth more than its time.
 */
function timeOf(fact: UfsFact): number {
  if (Number.isNaN(fact.modifiedMs)) return 0;
  return Math.trunc(Math.max(-MAX_TIME_MS, Math.min(MAX_TIME_MS, fact.modifiedMs)));
}

/** What a fact changes of an inode's rights; undefined when nothing. */
function rightsOf(inode: Inode, fact: UfsFact): Pick<Inode, 'owner' | 'group' | 'mode'> | undefined {
  const { owner = inode.owner, group = inode.group, mode = inode.mode } = fact;
  const same = owner === inode.owner && group === inode.group && mode === inode.mode;
  return same ? undefined : { owner, group, mode };
}

/** Whether the UFS alone is the truth of this inode: nothing that only we have would be lost with it. */
function isReplaceable(inode: Inode): boolean {
  if (inode.persistence !== 'persisted') return false;
  if (inode.kind === 'file') return inode.complete;
  return inode.childCount === 0 && !inode.mountPoint;
}

function childOf(loading: Loading, name: string): Inode | undefined {
  return loading.context.store.get('inode', dentryKey(loading.ref.id, name));
}

function changed(loading: Loading, name: string): void {
  loading.context.notify({ kind: 'changed', path: joinPath(loading.path, name), subtree: false });
}
