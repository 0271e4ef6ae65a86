import type { CancelTimer } from '../base/clock.ts';
import type { UfsFact } from '../model/command.ts';
import { SluiceError } from '../model/errors.ts';
import type { DirectoryInode, Inode, InodeId } from '../model/inode.ts';
import type { Mount } from '../model/mount.ts';
import { ufsPathOf } from '../model/namespace.ts';
import { checkName, compareKeys } from '../model/path.ts';
import { dentryPrefix } from '../model/state-store.ts';
import type { Ufs } from '../ufs/ufs.ts';
import type { PathWatch } from './path-locks.ts';
import { proposeLoad, type SyncParts, ufsTimedOut } from './sync-parts.ts';
import { differs, isOfUfs } from './ufs-difference.ts';
import { failureOfUfs } from './ufs-registry.ts';
import { emptyOut } from './ufs-removal.ts';

/** Facts in one command at most. */
const FACTS_PER_COMMAND = 1_000;
const ROWS_PER_SCAN = 1_000;
/** Removals that one listing remembers until its end; what is over is found by the next listing. */
const MAX_PENDING_REMOVALS = 100_000;

/** A directory of a mount that is to be listed. */
export interface ListedDirectory {
  readonly path: string;
  readonly mount: Mount;
  readonly inode: DirectoryInode;
}

interface Known {
  readonly name: string;
  readonly inode: Inode;
}

/** Something known that the UFS has no more, or has as another kind of thing (`fact`). */
interface Gone extends Known {
  readonly fact: UfsFact | undefined;
}

/**
 * Lists a directory of a UFS once and makes the namespace's children equal to it: a merge join of two ordered streams,
 * in bounded memory, proposing only differences. Names that are changed through us meanwhile are left to those changes.
 * Removes nothing unless the listing ended normally. @returns false when the directory itself was changed or went away.
 * @throws what the UFS throws
 */
export async function loadListing(parts: SyncParts, directory: ListedDirectory, watch: PathWatch): Promise<boolean> {
  const run = new ListingRun(parts, directory, watch);
  return run.run();
}

class ListingRun {
  readonly #parts: SyncParts;
  readonly #directory: ListedDirectory;
  readonly #watch: PathWatch;
  readonly #known: KnownChildren;
  readonly #gone: Gone[] = [];
  #upserts: UfsFact[] = [];
  #overflow = false;

  constructor(parts: SyncParts, directory: ListedDirectory, watch: PathWatch) {
    this.#parts = parts;
    this.#directory = directory;
    this.#watch = watch;
    this.#known = new KnownChildren(parts, directory.inode.id);
  }

  async run(): Promise<boolean> {
    const ufs = await this.#parts.ufs.get(this.#directory.mount);
    let last: string | undefined;
    let known = await this.#known.next();
    for await (const page of this.#pages(ufs)) {
      for (const fact of page) {
        if (last !== undefined && compareKeys(fact.name, last) <= 0) throw this.#outOfOrder(last, fact.name);
        last = fact.name;
        for (; known !== undefined && compareKeys(known.name, fact.name) < 0; known = await this.#known.next()) {
          this.#missing(known);
        }
        if (known?.name !== fact.name) this.#found(fact);
        else {
          this.#both(known, fact);
          known = await this.#known.next();
        }
        if (this.#upserts.length >= FACTS_PER_COMMAND && !(await this.#flush())) return false;
      }
    }
    for (; known !== undefined; known = await this.#known.next()) this.#missing(known);
    return this.#finish();
  }

  #found(fact: UfsFact): void {
    if (checkName(fact.name) === undefined) this.#upserts.push(fact);
    else {
      this.#parts.metrics.unnameable.add(1);
      this.#parts.log.warn(
        { uri: this.#directory.mount.uri, name: fact.name },
        'a name in an under storage cannot be used',
      );
    }
  }

  #both(known: Known, fact: UfsFact): void {
    const { inode } = known;
    if (inode.kind === 'directory' && fact.kind === 'directory' && inode.persistence === 'cached') this.#found(fact);
    else if (!isOfUfs(inode) || !differs(inode, fact)) return;
    else if (inode.kind === fact.kind) this.#found(fact);
    else this.#remember({ ...known, fact });
  }

