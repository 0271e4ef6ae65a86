import type { UfsFact } from '../model/command.ts';
import { SluiceError } from '../model/errors.ts';
import type { Inode, InodeId } from '../model/inode.ts';
import type { Mount } from '../model/mount.ts';
import { depthOf, inodeAt, nameAt, target, ufsPathOf, type Walk, walk } from '../model/namespace.ts';
import { pathOfNames } from '../model/path.ts';
import { dentryKey } from '../model/state-store.ts';
import type { Located } from '../model/status.ts';
import { Flights } from './flights.ts';
import type { PathWatch } from './path-locks.ts';
import type { ReaderSync } from './reader-sync.ts';
import { proposeLoad, type SyncParts, ufsTimedOut } from './sync-parts.ts';
import { differs, isOfUfs } from './ufs-difference.ts';
import { loadListing } from './ufs-listing.ts';
import { emptyOut } from './ufs-removal.ts';

/** A path that the caller has locked, with all that its mount knows of it loaded, but for its own last name. */
export interface Looked {
  readonly walked: Walk;
  /** The UFS has this at the path, and the namespace does not know it yet. */
  readonly unknown: { readonly fact: UfsFact; readonly parentId: InodeId } | undefined;
}

/** What is looked up: only what is not known, also what is too old, or all. */
type Scope = 'missing' | 'old' | 'known';

const MAX_ATTEMPTS = 3;

/**
 * Keeps the metadata of mounted UFSs as right as each mount's interval asks: loads what is not known at the first
 * access,
 * and looks again at what is older than the interval. Only a proven absence removes; an error changes nothing, and what
 * is known is served meanwhile. Runs on the leader only.
 */
export class UfsSync implements ReaderSync {
  readonly #parts: SyncParts;
  readonly #lookUps = new Flights<string>();
  readonly #listings = new Flights<InodeId>();

  constructor(parts: SyncParts) {
    this.#parts = parts;
  }

  isCurrent(walked: Walk): boolean {
    return this.#parts.memory.isCurrent(walked);
  }

  async lookUp(walked: Walk, signal: AbortSignal, anew = false): Promise<void> {
    const { path, mount } = walked;
    if (mount === undefined) return;
    const strict = anew || mount.syncIntervalMs === 0;
    await this.#lookUps.join(path, strict, () => this.#lookUpShared(path, anew ? 'known' : 'old'), signal);
  }

  /**
   * For a change: loads the directories on the way to `path`, which the caller has locked, and looks for the path
   * itself
   * when it is not known. What is known is not looked at again, so that a retry finds what its first try found.
   * @throws SluiceError what the UFS said
   */
  async lookUpLocked(path: string): Promise<Looked> {
    return this.#descend(path, 'missing', AbortSignal.timeout(this.#parts.ufsTimeoutMs));
  }

  /** Lets the namespace know what `lookUpLocked` found. */
  async load(looked: Looked): Promise<void> {
    if (looked.unknown !== undefined) await this.#load(looked.unknown.parentId, looked.unknown.fact);
  }

