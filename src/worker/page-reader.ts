import { CHUNK_BYTES } from '../cache/page-file.ts';
import type { PageStore } from '../cache/page-store.ts';
import { SluiceError } from '../model/errors.ts';
import type { ByteRange } from '../wire/block-range.ts';
import { type BlockContent, lastPage, pageLength } from './block-content.ts';
import type { ByteBudget } from './byte-budget.ts';
import type { PageFetcher } from './page-fetcher.ts';
import { PageMemory } from './page-memory.ts';
import { SequentialAccess } from './sequential-access.ts';
import type { WorkerMetrics } from './worker-metrics.ts';

/** Pages that one reader holds at a time at most, in bytes: enough to overlap disk, UFS and network. */
const WINDOW_BYTES = 4 * 2 ** 20;

export interface PageReaderOptions {
  readonly store: PageStore;
  readonly fetcher: PageFetcher;
  /** For pages from when they are wanted until the client has taken them. */
  readonly budget: ByteBudget;
  /** Bytes that one read of a UFS fetches at most. */
  readonly fetchBytes: number;
  readonly metrics: WorkerMetrics;
}

export interface Reading {
  /** Pages that are in the cache, and not, as the reading begins. */
  readonly hits: number;
  readonly misses: number;
  /**
   * The bytes of the range in order. A chunk's memory is the caller's until he asks for the next one: then other bytes
   * may be read into it. Whoever ends early keeps it.
   */
  readonly chunks: AsyncGenerator<Uint8Array, void, undefined>;
}

interface WindowEntry {
  readonly page: number;
  readonly bytes: Promise<PageBytes>;
}

interface PageBytes {
  readonly bytes: Uint8Array;
  /** Where they are, when the memory is this reader's alone. */
  readonly memory: Buffer | undefined;
}

/** Reads ranges of blocks through the cache. */
export class PageReader {
  readonly #options: PageReaderOptions;
  readonly #sequential: SequentialAccess;
  readonly #fetchPages: number;
  readonly #memory: PageMemory;

  constructor(options: PageReaderOptions) {
    this.#options = options;
    this.#fetchPages = Math.max(1, Math.floor(options.fetchBytes / options.store.pageSizeBytes));
    this.#memory = new PageMemory(options.store.pageSizeBytes);
    this.#sequential = new SequentialAccess(this.#fetchPages);
  }