  #missing(known: Known): void {
    if (isOfUfs(known.inode)) this.#remember({ ...known, fact: undefined });
  }

  #remember(gone: Gone): void {
    if (this.#gone.length < MAX_PENDING_REMOVALS) this.#gone.push(gone);
    else this.#overflow = true;
  }

  async #flush(): Promise<boolean> {
    const upserts = this.#upserts.filter((fact) => !this.#watch.touched(fact.name));
    this.#upserts = [];
    if (this.#watch.all) return false;
    if (upserts.length === 0) return true;
    return proposeLoad(this.#parts, { directoryId: this.#directory.inode.id, upserts });
  }

  /** The listing is complete: now what it did not have may go. */
  async #finish(): Promise<boolean> {
    const { inode } = this.#directory;
    for (const { name, inode: child } of this.#gone) {
      if (child.kind !== 'directory' || child.childCount === 0) continue;
      await emptyOut(this.#parts, child.id, () => this.#watch.touched(name));
    }
    for (let done = 0; ; ) {
      const room = FACTS_PER_COMMAND - Math.min(this.#upserts.length, FACTS_PER_COMMAND);
      const slice = this.#gone.slice(done, done + room);
      done += slice.length;
      const last = done >= this.#gone.length;
      const gone = slice.filter(({ name }) => !this.#watch.touched(name));
      const upserts = this.#upserts.filter((fact) => !this.#watch.touched(fact.name));
      for (const { fact } of gone) if (fact !== undefined) upserts.push(fact);
      this.#upserts = [];
      if (this.#watch.all) return false;
      const removals = gone.map((entry) => ({ name: entry.name, id: entry.inode.id }));
      const complete = last && !inode.childrenLoaded;
      if (complete || upserts.length + removals.length > 0) {
        if (!(await proposeLoad(this.#parts, { directoryId: inode.id, upserts, removals, complete }))) return false;
      }
      if (last) return !this.#overflow || this.#incomplete();
    }
  }

  #incomplete(): boolean {
    this.#parts.log.warn({ path: this.#directory.path }, 'more entries vanished than one listing removes');
    return false;
  }

  /** Pages of the UFS; a page that does not come in time is an error. */
  async *#pages(ufs: Ufs): AsyncGenerator<readonly UfsFact[]> {
    const { mount, path, inode } = this.#directory;
    const controller = new AbortController();
    const pages = ufs.list(ufsPathOf(mount, path), controller.signal)[Symbol.asyncIterator]();
    try {
      for (;;) {
        const page = await this.#inTime(pages.next(), controller, ufs.uri);
        if (page.done === true) return;
        yield page.value;
      }
    } catch (thrown) {
      // A directory that only we know has no children there.
      if (inode.persistence === 'cached' && SluiceError.from(thrown).code === 'NOT_FOUND') return;
      throw failureOfUfs(mount, thrown);
    } finally {
      // Not after a page that never came: the iterator would wait for it.
      if (!controller.signal.aborted) await pages.return?.();
    }
  }

  async #inTime<T>(page: Promise<T>, controller: AbortController, uri: string): Promise<T> {
    let cancel: CancelTimer | undefined;
    const late = new Promise<never>((_, reject) => {
      cancel = this.#parts.timers.after(this.#parts.ufsTimeoutMs, () => {
        reject(ufsTimedOut(this.#parts, uri));
        controller.abort();
      });
    });
    return Promise.race([page, late]).finally(cancel);
  }

  #outOfOrder(last: string, name: string): SluiceError {
    const { mount, path } = this.#directory;
    const order = `${JSON.stringify(name)} after ${JSON.stringify(last)}`;
    const message = `UFS ${mount.uri} listed ${order} in ${path}: it repeats itself; check it`;
    return new SluiceError('UNAVAILABLE', message, { details: { path } });
  }
}

/** The children that are known, in order. */
class KnownChildren {
  readonly #parts: SyncParts;
  readonly #prefix: string;
  #rows: readonly { readonly key: string; readonly row: Inode }[] = [];
  #at = 0;
  #after = '';
  #ended = false;

  constructor(parts: SyncParts, directoryId: InodeId) {
    this.#parts = parts;
    this.#prefix = dentryPrefix(directoryId);
  }

  async next(): Promise<Known | undefined> {
    if (this.#at === this.#rows.length) {
      if (this.#ended) return undefined;
      const range = { prefix: this.#prefix, after: this.#after, limit: ROWS_PER_SCAN };
      this.#rows = await this.#parts.state.state.scan('inode', range);
      this.#at = 0;
      this.#ended = this.#rows.length < ROWS_PER_SCAN;
    }
    const found = this.#rows[this.#at];
    if (found === undefined) return undefined;
    this.#at++;
    this.#after = found.key;
    return { name: found.key.slice(this.#prefix.length), inode: found.row };
  }
}
