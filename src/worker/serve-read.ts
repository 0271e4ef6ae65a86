import { SluiceError } from '../model/errors.ts';
import { BLOCK_HEADERS, type ReadBlock } from '../wire/block-protocol.ts';
import { type ByteRange, parseRangeHeader } from '../wire/block-range.ts';
import type { BlockContent } from './block-content.ts';
import { type Exchange, writeChunk } from './exchange.ts';
import type { PageReader } from './page-reader.ts';

function contentOf(request: ReadBlock, pageSizeBytes: number): BlockContent {
  const { fileId, version, block, blockLength, offsetInFile, mount, path } = request;
  if (!Number.isSafeInteger(offsetInFile + blockLength))
    throw new SluiceError('INVALID_ARGUMENT', 'offsetInFile and blockLength are beyond any file');
  const ufs = mount === undefined || path === undefined ? undefined : { mountId: mount, path };
  return { fileId, version, block, blockLength, offsetInFile, pageSizeBytes, ufs };
}

function rangeOf(header: string | undefined, lengthBytes: number): ByteRange {
  if (header === undefined) return { start: 0, end: lengthBytes };
  const range = parseRangeHeader(header, lengthBytes);
  if (range !== undefined) return range;
  throw new SluiceError(
    'INVALID_ARGUMENT',
    `Range ${header.slice(0, 100)} is outside the block of ${lengthBytes} bytes`,
    {
      details: { status: 416, blockLength: lengthBytes },
    },
  );
}

/**
 * Replies with a range of a block. The reply begins with its first bytes, so that a failure before them has a status.
 */
export async function serveRead(
  reader: PageReader,
  pageSizeBytes: number,
  { request, incoming, outgoing, signal }: Exchange<'readBlock'>,
): Promise<void> {
  const content = contentOf(request, pageSizeBytes);
  const range = rangeOf(incoming.headers.range, content.blockLength);
  const { hits, misses, chunks } = reader.open(content, range, signal);
  let left = range.end - range.start;
  for await (const chunk of chunks) {
    if (!outgoing.headersSent) {
      outgoing.writeHead(incoming.headers.range === undefined ? 200 : 206, {
        'content-type': 'application/octet-stream',
        'content-length': range.end - range.start,
        'content-range': `bytes ${range.start}-${range.end - 1}/${content.blockLength}`,
        'accept-ranges': 'bytes',
        [BLOCK_HEADERS.hitPages]: hits,
        [BLOCK_HEADERS.missPages]: misses,
      });
    }
    left -= chunk.length;
    if (!(await writeChunk(outgoing, chunk, left === 0))) return;
  }
}