  /** What the UFS has at a path. */
  async stat(mount: Mount, path: string, signal?: AbortSignal): Promise<UfsFact | undefined> {
    const { ufs, metrics, ufsTimeoutMs } = this.#parts;
    const timeout = signal ?? AbortSignal.timeout(ufsTimeoutMs);
    metrics.stats.add(1);
    try {
      return await ufs.use(mount, (storage) => orTimeout(storage.stat(ufsPathOf(mount, path), timeout), timeout));
    } catch (thrown) {
      metrics.failures.add(1);
      throw timeout.aborted ? ufsTimedOut(this.#parts, mount.uri) : thrown;
    }
  }

  async list(path: string, id: InodeId, signal: AbortSignal, anew = false): Promise<void> {
    const walked = walk(this.#parts.state.state, path);
    const inode = target(walked);
    if (walked.mount === undefined || inode?.kind !== 'directory' || inode.id !== id) return;
    if (!anew && this.#parts.memory.isListingFresh(inode, walked.mount)) return;
    const strict = anew || walked.mount.syncIntervalMs === 0;
    await this.#listings.join(id, strict, () => this.#listShared(path, id), signal);
  }

  /** Not when a mount wants a look at each access, which only a look that begins later can be. */
  mayListAhead({ path, inode, mountId }: Located): boolean {
    if (mountId === 0) return false;
    const { mount } = walk(this.#parts.state.state, path);
    return mount !== undefined && mount.syncIntervalMs !== 0 && !this.#parts.memory.isListingFresh(inode, mount);
  }

  /** Our own change has just made `id` what the UFS has. */
  saw(id: InodeId): void {
    this.#parts.memory.looked(id, this.#parts.memory.now());
  }

  /** Our own change may have made a name appear, or left it in the UFS. */
  forgetAbsent(parentId: InodeId, name: string): void {
    this.#parts.memory.forgetAbsent(parentId, name);
  }

  /** A change of the UFS failed half-way: look at the directory again. */
  forgetListing(id: InodeId): void {
    this.#parts.memory.forgetListing(id);
  }

  async #lookUpShared(path: string, scope: Scope): Promise<void> {
    const { locks, ufsTimeoutMs } = this.#parts;
    const signal = AbortSignal.timeout(ufsTimeoutMs);
    const release = await locks.acquire([{ path, mode: 'shared' }], signal);
    const watch = locks.watch(path);
    try {
      const looked = await this.#descend(path, scope, signal, watch);
      await this.load(looked);
    } finally {
      watch.close();
      release();
    }
  }

  /** Walks down, loading what is missing, and looks again at the end of the path as `scope` says. */
  async #descend(path: string, scope: Scope, signal: AbortSignal, watch?: PathWatch): Promise<Looked> {
    const { state, memory } = this.#parts;
    for (let steps = 0; ; steps++) {
      const walked = walk(state.state, path);
      const { mount, names } = walked;
      if (mount === undefined) return { walked, unknown: undefined };
      const depth = depthOf(walked);
      const last = inodeAt(walked, depth);
      if (depth === names.length || last.kind === 'file') {
        if (watch === undefined || !this.#isDue(walked, mount, scope)) return { walked, unknown: undefined };
        const changed = await this.#refresh(walked, mount, watch, signal);
        if (!changed) return { walked: walk(state.state, path), unknown: undefined };
      } else {
        const name = nameAt(walked, depth);
        if (scope !== 'known' && memory.isAbsent(last, name, mount)) return { walked, unknown: undefined };
        const atMs = memory.now();
        const found = await this.stat(mount, pathOfNames(names, depth + 1), signal);
        if (found === undefined) {
          memory.absent(last.id, name, atMs, mount);
          return { walked, unknown: undefined };
        }
        const unknown = { fact: { ...found, name }, parentId: last.id };
        if (depth === names.length - 1) return { walked, unknown };
        await this.#load(unknown.parentId, unknown.fact);
      }
      if (steps > names.length + MAX_ATTEMPTS) throw restless(path);
    }
  }

  #isDue(walked: Walk, mount: Mount, scope: Scope): boolean {
    const depth = depthOf(walked);
    const last = inodeAt(walked, depth);
    if (scope === 'missing' || !isOfUfs(last)) return false;
    return scope === 'known' || !this.#parts.memory.isFresh(last, inodeAt(walked, depth - 1).id, mount);
  }

  /** Looks at the last known inode of a path. @returns whether something other than it is there now */
  async #refresh(walked: Walk, mount: Mount, watch: PathWatch, signal: AbortSignal): Promise<boolean> {
    const { memory, log, metrics } = this.#parts;
    const depth = depthOf(walked);
    const inode = inodeAt(walked, depth);
    const parentId = inodeAt(walked, depth - 1).id;
    const atMs = memory.now();
    const path = pathOfNames(walked.names, depth);
    const name = nameAt(walked, depth - 1);
    let found: UfsFact | undefined;
    try {
      found = await this.stat(mount, path, signal);
    } catch (err) {
      if (!(err instanceof SluiceError)) throw err;
      memory.failed('looked', inode.id, mount);
      metrics.servedStale.add(1);
      log.warn({ err, path }, 'an under storage failed, known metadata is served');
      return false;
    }
    if (found === undefined || found.kind !== inode.kind) {
      const replaced = await this.#replace(parentId, name, inode, found, watch);
      if (!replaced) memory.looked(inode.id, atMs);
      else if (found === undefined) memory.absent(parentId, name, atMs, mount);
      return replaced;
    }
    if (differs(inode, found)) await proposeLoad(this.#parts, { directoryId: parentId, upserts: [{ ...found, name }] });
    memory.looked(inode.id, atMs);
    return false;
  }

  /** @returns false when the inode stays, because it has what is only ours, or is being changed through us. */
  async #replace(
    parentId: InodeId,
    name: string,
    inode: Inode,
    found: UfsFact | undefined,
    watch: PathWatch,
  ): Promise<boolean> {
    if (inode.kind === 'directory' && inode.childCount > 0) await emptyOut(this.#parts, inode.id, () => watch.any);
    if (watch.any) return false;
    const removals = [{ name, id: inode.id }];
    const upserts = found === undefined ? [] : [{ ...found, name }];
    await proposeLoad(this.#parts, { directoryId: parentId, removals, upserts });
    return this.#parts.state.state.get('inode', dentryKey(parentId, name))?.id !== inode.id;
  }

  async #load(parentId: InodeId, fact: UfsFact): Promise<void> {
    const { memory, state } = this.#parts;
    const atMs = memory.now();
    await proposeLoad(this.#parts, { directoryId: parentId, upserts: [fact] });
    const child = state.state.get('inode', dentryKey(parentId, fact.name));
    if (child !== undefined) memory.looked(child.id, atMs);
    memory.forgetAbsent(parentId, fact.name);
  }

  async #listShared(path: string, id: InodeId): Promise<void> {
    const { memory, log, metrics } = this.#parts;
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      await this.#settled(path);
      const walked = walk(this.#parts.state.state, path);
      const inode = target(walked);
      const { mount } = walked;
      if (mount === undefined || inode?.kind !== 'directory' || inode.id !== id) return;
      const atMs = memory.now();
      const watch = this.#parts.locks.watch(path);
      metrics.listings.add(1);
      try {
        if (await loadListing(this.#parts, { path, mount, inode }, watch)) {
          memory.listed(id, atMs);
          return;
        }
      } catch (err) {
        if (!(err instanceof SluiceError) || err.code === 'NOT_LEADER') throw err;
        metrics.failures.add(1);
        if (err.code === 'NOT_FOUND') return await this.#lookUpShared(path, 'known');
        if (!inode.childrenLoaded) throw err;
        memory.failed('listed', id, mount);
        metrics.servedStale.add(1);
        log.warn({ err, path }, 'an under storage failed, the known listing is served');
        return;
      } finally {
        watch.close();
      }
    }
    const inode = target(walk(this.#parts.state.state, path));
    if (inode?.kind === 'directory' && !inode.childrenLoaded) throw restless(path);
  }

  /** Waits until nobody is changing `path` itself. */
  async #settled(path: string): Promise<void> {
    const { locks, ufsTimeoutMs } = this.#parts;
    const release = await locks.acquire([{ path, mode: 'shared' }], AbortSignal.timeout(ufsTimeoutMs));
    release();
  }
}

function restless(path: string): SluiceError {
  return new SluiceError('UNAVAILABLE', `${path} was changed again and again while it was looked up: try again`);
}

/** A UFS that does not heed the signal must not hold its caller. */
function orTimeout<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(new SluiceError('TIMED_OUT', 'The under storage did not answer in time'));
    signal.addEventListener('abort', abort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}
