import { must } from '../base/assert.ts';
import { SluiceError } from '../model/errors.ts';
import { isBelow, namesOf, pathOfNames } from '../model/path.ts';

/** `shared`: the path stays what it is; `exclusive`: the path and all below it belong to the holder. */
export type LockMode = 'shared' | 'exclusive';

export interface LockRequest {
  readonly path: string;
  readonly mode: LockMode;
}

/** Gives the locks back; calling it twice does no harm. */
export type Release = () => void;

interface Waiter {
  readonly mode: LockMode;
  readonly grant: () => void;
}

interface Node {
  shared: number;
  exclusive: boolean;
  readonly waiters: Waiter[];
}

/** What happened to a directory while somebody looked at it. */
export interface PathWatch {
  /** Whether `name` in the directory was, or is being, changed through these locks since the watch began. */
  touched(name: string): boolean;
  /** Whether the directory itself, or more names than a watch remembers, were touched. */
  readonly all: boolean;
  /** Whether anything at or below the directory was touched. */
  readonly any: boolean;
  close(): void;
}

const MAX_WAITERS = 10_000;
const MAX_TOUCHED_NAMES = 10_000;

/**
 * Locks on paths, local to the leader, for operations that touch a UFS. An exclusive lock on `/a/b` takes shared ones
 * on
 * `/` and `/a`, so that it excludes everything at, above and below `/a/b` that is exclusive, and everything shared at
 * or below it. Locks are taken in the order of paths (ancestors first), first come first served at each path: no
 * deadlock, no starvation.
 */
export class PathLocks {
  readonly #nodes = new Map<string, Node>();
  readonly #held = new Set<string>();
  readonly #watches = new Set<Watch>();
  #waiting = 0;

  /**
   * Takes all locks of `requests`, or none.
   * @throws SluiceError CANCELLED when `signal` is aborted first, EXHAUSTED when too many wait already.
   */
  async acquire(requests: readonly LockRequest[], signal: AbortSignal): Promise<Release> {
    const modes = new Map<string, LockMode>();
    for (const { path, mode } of requests) {
      const names = namesOf(path);
      for (let depth = 0; depth < names.length; depth++) merge(modes, pathOfNames(names, depth), 'shared');
      merge(modes, path, mode);
    }
    const wanted = [...modes].sort(([a], [b]) => (a < b ? -1 : 1));
    const taken: [string, LockMode][] = [];
    try {
      for (const [path, mode] of wanted) {
        const waiting = this.#take(path, mode, signal);
        if (waiting !== undefined) await waiting;
        taken.push([path, mode]);
      }
    } catch (thrown) {
      for (const [path, mode] of taken.reverse()) this.#release(path, mode);
      throw thrown;
    }
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      for (const [path, mode] of taken.reverse()) this.#release(path, mode);
    };
  }

  /** Observes exclusive locks at, above and below `directory`, beginning with those that are held now. */
  watch(directory: string): PathWatch {
    const watch = new Watch(directory, () => this.#watches.delete(watch));
    this.#watches.add(watch);
    for (const path of this.#held) watch.see(path);
    return watch;
  }

  /** Paths on which somebody holds or awaits a lock. */
  get size(): number {
    return this.#nodes.size;
  }

  #take(path: string, mode: LockMode, signal: AbortSignal): Promise<void> | undefined {
    if (signal.aborted) throw gaveUp(path);
    let node = this.#nodes.get(path);
    if (node === undefined) {
      node = { shared: 0, exclusive: false, waiters: [] };
      this.#nodes.set(path, node);
    }
    if (node.waiters.length === 0 && fits(node, mode)) {
      this.#grant(path, node, mode);
      return undefined;
    }
    if (this.#waiting >= MAX_WAITERS) {
      throw new SluiceError('EXHAUSTED', `More than ${MAX_WAITERS} operations wait for locks: try again later`);
    }
    return this.#wait(path, node, mode, signal);
  }

  #wait(path: string, node: Node, mode: LockMode, signal: AbortSignal): Promise<void> {
    this.#waiting++;
    return new Promise((resolve, reject) => {
      const abort = () => {
        this.#waiting--;
        node.waiters.splice(node.waiters.indexOf(waiter), 1);
        this.#wake(path, node);
        reject(gaveUp(path));
      };
      const waiter: Waiter = {
        mode,
        grant: () => {
          this.#waiting--;
          signal.removeEventListener('abort', abort);
          resolve();
        },
      };
      node.waiters.push(waiter);
      signal.addEventListener('abort', abort, { once: true });
    });
  }

  #grant(path: string, node: Node, mode: LockMode): void {
    if (mode === 'shared') {
      node.shared++;
      return;
    }
    node.exclusive = true;
    this.#held.add(path);
    for (const watch of this.#watches) watch.see(path);
  }

  #release(path: string, mode: LockMode): void {
    const node = must(this.#nodes.get(path), `${path} is locked`);
    if (mode === 'shared') node.shared--;
    else {
      node.exclusive = false;
      this.#held.delete(path);
    }
    this.#wake(path, node);
  }

  #wake(path: string, node: Node): void {
    for (let first = node.waiters[0]; first !== undefined && fits(node, first.mode); first = node.waiters[0]) {
      node.waiters.shift();
      this.#grant(path, node, first.mode);
      first.grant();
    }
    if (node.shared === 0 && !node.exclusive && node.waiters.length === 0) this.#nodes.delete(path);
  }
}

class Watch implements PathWatch {
  readonly #directory: string;
  readonly #names = new Set<string>();
  readonly close: () => void;
  all = false;

  constructor(directory: string, close: () => void) {
    this.#directory = directory;
    this.close = close;
  }

  get any(): boolean {
    return this.all || this.#names.size > 0;
  }

  touched(name: string): boolean {
    return this.all || this.#names.has(name);
  }

  see(path: string): void {
    const directory = this.#directory;
    if (path === directory || isBelow(directory, path)) this.all = true;
    else if (isBelow(path, directory) && !this.all) {
      const begin = directory === '/' ? 1 : directory.length + 1;
      const slash = path.indexOf('/', begin);
      this.#names.add(slash < 0 ? path.slice(begin) : path.slice(begin, slash));
      if (this.#names.size > MAX_TOUCHED_NAMES) this.all = true;
    }
  }
}

function fits(node: Node, mode: LockMode): boolean {
  return !node.exclusive && (mode === 'shared' || node.shared === 0);
}

function merge(modes: Map<string, LockMode>, path: string, mode: LockMode): void {
  if (mode === 'exclusive' || !modes.has(path)) modes.set(path, mode);
}

function gaveUp(path: string): SluiceError {
  return new SluiceError('CANCELLED', `The caller gave up while waiting for ${path}`);
}
