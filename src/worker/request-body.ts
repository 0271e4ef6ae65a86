import type { IncomingMessage } from 'node:http';
import { crc32 } from 'node:zlib';
import { formatBytes } from '../base/units.ts';
import { SluiceError } from '../model/errors.ts';
import { BLOCK_HEADERS, MAX_CHECKED_BODY_BYTES } from '../wire/block-protocol.ts';

/** The announced length of a body. @throws INVALID_ARGUMENT without one. */
export function bodyLength(request: IncomingMessage): number {
  const text = request.headers['content-length'] ?? '';
  if (!/^\d{1,15}$/.test(text))
    throw new SluiceError('INVALID_ARGUMENT', 'The request needs a Content-Length: chunked bodies are not taken');
  return Number(text);
}

/** Whether a body comes, as far as the head of the request tells. */
export function hasBody(request: IncomingMessage): boolean {
  return (request.headers['content-length'] ?? '0') !== '0' || request.headers['transfer-encoding'] !== undefined;
}

/** The CRC-32 that the sender announced; undefined when it did not. @throws INVALID_ARGUMENT */
export function announcedCrc(request: IncomingMessage, lengthBytes: number): number | undefined {
  const text = request.headers[BLOCK_HEADERS.crc32];
  if (text === undefined) return undefined;
  if (typeof text !== 'string' || !/^[0-9a-f]{8}$/i.test(text))
    throw new SluiceError('INVALID_ARGUMENT', `${BLOCK_HEADERS.crc32} must be eight hex digits`);
  if (lengthBytes > MAX_CHECKED_BODY_BYTES)
    throw new SluiceError(
      'INVALID_ARGUMENT',
      `A body with ${BLOCK_HEADERS.crc32} may have ${formatBytes(MAX_CHECKED_BODY_BYTES)}: send it in parts`,
    );
  return Number.parseInt(text, 16);
}

/** The chunks of a body as they come. @throws CANCELLED when the sender breaks off. */
export async function* bodyChunks(request: IncomingMessage): AsyncGenerator<Uint8Array> {
  try {
    // The connection stays when we stop early: the refusal must still reach the sender.
    for await (const chunk of request.iterator({ destroyOnReturn: false })) yield chunk as Uint8Array;
  } catch (thrown) {
    throw new SluiceError('CANCELLED', 'The sender broke off in the middle of the body', { cause: thrown });
  }
}

/**
 * The whole body in the chunks that came, once it is proved to be what was sent. The caller holds memory for it.
 * @throws CORRUPT
 */
export async function checkedChunks(request: IncomingMessage, crc: number): Promise<readonly Uint8Array[]> {
  const chunks: Uint8Array[] = [];
  let found = 0;
  for await (const chunk of bodyChunks(request)) {
    found = crc32(chunk, found);
    chunks.push(chunk);
  }
  if (found !== crc) throw new SluiceError('CORRUPT', 'The body was damaged on its way: send it again');
  return chunks;
}
