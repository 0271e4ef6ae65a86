import type { Logger } from '../host/logger.ts';
import { SluiceError } from '../model/errors.ts';
import type { Mount, MountId } from '../model/mount.ts';
import type { Ufs } from '../ufs/ufs.ts';
import type { ReplicatedState } from './replicated-state.ts';
import { Slots } from './slots.ts';

/** Opens the UFS at `uri`. @throws SluiceError that names what is wrong with the address or the options. */
export type OpenUfs = (uri: string, options: Readonly<Record<string, string>>) => Promise<Ufs>;

const CONCURRENT_CALLS = 64;
const QUEUED_CALLS = 10_000;

interface Opened {
  readonly ufs: Promise<Ufs>;
  readonly slots: Slots;
}

/**
 * The opened UFS of each mount. Opened when first needed, closed when the mount is gone. Every mount has its own
 * bounded
 * number of calls in flight, so that one that hangs does not hold up the others.
 */
export class UfsRegistry {
  readonly #state: ReplicatedState;
  readonly #open: OpenUfs;
  readonly #log: Logger;
  readonly #opened = new Map<MountId, Opened>();
  readonly #unsubscribe: () => void;

  constructor(parts: { readonly state: ReplicatedState; readonly open: OpenUfs; readonly log: Logger }) {
    this.#state = parts.state;
    this.#open = parts.open;
    this.#log = parts.log;
    this.#unsubscribe = parts.state.subscribe({
      applied: (_, notices) => {
        if (notices.some((notice) => notice.kind === 'mountsChanged')) this.#closeUnmounted();
      },
      stateReplaced: () => this.#closeUnmounted(),
    });
  }

  /** Runs `task` with the UFS of `mount`, when there is room. @throws what opening or the task throws. */
  async use<T>(mount: Mount, task: (ufs: Ufs) => Promise<T>): Promise<T> {
    const opened = this.#of(mount);
    return opened.slots.run(async () => {
      try {
        return await task(await opened.ufs);
      } catch (thrown) {
        throw failureOfUfs(mount, thrown);
      }
    });
  }

  /** The UFS of `mount`, for what streams and must not hold a place among the calls. */
  get(mount: Mount): Promise<Ufs> {
    return this.#of(mount).ufs;
  }

  /** Opens a UFS that is not mounted yet and proves that it works. The caller adopts or closes it. */
  async probe(uri: string, options: Readonly<Record<string, string>>, readOnly: boolean): Promise<Ufs> {
    const ufs = await this.#open(uri, options);
    try {
      await ufs.check(readOnly);
      return ufs;
    } catch (thrown) {
      await this.#close(ufs);
      throw thrown;
    }
  }

  /** Takes over `ufs` for `mount`. */
  adopt(mount: Mount, ufs: Ufs): void {
    if (this.#opened.has(mount.id)) void this.#close(ufs);
    else this.#opened.set(mount.id, newOpened(mount, Promise.resolve(ufs)));
  }

  async close(): Promise<void> {
    this.#unsubscribe();
    const all = [...this.#opened.values()];
    this.#opened.clear();
    await Promise.all(all.map((opened) => this.#closeOpened(opened)));
  }

  #of(mount: Mount): Opened {
    const known = this.#opened.get(mount.id);
    if (known !== undefined) return known;
    const ufs = this.#open(mount.uri, mount.options).catch((thrown: unknown) => {
      this.#opened.delete(mount.id);
      throw SluiceError.from(thrown, 'UNAVAILABLE', `The UFS of mount point ${mount.path} cannot be opened`);
    });
    const opened = newOpened(mount, ufs);
    this.#opened.set(mount.id, opened);
    return opened;
  }

  #closeUnmounted(): void {
    const mounted = new Set(this.#state.state.get('mountIndex', '')?.mounts.map((entry) => entry.id));
    for (const [id, opened] of this.#opened) {
      if (mounted.has(id)) continue;
      this.#opened.delete(id);
      void this.#closeOpened(opened);
    }
  }

  async #closeOpened(opened: Opened): Promise<void> {
    const ufs = await opened.ufs.catch(() => undefined);
    if (ufs !== undefined) await this.#close(ufs);
  }

  async #close(ufs: Ufs): Promise<void> {
    try {
      await ufs.close();
    } catch (err) {
      this.#log.warn({ err, uri: ufs.uri }, 'closing an under storage failed');
    }
  }
}

function newOpened(mount: Mount, ufs: Promise<Ufs>): Opened {
  return { ufs, slots: new Slots(`calls to the UFS of mount point ${mount.path}`, CONCURRENT_CALLS, QUEUED_CALLS) };
}

/** Tells a client that the UFS has failed, not the masters: it need not ask them again and again. */
export function failureOfUfs(mount: Mount, thrown: unknown): unknown {
  if (!(thrown instanceof SluiceError)) return thrown;
  return new SluiceError(thrown.code, thrown.message, {
    details: { ...thrown.details, ufs: mount.uri },
    cause: thrown,
  });
}
