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

/** Writes a chunk and waits until the connection takes more. @returns false when the client has gone. */
export async function writeChunk(outgoing: ServerResponse, chunk: Uint8Array): Promise<boolean> {
  if (outgoing.destroyed) return false;
  if (outgoing.write(chunk)) return true;
  if (outgoing.destroyed) return false;
  await new Promise<void>((resolve) => {
    const done = (): void => {
      outgoing.off('drain', done);
      outgoing.off('close', done);
      resolve();
    };
    outgoing.on('drain', done);
    outgoing.on('close', done);
  });
  return !outgoing.destroyed;
}
