import type { PageStore } from '../cache/page-store.ts';
import type { Metrics } from '../host/metrics.ts';
import type { BlockRequestKind, BlockServiceStatus } from '../wire/block-protocol.ts';
import type { ByteBudget } from './byte-budget.ts';
import { type BlockHandlers, type Exchange, replyJson, replyNothing, replyText } from './exchange.ts';
import type { PageReader } from './page-reader.ts';
import { announcedCrc, bodyChunks, bodyLength, checkedChunks, hasBody } from './request-body.ts';
import { serveRead } from './serve-read.ts';
import { serveWrite } from './serve-write.ts';
import type { UploadSessions } from './upload-sessions.ts';
import type { WorkerMetrics } from './worker-metrics.ts';

export interface BlockService {
  readonly workerId: string;
  readonly store: PageStore;
  readonly reader: PageReader;
  readonly uploads: UploadSessions;
  /** For bodies on their way into the cache. */
  readonly writeBudget: ByteBudget;
  readonly metrics: Metrics;
  readonly counters: WorkerMetrics;
}

/** What each request of the block protocol does. */
export function blockHandlers(service: BlockService): BlockHandlers {
  const { store, uploads, writeBudget, counters } = service;
  /** Gives the body to `task`, which is called when all of it is known to be good if it has a checksum. */
  const receiving = async <T>(
    { incoming, signal }: Pick<Exchange<BlockRequestKind>, 'incoming' | 'signal'>,
    task: (chunks: AsyncIterable<Uint8Array>) => Promise<T>,
  ): Promise<T> => {
    const length = bodyLength(incoming);
    const crc = announcedCrc(incoming, length);
    const held = crc === undefined ? 0 : length;
    await writeBudget.acquire(held, signal);
    try {
      const result = await task(
        crc === undefined ? bodyChunks(incoming) : fromArray(await checkedChunks(incoming, crc)),
      );
      counters.bytesReceived.add(length);
      return result;
    } finally {
      writeBudget.release(held);
    }
  };
  return {
    readBlock: (exchange) => serveRead(service.reader, store.pageSizeBytes, exchange),
    writeBlock: (exchange) => serveWrite(store, writeBudget, counters, exchange),
    openUpload: async (exchange) => {
      const { request, incoming, outgoing, signal } = exchange;
      const opened = hasBody(incoming)
        ? await receiving(exchange, (chunks) => uploads.open(request, chunks))
        : await uploads.open(request);
      // Whoever does not hear its id cannot abort it.
      if (signal.aborted) await uploads.abort(opened.uploadId);
      else replyJson(outgoing, opened);
    },
    appendUpload: async (exchange) => {
      const { request, outgoing } = exchange;
      await receiving(exchange, (chunks) => uploads.append(request, chunks));
      replyNothing(outgoing);
    },
    completeUpload: async ({ request, outgoing }) =>
      replyJson(outgoing, await uploads.complete(request.uploadId, request.length)),
    abortUpload: async ({ request, outgoing }) => {
      await uploads.abort(request.uploadId);
      replyNothing(outgoing);
    },
    adoptContent: async ({ request, outgoing }) => {
      const { fileId, from, to, protect } = request;
      await store.adopt({ fileId, version: from }, { fileId, version: to }, { protect });
      replyNothing(outgoing);
    },
    dropContent: async ({ request, outgoing }) => {
      await store.drop(request.fileId, request.version);
      replyNothing(outgoing);
    },
    status: async ({ outgoing }) => {
      const status: BlockServiceStatus = {
        workerId: service.workerId,
        pageSizeBytes: store.pageSizeBytes,
        ...store.usage(),
      };
      replyJson(outgoing, status);
    },
    metrics: async ({ outgoing }) =>
      replyText(outgoing, 200, await service.metrics.text(), 'text/plain; version=0.0.4; charset=utf-8'),
    health: async ({ outgoing }) => replyText(outgoing, 200, 'ok\n', 'text/plain; charset=utf-8'),
  };
}

async function* fromArray(chunks: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* chunks;
}
