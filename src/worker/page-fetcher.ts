import { setMaxListeners } from 'node:events';
import type { PageStore } from '../cache/page-store.ts';
import type { Logger } from '../host/logger.ts';
import { SluiceError } from '../model/errors.ts';
import type { Ufs } from '../ufs/ufs.ts';
import type { BlockContent } from './block-content.ts';
import { pageLength } from './block-content.ts';
import type { ByteBudget } from './byte-budget.ts';
import type { MountTable } from './mount-table.ts';
import { PageAssembler } from './page-assembler.ts';
import type { WorkerMetrics } from './worker-metrics.ts';

interface Flight {
  readonly page: Promise<Uint8Array>;
  readonly deliver: (page: Uint8Array) => void;
  readonly fail: (error: unknown) => void;
}

export interface PageFetcherOptions {
  readonly store: PageStore;
  readonly mounts: MountTable;
  /** For pages from the start of their fetch until they are in the cache; nothing that holds it waits for a client. */
  readonly budget: ByteBudget;
  readonly metrics: WorkerMetrics;
  readonly logger: Logger;
}

function newFlight(): Flight {
  let deliver: Flight['deliver'] | undefined;
  let fail: Flight['fail'] | undefined;
  const page = new Promise<Uint8Array>((resolve, reject) => {
    deliver = resolve;
    fail = reject;
  });
  // Those who wait get the error; a fetch that nobody waits for any more must not end the process.
  page.catch(() => undefined);
  return { page, deliver: (bytes) => deliver?.(bytes), fail: (error) => fail?.(error) };
}

/**
 * Brings pages from the UFS into the cache: one flight per page for all who want it, several neighbouring pages by
 * one read. A flight ends when its page is in the cache (or was refused by it), so that nobody finds neither flight
 * nor page in between.
 */
export class PageFetcher {
  readonly #options: PageFetcherOptions;
  readonly #flights = new Map<string, Flight>();
  readonly #running = new Set<Promise<void>>();
  readonly #closing = new AbortController();

  constructor(options: PageFetcherOptions) {
    this.#options = options;
    // Each read listens to it, and there may be many at a time: no leak that an operator should be warned of.
    setMaxListeners(0, this.#closing.signal);
  }

  /** The page when it is on its way. */
  flight(content: BlockContent, page: number): Promise<Uint8Array> | undefined {
    return this.#flights.get(flightName(content, page))?.page;
  }

  /**
   * Starts to fetch `count` pages, none of which is on its way. @returns the first of them.
   * @throws UNAVAILABLE when the mount is unknown or the worker closes.
   */
  fetch(content: BlockContent, mountId: number, path: string, first: number, count: number): Promise<Uint8Array> {
    if (this.#closing.signal.aborted) throw new SluiceError('UNAVAILABLE', 'This worker is closing: ask another one');
    const lease = this.#options.mounts.acquire(mountId);
    const flights = Array.from({ length: count }, newFlight);
    for (const [at, flight] of flights.entries()) this.#flights.set(flightName(content, first + at), flight);
    const run = this.#run(content, lease.ufs, path, first, flights).finally(() => lease.release());
    this.#running.add(run);
    void run.finally(() => this.#running.delete(run));
    return (flights[0] as Flight).page;
  }

  /** Never rejects: errors go to the flights. */
  async #run(content: BlockContent, ufs: Ufs, path: string, first: number, flights: readonly Flight[]): Promise<void> {
    const { budget, metrics } = this.#options;
    const end = (page: number): void => {
      this.#flights.delete(flightName(content, page));
      budget.release(pageLength(content, page));
    };
    let wanted = 0;
    for (let at = 0; at < flights.length; at += 1) wanted += pageLength(content, first + at);
    let delivered = 0;
    const stores: Promise<void>[] = [];
    let taken = false;
    try {
      await budget.acquire(wanted, this.#closing.signal);
      taken = true;
      for await (const bytes of this.#pages(content, ufs, path, first, wanted)) {
        const page = first + delivered;
        flights[delivered]?.deliver(bytes);
        delivered += 1;
        stores.push(this.#keep(content, page, bytes).finally(() => end(page)));
      }
    } catch (thrown) {
      metrics.ufsReadErrors.add(1);
      for (const flight of flights.slice(delivered)) flight.fail(thrown);
    }
    for (let at = delivered; at < flights.length; at += 1) {
      if (taken) end(first + at);
      else this.#flights.delete(flightName(content, first + at));
    }
    await Promise.all(stores);
  }

  /** The pages of a range of a block. A body that ends early is asked for once more from there. */
  async *#pages(
    content: BlockContent,
    ufs: Ufs,
    path: string,
    first: number,
    lengthBytes: number,
  ): AsyncGenerator<Uint8Array> {
    const { metrics } = this.#options;
    const start = content.offsetInFile + first * content.pageSizeBytes;
    const assembler = new PageAssembler(content.pageSizeBytes, lengthBytes);
    let received = 0;
    for (let attempt = 1; received < lengthBytes; attempt += 1) {
      if (attempt > 2)
        throw new SluiceError(
          'UNAVAILABLE',
          `${ufs.uri} ended ${path} at byte ${start + received}, ${lengthBytes - received} bytes too early, twice: ` +
            'try later, or look whether the file is being changed',
        );
      metrics.ufsReads.add(1);
      const range = { offset: start + received, lengthBytes: lengthBytes - received, version: content.version };
      for await (const chunk of ufs.read(path, { ...range, signal: this.#closing.signal })) {
        received += chunk.length;
        metrics.ufsReadBytes.add(chunk.length);
        if (received > lengthBytes)
          throw new SluiceError(
            'UNAVAILABLE',
            `${ufs.uri} sent more of ${path} than it was asked for: check the storage`,
          );
        yield* assembler.push(chunk, true);
      }
    }
    const rest = assembler.rest();
    if (rest !== undefined) yield rest;
  }

  async #keep(content: BlockContent, page: number, bytes: Uint8Array): Promise<void> {
    const { fileId, version, block } = content;
    try {
      await this.#options.store.put({ fileId, version, block, page }, bytes, { protect: false });
    } catch (thrown) {
      // The cache is an offer; that it could not be taken up is no error of the read.
      if (!(thrown instanceof SluiceError)) throw thrown;
      this.#options.logger.debug({ err: thrown, fileId, block, page }, 'a fetched page was not cached');
    }
  }

  /** Ends the fetches under way; who waits for them gets an error. */
  async close(): Promise<void> {
    this.#closing.abort();
    await Promise.allSettled(this.#running);
  }
}

function flightName(content: BlockContent, page: number): string {
  return `${content.fileId}/${content.block}/${page}/${content.version}`;
}
