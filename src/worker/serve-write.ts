import type { PageStore } from '../cache/page-store.ts';
import { SluiceError } from '../model/errors.ts';
import type { WriteBlock } from '../wire/block-protocol.ts';
import type { ByteBudget } from './byte-budget.ts';
import { type Exchange, replyNothing } from './exchange.ts';
import { PageAssembler } from './page-assembler.ts';
import { announcedCrc, bodyChunks, bodyLength, checkedChunks } from './request-body.ts';
import type { WorkerMetrics } from './worker-metrics.ts';

/** Pages of one body that are being written at a time. */
const WRITES_AT_ONCE = 4;

/** Puts a body into the cache page by page; the reply says that all pages are there, unless they were not protected. */
export async function serveWrite(
  store: PageStore,
  budget: ByteBudget,
  metrics: WorkerMetrics,
  { request, incoming, outgoing, signal }: Exchange<'writeBlock'>,
): Promise<void> {
  const lengthBytes = bodyLength(incoming);
  const { pageSizeBytes } = store;
  if (request.offset % pageSizeBytes !== 0)
    throw new SluiceError(
      'INVALID_ARGUMENT',
      `Offset ${request.offset} is no multiple of this worker's pages of ${pageSizeBytes} bytes`,
      { details: { pageSizeBytes } },
    );
  const crc = announcedCrc(incoming, lengthBytes);
  // Without a checksum pages go to disk as they come; with one, not before all of the body is known to be good.
  const held = crc === undefined ? Math.min(lengthBytes, WRITES_AT_ONCE * pageSizeBytes) : 2 * lengthBytes;
  await budget.acquire(held, signal);
  try {
    const chunks = crc === undefined ? bodyChunks(incoming) : await checkedChunks(incoming, crc);
    await putPages(store, request, lengthBytes, chunks);
  } finally {
    budget.release(held);
  }
  metrics.bytesReceived.add(lengthBytes);
  replyNothing(outgoing);
}

async function putPages(
  store: PageStore,
  request: WriteBlock,
  lengthBytes: number,
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): Promise<void> {
  const { fileId, version, block, protect } = request;
  const assembler = new PageAssembler(store.pageSizeBytes, lengthBytes);
  const writes = new Set<Promise<boolean>>();
  let page = request.offset / store.pageSizeBytes;
  let failure: unknown;
  const put = async (bytes: Uint8Array): Promise<void> => {
    const write = store.put({ fileId, version, block, page }, bytes, { protect });
    page += 1;
    writes.add(write);
    const settled = (): void => void writes.delete(write);
    write.then(settled, (thrown: unknown) => {
      failure ??= thrown;
      settled();
    });
    while (writes.size >= WRITES_AT_ONCE) await Promise.race(writes);
  };
  try {
    for await (const chunk of chunks) for (const bytes of assembler.push(chunk, false)) await put(bytes);
    const rest = assembler.rest();
    if (rest !== undefined) await put(rest);
  } finally {
    await Promise.allSettled(writes);
  }
  if (failure !== undefined) throw failure;
}
