import { randomUUID } from 'node:crypto';
import fs from 'node:fs/promises';
import { assert } from '../base/assert.ts';
import { formatBytes } from '../base/units.ts';
import type { Logger } from '../host/logger.ts';
import type { Metrics } from '../host/metrics.ts';
import { SluiceError } from '../model/errors.ts';
import { CacheDisk, type DiskFunctions, isAbsence } from './cache-disk.ts';
import { contentFolder } from './cache-layout.ts';
import { prepareFolder, recoverPages } from './cache-recovery.ts';
import { type CachedContent, newContent, placeNumber, placeOfNumber } from './cached-content.ts';
import { DiskTroubles, isDiskFull } from './disk-troubles.ts';
import { KeyedLock } from './keyed-lock.ts';
import type { PageRange } from './page-file.ts';
import { PageIndex, pageDiskBytes } from './page-index.ts';
import type { ContentKey, PageKey, PageStore, PageStoreUsage } from './page-store.ts';
import { type PageStoreMetrics, pageStoreMetrics } from './page-store-metrics.ts';

export interface DiskPageStoreOptions {
  /** Made when missing; must be for this store alone and used by one process at a time (the owner locks it). */
  readonly folder: string;
  /** Counts page files with header in whole disk blocks of 4 KiB, and two blocks for each content (`pageDiskBytes`). */
  readonly capacityBytes: number;
  readonly pageSizeBytes: number;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** Other functions than those of `node:fs/promises`. */
  readonly disk?: DiskFunctions;
}

/** A write is tried so often on a full disk; each failure evicts as much as the write needs. */
const FULL_DISK_ATTEMPTS = 3;

/**
 * A page store with one file per page in one folder. What is stored is known in memory (`PageIndex`); a file exists
 * before its page is indexed, and a page leaves the index before its file is deleted. Within a file id, `adopt` and
 * `drop` run alone, puts run side by side.
 */
export class DiskPageStore implements PageStore {
  readonly pageSizeBytes: number;
  readonly #capacityBytes: number;
  readonly #disk: CacheDisk;
  readonly #index = new PageIndex();
  readonly #locks = new KeyedLock();
  readonly #running = new Set<Promise<unknown>>();
  readonly #metrics: PageStoreMetrics;
  readonly #troubles: DiskTroubles;
  /** Bytes on disk, or about to be, that the index does not count: pages being written and files being deleted. */
  #pendingBytes = 0;
  /** The part of `#pendingBytes` that is being deleted. */
  #deletingBytes = 0;
  #closed = false;

  private constructor(options: DiskPageStoreOptions, disk: CacheDisk) {
    this.pageSizeBytes = options.pageSizeBytes;
    this.#capacityBytes = options.capacityBytes;
    this.#disk = disk;
    this.#metrics = pageStoreMetrics(options.metrics, () => this.usage());
    this.#troubles = new DiskTroubles(options.folder, options.logger, this.#metrics.diskErrors);
  }

