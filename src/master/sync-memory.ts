import type { Clock } from '../base/clock.ts';
import type { Inode, InodeId } from '../model/inode.ts';
import type { Mount } from '../model/mount.ts';
import { depthOf, inodeAt, nameAt, type Walk } from '../model/namespace.ts';
import { dentryKey } from '../model/state-store.ts';
import { RecentMap } from './recent-map.ts';
import { isOfUfs } from './ufs-difference.ts';

const MAX_LOOKED = 200_000;
const MAX_LISTED = 50_000;
const MAX_ABSENT = 50_000;
/** What is said to be absent, or failed, is asked again after this long at the latest. */
const SHORT_MS = 1_000;

/**
 * What this leader remembers of its looks at UFSs: when, and what was absent. Forgetting is always safe: it costs a
 * look.
 * All times are monotonic.
 */
export class SyncMemory {
  readonly #clock: Clock;
  readonly #looked = new RecentMap<InodeId, number>(MAX_LOOKED);
  readonly #listed = new RecentMap<InodeId, number>(MAX_LISTED);
  readonly #absentUntil = new RecentMap<string, number>(MAX_ABSENT);

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  now(): number {
    return this.#clock.monotonicMs();
  }

  /** The inode was found to be as the UFS has it, by a look that began at `atMs`. */
  looked(id: InodeId, atMs: number): void {
    this.#looked.set(id, atMs);
  }

  /** All children of the directory were compared, by a listing that began at `atMs`. */
  listed(id: InodeId, atMs: number): void {
    this.#listed.set(id, atMs);
  }

  /** Looking failed: what is known serves for a little longer, so that a sick UFS is not asked at each access. */
  failed(times: 'looked' | 'listed', id: InodeId, mount: Mount): void {
    const map = times === 'looked' ? this.#looked : this.#listed;
    map.set(id, this.now() - mount.syncIntervalMs + shortOf(mount));
  }

  absent(parentId: InodeId, name: string, atMs: number, mount: Mount): void {
    const lifeMs = shortOf(mount);
    if (lifeMs > 0) this.#absentUntil.set(dentryKey(parentId, name), atMs + lifeMs);
  }

  forgetAbsent(parentId: InodeId, name: string): void {
    this.#absentUntil.delete(dentryKey(parentId, name));
  }

  forgetListing(id: InodeId): void {
    this.#listed.delete(id);
  }

  /** Whether what is known of a path may be served without a look at the UFS. */
  isCurrent(walked: Walk): boolean {
    const { mount } = walked;
    if (mount === undefined) return true;
    const depth = depthOf(walked);
    const last = inodeAt(walked, depth);
    if (depth < walked.names.length && last.kind === 'directory') {
      return this.isAbsent(last, nameAt(walked, depth), mount);
    }
    return !isOfUfs(last) || this.isFresh(last, inodeAt(walked, depth - 1).id, mount);
  }

  /** Whether what is known of an inode is young enough for its mount. */
  isFresh(inode: Inode, parentId: InodeId, mount: Mount): boolean {
    if (mount.syncIntervalMs < 0) return true;
    return this.#within(this.#looked.get(inode.id), mount) || this.#within(this.#listed.get(parentId), mount);
  }

  /** Whether the known children of a directory are all that it has, as far as its mount wants to know. */
  isListingFresh(directory: Inode, mount: Mount): boolean {
    if (directory.kind !== 'directory' || !directory.childrenLoaded) return false;
    return mount.syncIntervalMs < 0 || this.#within(this.#listed.get(directory.id), mount);
  }

  /** Whether a name that is not known is known not to exist. */
  isAbsent(parent: Inode, name: string, mount: Mount): boolean {
    if (this.isListingFresh(parent, mount)) return true;
    const until = this.#absentUntil.get(dentryKey(parent.id, name));
    return until !== undefined && this.now() < until;
  }

  /** A leader begins with an empty memory: it does not know what others have seen. */
  clear(): void {
    this.#looked.clear();
    this.#listed.clear();
    this.#absentUntil.clear();
  }

  #within(atMs: number | undefined, mount: Mount): boolean {
    return atMs !== undefined && this.now() - atMs < mount.syncIntervalMs;
  }
}

function shortOf(mount: Mount): number {
  return mount.syncIntervalMs < 0 ? SHORT_MS : Math.min(mount.syncIntervalMs, SHORT_MS);
}
