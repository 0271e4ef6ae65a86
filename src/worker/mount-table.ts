import type { Logger } from '../host/logger.ts';
import { SluiceError } from '../model/errors.ts';
import type { Mount, MountId } from '../model/mount.ts';
import type { Ufs } from '../ufs/ufs.ts';

/** A UFS that stays open until `release`, although its mount may be gone. */
export interface UfsLease {
  readonly ufs: Ufs;
  readonly readOnly: boolean;
  /** Calling it twice does no harm. */
  release(): void;
}

interface OpenMount {
  readonly mount: Mount;
  readonly opened: { readonly ufs: Ufs } | { readonly error: SluiceError };
  leases: number;
  retired: boolean;
}

export interface MountTableOptions {
  /** @throws SluiceError for a scheme or options that this worker does not know. */
  open(mount: Mount): Ufs;
  readonly logger: Logger;
}

/**
 * The mounts that the leader has told, each with its UFS opened once. A replaced UFS is closed when its last user is
 * done.
 */
export class MountTable {
  readonly #options: MountTableOptions;
  #mounts = new Map<MountId, OpenMount>();
  #version = -1;
  readonly #closing = new Set<Promise<void>>();

  constructor(options: MountTableOptions) {
    this.#options = options;
  }

  /**
   * Takes over the whole table. An older version than the present one is left aside unless `anew` (another leader
   * counts anew).
   */
  update(version: number, mounts: readonly Mount[], anew: boolean): void {
    if (!anew && version < this.#version) return;
    this.#version = version;
    const before = this.#mounts;
    this.#mounts = new Map();
    for (const mount of mounts) {
      const known = before.get(mount.id);
      if (known !== undefined && sameUfs(known.mount, mount) && 'ufs' in known.opened) {
        this.#mounts.set(mount.id, known);
        before.delete(mount.id);
      } else this.#mounts.set(mount.id, this.#open(mount));
    }
    for (const old of before.values()) this.#retire(old);
  }

  #open(mount: Mount): OpenMount {
    try {
      return { mount, opened: { ufs: this.#options.open(mount) }, leases: 0, retired: false };
    } catch (thrown) {
      const error = SluiceError.from(thrown, 'UNAVAILABLE', `Mount ${mount.path} cannot be opened by this worker`);
      this.#options.logger.error({ err: error, mount: mount.path, uri: mount.uri }, 'a mount cannot be opened');
      return { mount, opened: { error }, leases: 0, retired: false };
    }
  }

  /** @throws UNAVAILABLE for a mount that this worker has not heard of, or why it could not be opened. */
  acquire(id: MountId): UfsLease {
    const entry = this.#mounts.get(id);
    if (entry === undefined)
      throw new SluiceError(
        'UNAVAILABLE',
        `This worker does not know mount ${id}: it was unmounted, or try again soon`,
      );
    if ('error' in entry.opened) throw entry.opened.error;
    entry.leases += 1;
    let held = true;
    return {
      ufs: entry.opened.ufs,
      readOnly: entry.mount.readOnly,
      release: () => {
        if (!held) return;
        held = false;
        entry.leases -= 1;
        if (entry.retired && entry.leases === 0) this.#closeUfs(entry);
      },
    };
  }

  #retire(entry: OpenMount): void {
    entry.retired = true;
    if (entry.leases === 0) this.#closeUfs(entry);
  }

  #closeUfs(entry: OpenMount): void {
    if ('error' in entry.opened) return;
    const closing = entry.opened.ufs.close().catch((thrown: unknown) => {
      this.#options.logger.warn({ err: thrown, mount: entry.mount.path }, 'a storage could not be closed');
    });
    this.#closing.add(closing);
    void closing.then(() => this.#closing.delete(closing));
  }

  /** Closes all; leases that are still held close theirs when they are released. */
  async close(): Promise<void> {
    for (const entry of this.#mounts.values()) this.#retire(entry);
    this.#mounts = new Map();
    await Promise.all(this.#closing);
  }
}

function sameUfs(a: Mount, b: Mount): boolean {
  const options = (mount: Mount): string => JSON.stringify(Object.entries(mount.options).sort());
  return a.uri === b.uri && a.readOnly === b.readOnly && options(a) === options(b);
}