  /** @throws NOT_FOUND for content without UFS that this worker has not got whole. */
  open(content: BlockContent, range: ByteRange, signal: AbortSignal): Reading {
    const first = Math.floor(range.start / content.pageSizeBytes);
    const last = Math.floor((range.end - 1) / content.pageSizeBytes);
    let hits = 0;
    for (let page = first; page <= last; page += 1) if (this.#has(content, page)) hits += 1;
    const misses = last - first + 1 - hits;
    if (misses > 0 && content.ufs === undefined) throw notHere(content);
    this.#options.metrics.pageHits.add(hits);
    this.#options.metrics.pageMisses.add(misses);
    const ahead = content.ufs === undefined ? 0 : this.#sequential.note(content, first, last);
    const fetchUpTo = Math.min(last + ahead, lastPage(content));
    return { hits, misses, chunks: this.#chunks(content, range, { first, last, fetchUpTo }, signal) };
  }

  #has(content: BlockContent, page: number): boolean {
    const { fileId, version, block } = content;
    return this.#options.store.has({ fileId, version, block, page });
  }

  async *#chunks(
    content: BlockContent,
    range: ByteRange,
    pages: { readonly first: number; readonly last: number; readonly fetchUpTo: number },
    signal: AbortSignal,
  ): AsyncGenerator<Uint8Array, void, undefined> {
    const { budget } = this.#options;
    const window: WindowEntry[] = [];
    const windowPages = Math.max(1, Math.floor(WINDOW_BYTES / content.pageSizeBytes));
    let next = pages.first;
    try {
      for (let page = pages.first; page <= pages.last; page += 1) {
        // The first page waits for memory; further ones are a convenience and come only while memory is free.
        if (window.length === 0) await budget.acquire(this.#heldBytes(content, page), signal);
        while (next <= pages.last && window.length < windowPages) {
          if (next > page && !budget.tryAcquire(this.#heldBytes(content, next))) break;
          window.push({ page: next, bytes: this.#start(content, next, range, pages.fetchUpTo) });
          next += 1;
        }
        const { bytes, memory } = await (window[0] as WindowEntry).bytes;
        if (signal.aborted) throw new SluiceError('CANCELLED', 'The caller gave up');
        yield bytes;
        window.shift();
        if (memory !== undefined) this.#memory.give(memory);
        budget.release(this.#heldBytes(content, page));
      }
    } finally {
      for (const entry of window) budget.release(this.#heldBytes(content, entry.page));
    }
  }

  /**
   * What a range needs of a page, from the cache or its flight; never throws at once, so that the window stays whole.
   */
  #start(content: BlockContent, page: number, range: ByteRange, fetchUpTo: number): Promise<PageBytes> {
    const { fetcher, metrics } = this.#options;
    const base = page * content.pageSizeBytes;
    const part = { start: Math.max(0, range.start - base), end: Math.min(pageLength(content, page), range.end - base) };
    const flight = fetcher.flight(content, page);
    const cached = flight === undefined && this.#has(content, page);
    (cached ? metrics.bytesFromCache : metrics.bytesFromUfs).add(part.end - part.start);
    const bytes = cached
      ? this.#cached(content, page, part)
      : partOf(flight ?? this.#fetch(content, page, fetchUpTo), part);
    // Whoever stops reading does not wait for the pages behind; their errors have no one to tell.
    bytes.catch(() => undefined);
    return bytes;
  }

  async #cached(content: BlockContent, page: number, part: ByteRange): Promise<PageBytes> {
    const { fileId, version, block } = content;
    const { store, fetcher } = this.#options;
    const key = { fileId, version, block, page };
    const memory = this.#memory.take(part);
    const bytes = await store.getPart(key, part, memory);
    if (bytes !== undefined) return { bytes, memory };
    this.#memory.give(memory);
    // Only a wrong writer can have made it shorter.
    if (content.ufs === undefined && store.has(key))
      throw new SluiceError(
        'CORRUPT',
        `Page ${page} of block ${block} of file ${fileId} is shorter here than it should be, or cannot be read: ` +
          'ask another worker, or write the file again',
      );
    // Evicted or damaged meanwhile.
    return partOf(fetcher.flight(content, page) ?? this.#fetch(content, page, page), part);
  }

  /** Bytes of memory that a page of a reply is counted as: small ones take a whole chunk. */
  #heldBytes(content: BlockContent, page: number): number {
    return Math.max(pageLength(content, page), Math.min(CHUNK_BYTES, content.pageSizeBytes));
  }

  /** Fetches the page and the missing ones behind it, as far as one read may go. */
  async #fetch(content: BlockContent, page: number, fetchUpTo: number): Promise<Uint8Array> {
    if (content.ufs === undefined) throw notHere(content);
    const { fetcher } = this.#options;
    let count = 1;
    while (
      count < this.#fetchPages &&
      page + count <= fetchUpTo &&
      !this.#has(content, page + count) &&
      fetcher.flight(content, page + count) === undefined
    )
      count += 1;
    return fetcher.fetch(content, content.ufs.mountId, content.ufs.path, page, count);
  }
}

async function partOf(whole: Promise<Uint8Array>, part: ByteRange): Promise<PageBytes> {
  // Others who wait for the same page have the same memory.
  return { bytes: (await whole).subarray(part.start, part.end), memory: undefined };
}

function notHere(content: BlockContent): SluiceError {
  return new SluiceError(
    'NOT_FOUND',
    `Block ${content.block} of file ${content.fileId} is not on this worker, and no UFS has it: ask another worker`,
  );
}