  /** Opens a folder with what an earlier process left in it. @throws INVALID_ARGUMENT, EXHAUSTED or UNAVAILABLE */
  static async open(options: DiskPageStoreOptions): Promise<DiskPageStore> {
    const functions = options.disk ?? fs;
    const disk = new CacheDisk(options.folder, functions);
    const store = new DiskPageStore(options, disk);
    try {
      await prepareFolder(disk, functions, options.pageSizeBytes);
      const { foreign } = await recoverPages(disk, functions, store.#index, options.pageSizeBytes);
      store.#metrics.foreign.add(foreign);
      if (foreign > 0)
        options.logger.warn(
          { folder: options.folder, files: foreign },
          'deleted files that were no pages from the cache',
        );
    } catch (thrown) {
      throw store.#troubles.refusal(thrown, 'cannot be opened');
    }
    for (const content of store.#index.emptyContents()) store.#cleanUp(content);
    await store.#makeRoom(0, false);
    return store;
  }

  get(key: PageKey): Promise<Uint8Array | undefined> {
    const found = this.#find(key);
    if (found === undefined) return Promise.resolve(undefined);
    const { content, slot } = found;
    return this.#track(this.#read(content, slot, { start: 0, end: this.#index.lengthOf(slot) }));
  }

  getPart(key: PageKey, range: PageRange, memory?: Uint8Array): Promise<Uint8Array | undefined> {
    assert(range.start >= 0 && range.start < range.end, 'An empty part of a page is read');
    const found = this.#find(key);
    if (found === undefined || range.end > this.#index.lengthOf(found.slot)) return Promise.resolve(undefined);
    return this.#track(this.#read(found.content, found.slot, range, memory));
  }

  /** Looks a page up and counts it as used. */
  #find(key: PageKey): { readonly content: CachedContent; readonly slot: number } | undefined {
    const content = this.#index.content(key.fileId, key.version);
    const slot = content?.pages.get(placeNumber(key));
    if (content === undefined || slot === undefined || this.#closed) {
      this.#metrics.misses.add(1);
      return undefined;
    }
    this.#index.touch(slot);
    return { content, slot };
  }

  async #read(
    content: CachedContent,
    slot: number,
    range: PageRange,
    memory?: Uint8Array,
  ): Promise<Uint8Array | undefined> {
    const number = this.#index.numberOf(slot);
    const lengthBytes = this.#index.lengthOf(slot);
    const { folder } = content;
    const stillThere = (): boolean => content.pages.get(number) === slot;
    try {
      const page = await this.#disk.readPage(content, placeOfNumber(number), lengthBytes, range, memory);
      if (page !== undefined) {
        this.#metrics.hits.add(1);
        return page;
      }
    } catch (thrown) {
      if (!isAbsence(thrown)) {
        this.#troubles.note(thrown, 'a page could not be read from the cache');
        this.#metrics.misses.add(1);
        return undefined;
      }
      if (stillThere() && content.folder !== folder) return this.#read(content, slot, range, memory);
    }
    this.#metrics.misses.add(1);
    if (stillThere()) {
      this.#metrics.damaged.add(1);
      this.#troubles.damaged(content, placeOfNumber(number));
      void this.#deletePage(slot);
    }
    return undefined;
  }

  has(key: PageKey): boolean {
    return this.#index.content(key.fileId, key.version)?.pages.has(placeNumber(key)) ?? false;
  }

  put(key: PageKey, bytes: Uint8Array, options: { readonly protect: boolean }): Promise<boolean> {
    assert(bytes.length > 0 && bytes.length <= this.pageSizeBytes, `A page of ${bytes.length} bytes is put`);
    assert(key.version !== '', 'A page without version is put');
    const number = placeNumber(key);
    return this.#track(this.#locks.shared(key.fileId, () => this.#put(key, number, bytes, options.protect)));
  }

  async #put(key: ContentKey, number: number, bytes: Uint8Array, protect: boolean): Promise<boolean> {
    for (;;) {
      if (this.#closed) throw new SluiceError('CANCELLED', `Cache folder ${this.#disk.folder} is closed`);
      const content = this.#contentFor(key, protect);
      try {
        if (protect) await this.#protect(content);
        // A page that another put is writing, or whose old file is being deleted, must be settled first.
        const other = content.writing.get(number) ?? content.unlinking.get(number);
        if (other !== undefined) {
          await other.catch(() => false);
          continue;
        }
        if (content.pages.has(number)) return true;
        const write = this.#write(content, number, bytes);
        content.writing.set(number, write);
        try {
          return await write;
        } finally {
          content.writing.delete(number);
        }
      } catch (thrown) {
        if (thrown instanceof SluiceError || !this.#troubles.isDiskError(thrown)) throw thrown;
        this.#troubles.note(thrown, 'a page could not be written to the cache');
        if (protect) throw this.#troubles.refusal(thrown, 'cannot keep a page that must not be lost');
        return false;
      } finally {
        this.#cleanUp(content);
      }
    }
  }

  #contentFor(key: ContentKey, protect: boolean): CachedContent {
    const known = this.#index.content(key.fileId, key.version);
    if (known !== undefined) return known;
    const { fileId, version } = key;
    // 62 random bits, which Node draws from the kernel for many at a time.
    const tag = randomUUID().replaceAll('-', '').slice(16);
    const meta = { fileId, version, protect, tag };
    const content = newContent(meta, contentFolder(this.#disk.folder, key));
    this.#index.addContent(content);
    return content;
  }

  /**
   * The promise of `protect` is kept for the whole content: in memory at once, on disk before a page is acknowledged.
   */
  async #protect(content: CachedContent): Promise<void> {
    if (content.protect) return;
    this.#index.setProtection(content, true);
    if (content.ready === undefined) return;
    content.ready = content.ready.then(() => this.#disk.writeContent(content.folder, content, true));
    await this.#ready(content);
  }

  async #ready(content: CachedContent): Promise<void> {
    content.ready ??= this.#disk.writeContent(content.folder, content, content.protect);
    const { ready } = content;
    try {
      await ready;
    } catch (thrown) {
      if (content.ready === ready) content.ready = undefined;
      throw thrown;
    }
  }

  async #write(content: CachedContent, number: number, bytes: Uint8Array): Promise<boolean> {
    const size = pageDiskBytes(bytes.length);
    if (!(await this.#makeRoom(size, content.protect))) {
      this.#metrics.refused.add(1);
      if (!content.protect) return false;
      const { protectedBytes } = this.#index;
      throw new SluiceError(
        'EXHAUSTED',
        `Cache folder ${this.#disk.folder} is full of data that must not be evicted ` +
          `(${formatBytes(protectedBytes)} of ${formatBytes(this.#capacityBytes)}): ` +
          'raise worker.cache.capacity, add workers, or delete files that are only cached',
        { details: { capacityBytes: this.#capacityBytes, protectedBytes } },
      );
    }
    try {
      await this.#writeOrYield(content, number, bytes, size);
    } finally {
      this.#pendingBytes -= size;
    }
    this.#index.add(content, number, bytes.length);
    this.#metrics.stored.add(1);
    return true;
  }

  /** A disk that is full before the quota is, because others use it too: older pages make room. */
  async #writeOrYield(content: CachedContent, number: number, bytes: Uint8Array, size: number): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      try {
        await this.#ready(content);
        await this.#disk.writePage(content, placeOfNumber(number), bytes, content.protect);
        return;
      } catch (thrown) {
        if (!isDiskFull(thrown) || attempt === FULL_DISK_ATTEMPTS || this.#closed) throw thrown;
        this.#troubles.note(thrown, 'the disk of the cache is full, older pages make room');
        if (!(await this.#evict(size))) throw thrown;
      }
    }
  }

  /** Evicts pages of so many bytes. @returns false when there are not so many. */
  async #evict(bytes: number): Promise<boolean> {
    for (let freed = 0; freed < bytes; ) {
      const victim = this.#index.oldest();
      if (victim === undefined) return false;
      freed += pageDiskBytes(this.#index.lengthOf(victim));
      this.#metrics.evicted.add(1);
      await this.#deletePage(victim);
    }
    return true;
  }

  /** Evicts until `bytes` more fit, and reserves them in `#pendingBytes`. @returns false when they cannot fit. */
  async #makeRoom(bytes: number, protect: boolean): Promise<boolean> {
    for (;;) {
      const used = this.#index.usedBytes + this.#pendingBytes;
      if (used + bytes <= this.#capacityBytes) {
        this.#pendingBytes += bytes;
        return true;
      }
      const lasting = this.#index.protectedBytes + this.#pendingBytes - this.#deletingBytes;
      if (bytes > 0 && lasting + bytes > this.#capacityBytes) return false;
      const victim = this.#index.oldest();
      if (victim === undefined) return false;
      this.#metrics.evicted.add(1);
      await this.#deletePage(victim);
      if (this.#closed && !protect) return false;
    }
  }

  /**
   * Takes a page out of the index and deletes its file. Never rejects: a file that stays is found by the next start.
   */
  async #deletePage(slot: number): Promise<void> {
    const content = this.#index.contentOf(slot);
    const number = this.#index.numberOf(slot);
    const lengthBytes = this.#index.lengthOf(slot);
    const size = pageDiskBytes(lengthBytes);
    this.#index.remove(slot);
    this.#pendingBytes += size;
    this.#deletingBytes += size;
    const unlink = this.#track(this.#disk.removePage(content, placeOfNumber(number), lengthBytes));
    const settled = unlink.catch((thrown: unknown) => this.#troubles.note(thrown, 'a page could not be deleted'));
    content.unlinking.set(number, settled);
    await settled;
    content.unlinking.delete(number);
    this.#pendingBytes -= size;
    this.#deletingBytes -= size;
    this.#cleanUp(content);
  }

  /** Removes the folder of a content that has no pages left; alone, and only when it still has none by then. */
  #cleanUp(content: CachedContent): void {
    if (this.#inUse(content)) return;
    const clean = this.#locks.exclusive(content.fileId, async () => {
      if (this.#inUse(content)) return;
      this.#index.removeContent(content);
      await this.#disk.removeFolder(content.folder);
    });
    void this.#track(clean).catch((thrown: unknown) => this.#troubles.note(thrown, 'a folder could not be deleted'));
  }

  #inUse(content: CachedContent): boolean {
    const indexed = this.#index.content(content.fileId, content.version) === content;
    return !indexed || content.pages.size + content.writing.size + content.unlinking.size > 0;
  }

  adopt(from: ContentKey, to: ContentKey, options: { readonly protect: boolean }): Promise<void> {
    assert(from.fileId === to.fileId, 'Pages are adopted by another file');
    return this.#track(
      this.#locks.exclusive(from.fileId, async () => {
        try {
          await this.#adopt(from, to.version, options.protect);
        } catch (thrown) {
          throw this.#troubles.refusal(thrown, `cannot rename the pages of file ${from.fileId}`);
        }
      }),
    );
  }

