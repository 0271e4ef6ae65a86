import type { IncomingMessage, ServerResponse } from 'node:http';
import type { BlockRequestKind, BlockRequestOf } from '../wire/block-protocol.ts';

/** One HTTP request and its reply. */
export interface Exchange<K extends BlockRequestKind> {
  readonly request: BlockRequestOf<K>;
  readonly incoming: IncomingMessage;
  readonly outgoing: ServerResponse;
  /** Aborted when the client has gone before the reply was complete. */
  readonly signal: AbortSignal;
}

/** One function per request; what it throws becomes the reply when none has begun, and else breaks the connection. */
export type BlockHandlers = { readonly [K in BlockRequestKind]: (exchange: Exchange<K>) => Promise<void> };

export function replyJson(outgoing: ServerResponse, value: object): void {
  replyText(outgoing, 200, JSON.stringify(value), 'application/json');
}

export function replyText(outgoing: ServerResponse, status: number, text: string, type: string): void {
  outgoing.writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(text) });
  outgoing.end(text);
}

export function replyNothing(outgoing: ServerResponse): void {
  outgoing.writeHead(204);
  outgoing.end();
}

/**
 * Writes a chunk, which ends the reply when it is the last, and waits until the kernel has it: then its memory may be
 * used again. @returns false when the client has gone; then nobody knows who still reads the memory.
 */
export function writeChunk(outgoing: ServerResponse, chunk: Uint8Array, last: boolean): Promise<boolean> {
  if (outgoing.destroyed) return Promise.resolve(false);
  return new Promise((resolve) => {
    const closed = (): void => resolve(false);
    const flushed = (error?: Error | null): void => {
      outgoing.off('close', closed);
      resolve(error === undefined || error === null);
    };
    outgoing.on('close', closed);
    if (last) outgoing.end(chunk, flushed);
    else outgoing.write(chunk, flushed);
  });
}
