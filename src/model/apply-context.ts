import { assert, must } from '../base/assert.ts';
import type { Notice, Outcome } from './command.ts';
import type { Refusal } from './errors.ts';
import type { DirectoryInode, Inode, InodeId } from './inode.ts';
import type { MountId } from './mount.ts';
import { type DirectoryRef, located, type Walk } from './namespace.ts';
import type { Caller } from './principal.ts';
import { type CountersRow, dentryKey, idKey, type StateStore, trashPlace } from './state-store.ts';

/** What one kind of command comes to; a refusal has written nothing. */
export type Result = Outcome | Refusal;

export const DONE: Outcome = Object.freeze({ kind: 'done' });

/** What a command answers that made, changed or found the inode at the end of a walk. */
export function inodeOutcome(walked: Walk, inode: Inode): Outcome {
  const { path, mountId, ufsPath } = located(walked, inode);
  return { kind: 'inode', path, inode, mountId, ufsPath };
}

/** How an edit counts for the directory's own times: an operation changes them, what we learn of the UFS does not. */
export type Touch = 'touch' | 'leave';

/**
 * One command at work: who asks, log time, counters, notices, and the edits of the tree that keep its invariants (every
 * inode row has one place row and is counted by its parent).
 */
export class ApplyContext {
  readonly store: StateStore;
  readonly caller: Caller;
  /** Log time. */
  readonly nowMs: number;
  readonly #notices: Notice[] = [];
  readonly #counters: { -readonly [K in keyof CountersRow]: CountersRow[K] };

  /** @param counters As they are before the command. @param logTimeMs As it is in the command. */
  constructor(store: StateStore, caller: Caller, counters: CountersRow, logTimeMs: number) {
    this.store = store;
    this.caller = caller;
    this.nowMs = logTimeMs;
    const { nextInodeId, nextMountId, inodeCount, workersVersion, mountsVersion } = counters;
    this.#counters = { nextInodeId, nextMountId, inodeCount, logTimeMs, workersVersion, mountsVersion };
  }

  /** As they are after the command. */
  get counters(): CountersRow {
    return this.#counters;
  }

  get notices(): readonly Notice[] {
    return this.#notices;
  }

  notify(notice: Notice): void {
    this.#notices.push(notice);
  }

  newInodeId(): InodeId {
    const id = this.#counters.nextInodeId;
    assert(id < Number.MAX_SAFE_INTEGER, 'Inode numbers are not used up');
    this.#counters.nextInodeId = id + 1;
    return id;
  }

  newMountId(): MountId {
    const id = this.#counters.nextMountId;
    this.#counters.nextMountId = id + 1;
    return id;
  }

  /** Counts rows that came into the inode table or left it. */
  countInodes(delta: number): void {
    this.#counters.inodeCount += delta;
  }

  /** Counts a change of the mount table and tells of it. */
  mountsChanged(mountId: MountId): void {
    this.#counters.mountsVersion += 1;
    this.notify({ kind: 'mountsChanged', mountId });
  }

  /** Counts a change of the ring of workers and tells of it. */
  workersChanged(): void {
    this.#counters.workersVersion += 1;
    this.notify({ kind: 'workersChanged' });
  }

  /** Puts a new inode, or one that was taken out, into a directory. */
  addChild(parent: DirectoryRef, name: string, inode: Inode, touch: Touch): void {
    this.store.insert('inode', dentryKey(parent.id, name), inode);
    this.store.insert('place', idKey(inode.id), { parentId: parent.id, name });
    this.countInodes(1);
    this.#count(parent, 1, touch);
  }

  /** Takes an inode out of a directory for ever. */
  removeChild(parent: DirectoryRef, name: string, id: InodeId, touch: Touch): void {
    this.store.delete('inode', dentryKey(parent.id, name));
    this.store.delete('place', idKey(id));
    this.countInodes(-1);
    this.#count(parent, -1, touch);
  }

  /** Takes an inode out of one directory and puts it, as `moved`, into another or the same one. */
  moveChild(
    from: { readonly parent: DirectoryRef; readonly name: string },
    to: { readonly parent: DirectoryRef; readonly name: string },
    moved: Inode,
  ): void {
    this.store.delete('inode', dentryKey(from.parent.id, from.name));
    this.store.insert('inode', dentryKey(to.parent.id, to.name), moved);
    this.store.put('place', idKey(moved.id), { parentId: to.parent.id, name: to.name });
    const stays = from.parent.id === to.parent.id;
    if (!stays) this.#count(from.parent, -1, 'touch');
    this.#count(to.parent, stays ? 0 : 1, 'touch');
  }

  /**
   * Takes `inode` and all that is below it out of a directory: at once when nothing is below it, else it becomes a
   * detached directory that waits for purge.
   */
  dropChild(parent: DirectoryRef, name: string, inode: Inode, touch: Touch): void {
    this.removeChild(parent, name, inode.id, touch);
    if (inode.kind === 'file') this.notify({ kind: 'contentDropped', id: inode.id });
    else if (inode.childCount > 0) this.detach(inode);
  }

  /** Hangs a directory that was taken out of the namespace into the trash. */
  detach(inode: DirectoryInode): void {
    const place = trashPlace(inode.id);
    this.store.put('inode', dentryKey(place.parentId, place.name), inode);
    this.store.put('place', idKey(inode.id), place);
    this.store.put('trash', idKey(inode.id), { id: inode.id });
    this.countInodes(1);
    this.notify({ kind: 'detached', id: inode.id });
  }

  /** Changes fields of the directory whose row has `key`. */
  changeDirectory(key: string, change: (directory: DirectoryInode) => Partial<DirectoryInode>): void {
    const directory = this.#directory(key);
    this.store.put('inode', key, { ...directory, ...change(directory) });
  }

  #count(parent: DirectoryRef, delta: number, touch: Touch): void {
    const directory = this.#directory(parent.key);
    const touchedMs = touch === 'touch' ? this.nowMs : undefined;
    this.store.put('inode', parent.key, withChildren(directory, directory.childCount + delta, touchedMs));
  }

  #directory(key: string): DirectoryInode {
    const directory = must(this.store.get('inode', key), 'A directory that is changed exists');
    assert(directory.kind === 'directory', 'Only directories have children');
    return directory;
  }
}

/** A copy with another count. Nearly every command makes one, and spreading the directory takes ten times as long. */
function withChildren(directory: DirectoryInode, childCount: number, touchedMs: number | undefined): DirectoryInode {
  return {
    kind: 'directory',
    id: directory.id,
    owner: directory.owner,
    group: directory.group,
    mode: directory.mode,
    createdMs: directory.createdMs,
    modifiedMs: touchedMs ?? directory.modifiedMs,
    accessedMs: directory.accessedMs,
    changedMs: touchedMs ?? directory.changedMs,
    pinned: directory.pinned,
    ttlMs: directory.ttlMs,
    ttlAction: directory.ttlAction,
    persistence: directory.persistence,
    childCount,
    childrenLoaded: directory.childrenLoaded,
    mountPoint: directory.mountPoint,
    mountsBelow: directory.mountsBelow,
  };
}