  async #adopt(from: ContentKey, version: string, protect: boolean): Promise<void> {
    const source = this.#index.content(from.fileId, from.version);
    const target = this.#index.content(from.fileId, version);
    if (target === undefined) {
      if (source !== undefined) await this.#rename(source, version, protect);
      return;
    }
    if (protect !== target.protect) await this.#rename(target, version, protect);
    if (source === undefined || source === target) return;
    // Both are there, e.g. because a reader came first: the same bytes by name, so only what is missing is copied.
    for (const number of [...source.pages.keys()]) {
      const place = placeOfNumber(number);
      const page = target.pages.has(number) ? undefined : await this.get({ ...from, ...place });
      if (page !== undefined) await this.#put({ fileId: from.fileId, version }, number, page, protect);
    }
    await this.#dropContent(source);
  }

  /**
   * Gives a content a version and protection that no other content has: the meta file first, which a restart
   * believes.
   */
  async #rename(content: CachedContent, version: string, protect: boolean): Promise<void> {
    await Promise.all(content.unlinking.values());
    const durable = protect || content.protect;
    const meta = { fileId: content.fileId, version, protect, tag: content.tag };
    await this.#disk.writeContent(content.folder, meta, durable);
    if (version !== content.version) {
      content.folder = await this.#disk.moveContent(content.folder, meta, durable);
      this.#index.renameContent(content, version);
    }
    this.#index.setProtection(content, protect);
  }

  drop(fileId: number, version?: string): Promise<void> {
    return this.#track(
      this.#locks.exclusive(fileId, async () => {
        for (const content of this.#index.contentsOf(fileId))
          if (version === undefined || content.version === version) await this.#dropContent(content);
      }),
    );
  }

  async #dropContent(content: CachedContent): Promise<void> {
    const before = this.#index.usedBytes;
    const closed = this.#disk.closePages(content);
    this.#index.removeContent(content);
    const size = before - this.#index.usedBytes;
    this.#pendingBytes += size;
    this.#deletingBytes += size;
    try {
      await Promise.all([closed, ...content.unlinking.values()]);
      await this.#disk.removeFolder(content.folder);
    } catch (thrown) {
      throw this.#troubles.refusal(thrown, `cannot drop file ${content.fileId}`);
    } finally {
      this.#pendingBytes -= size;
      this.#deletingBytes -= size;
    }
  }

  protectedFiles(): readonly number[] {
    return this.#index.protectedFiles();
  }

  usage(): PageStoreUsage {
    return {
      capacityBytes: this.#capacityBytes,
      usedBytes: this.#index.usedBytes + this.#pendingBytes,
      protectedBytes: this.#index.protectedBytes,
      pageCount: this.#index.pageCount,
    };
  }

  async close(): Promise<void> {
    this.#closed = true;
    while (this.#running.size > 0) await Promise.allSettled(this.#running);
    await this.#disk.close();
  }

  #track<T>(operation: Promise<T>): Promise<T> {
    this.#running.add(operation);
    const settled = (): void => void this.#running.delete(operation);
    operation.then(settled, settled);
    return operation;
  }
}
