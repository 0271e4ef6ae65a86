import type { PageStore } from '../cache/page-store.ts';
import type { Logger } from '../host/logger.ts';
import { SluiceError } from '../model/errors.ts';
import type { ByteBudget } from './byte-budget.ts';
import { PageAssembler } from './page-assembler.ts';

/** Cache writes of one upload that may be under way before its sender waits. */
const WRITES_AT_ONCE = 4;

/**
 * Keeps the pages of an upload in the cache while they pass by. Best effort: what does not fit into memory or the cache
 * is not kept, and the upload goes on.
 */
export class UploadStaging {
  readonly #store: PageStore;
  readonly #budget: ByteBudget;
  readonly #logger: Logger;
  readonly #fileId: number;
  #version: string;
  /** Pages of `#version` may be in the cache. */
  #staged = false;
  readonly #writes = new Set<Promise<void>>();
  /** The block that is being kept, and how much of it was seen; bytes of the budget are held for its partial page. */
  #block = -1;
  #seen = 0;
  #page = 0;
  #assembler: PageAssembler | undefined;

  constructor(store: PageStore, budget: ByteBudget, logger: Logger, content: { fileId: number; version: string }) {
    this.#store = store;
    this.#budget = budget;
    this.#logger = logger;
    this.#fileId = content.fileId;
    this.#version = content.version;
  }

  /** Takes the bytes at `offset` of a block. A block is kept from its first byte on without a gap, or not at all. */
  async take(block: number, offset: number, chunk: Uint8Array): Promise<void> {
    if (offset === 0) {
      this.#endBlock();
      if (!this.#budget.tryAcquire(this.#store.pageSizeBytes)) return;
      this.#block = block;
      this.#seen = 0;
      this.#page = 0;
      this.#assembler = new PageAssembler(this.#store.pageSizeBytes, Number.POSITIVE_INFINITY);
    }
    if (this.#assembler === undefined || block !== this.#block || offset !== this.#seen) return;
    this.#seen += chunk.length;
    for (const page of this.#assembler.push(chunk, false)) {
      this.#write(page);
      while (this.#writes.size >= WRITES_AT_ONCE) await Promise.race(this.#writes);
    }
  }

  #write(bytes: Uint8Array): void {
    const key = { fileId: this.#fileId, version: this.#version, block: this.#block, page: this.#page };
    this.#page += 1;
    // A full page leaves the partial page's place in the budget and needs its own.
    if (!this.#budget.tryAcquire(bytes.length)) return;
    this.#staged = true;
    const put = this.#put(key, bytes).finally(() => this.#budget.release(bytes.length));
    this.#writes.add(put);
    void put.finally(() => this.#writes.delete(put));
  }

  async #put(key: Parameters<PageStore['put']>[0], bytes: Uint8Array): Promise<void> {
    try {
      await this.#store.put(key, bytes, { protect: false });
    } catch (thrown) {
      if (!(thrown instanceof SluiceError)) throw thrown;
      this.#logger.debug({ err: thrown, ...key }, 'an uploaded page was not cached');
    }
  }

  #endBlock(): void {
    const rest = this.#assembler?.rest();
    if (rest !== undefined) this.#write(rest);
    this.#forgetBlock();
  }

  #forgetBlock(): void {
    if (this.#assembler !== undefined) this.#budget.release(this.#store.pageSizeBytes);
    this.#assembler = undefined;
  }

  /** Waits until everything that was taken is in the cache, or was refused. */
  async settle(): Promise<void> {
    this.#endBlock();
    await Promise.all(this.#writes);
  }

  /** As `settle`, but what has not staged any page yet may still go into the cache under its last version. */
  async settleStaged(): Promise<void> {
    if (this.#staged) await this.settle();
  }

  /** Gives the pages the version that the UFS has given the file. */
  async adopt(version: string): Promise<void> {
    const fileId = this.#fileId;
    const from = this.#version;
    if (!this.#staged) this.#version = version;
    await this.settle();
    await this.#attempt('staged pages could not be adopted', () =>
      this.#store.adopt({ fileId, version: from }, { fileId, version }, { protect: false }),
    );
  }

  async drop(): Promise<void> {
    this.#forgetBlock();
    await Promise.all(this.#writes);
    await this.#attempt('staged pages could not be dropped', () => this.#store.drop(this.#fileId, this.#version));
  }

  async #attempt(failed: string, task: () => Promise<void>): Promise<void> {
    try {
      await task();
    } catch (thrown) {
      if (!(thrown instanceof SluiceError)) throw thrown;
      this.#logger.warn({ err: thrown, fileId: this.#fileId }, failed);
    }
  }
}
