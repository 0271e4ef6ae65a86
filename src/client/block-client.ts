import { Agent, type ClientRequest, request as httpRequest, type IncomingMessage } from 'node:http';
import { crc32 } from 'node:zlib';
import { assert } from '../base/assert.ts';
import type { UfsFact } from '../model/command.ts';
import { SluiceError } from '../model/errors.ts';
import { parseErrorReply } from '../wire/block-errors.ts';
import {
  type AdoptContent,
  type AppendUpload,
  BLOCK_HEADERS,
  type BlockRequest,
  type CompleteUpload,
  formatBlockRequest,
  type OpenUpload,
  parseUfsFact,
  parseUploadOpened,
  type ReadBlock,
  type UploadOpened,
  type WriteBlock,
} from '../wire/block-protocol.ts';
import { type ByteRange, formatRangeHeader } from '../wire/block-range.ts';
import { BrokenExchange } from './block-connection.ts';
import { ConnectionPool } from './connection-pool.ts';

export interface BlockClientOptions {
  /** The cluster's secret; undefined or empty when it has none. */
  readonly token: string | undefined;
  readonly socketsPerWorker: number;
  /** A connection without progress for this long is given up. */
  readonly timeoutMs: number;
}

interface Sending {
  readonly headers?: Readonly<Record<string, string | number>>;
  readonly body?: Uint8Array;
  readonly signal?: AbortSignal | undefined;
  readonly timeoutMs?: number;
}

const MAX_TEXT_BYTES = 64 * 1024;
/** Completing an upload may make the UFS copy what it has: it is given this many times the timeout. */
const COMPLETION_PATIENCE = 10;

/**
 * Speaks the block protocol with workers over connections that stay open. A worker that cannot be reached, breaks off
 * or makes no progress is UNAVAILABLE or TIMED_OUT with `details.unreachable`; what a worker itself refuses has its
 * own code.
 */
export class BlockClient {
  readonly #options: BlockClientOptions;
  /** For all but reads. */
  readonly #agent: Agent;
  readonly #pool: ConnectionPool;
  readonly #authorization: string;

  constructor(options: BlockClientOptions) {
    this.#options = options;
    this.#agent = new Agent({
      keepAlive: true,
      keepAliveMsecs: 10_000,
      maxSockets: options.socketsPerWorker,
      maxFreeSockets: options.socketsPerWorker,
      scheduling: 'lifo',
    });
    this.#pool = new ConnectionPool(options);
    const { token = '' } = options;
    if (!/^[\x20-\x7e]*$/.test(token))
      throw new SluiceError('INVALID_ARGUMENT', 'The token has characters that HTTP cannot carry: use printable ASCII');
    this.#authorization = token === '' ? '' : `Authorization: Bearer ${token}\r\n`;
  }

  /**
   * Fills `place` with a range of a block of that length; after a failure its content is undefined. A worker that fails
   * in the middle of a reply can only break it off: the rest is asked for, so that it says what is wrong, or goes on.
   */
  async read(
    address: string,
    request: ReadBlock,
    range: ByteRange,
    place: Uint8Array,
    signal?: AbortSignal,
  ): Promise<void> {
    assert(place.length === range.end - range.start, 'A range is read into memory of its length');
    for (let done = 0; ; ) {
      try {
        const rest = { start: range.start + done, end: range.end };
        await this.#readOnce(address, request, rest, place.subarray(done), signal);
        return;
      } catch (thrown) {
        const { received } = SluiceError.from(thrown).details;
        if (typeof received !== 'number' || received === 0) throw thrown;
        done += received;
      }
    }
  }

  /** A kept connection that the worker closed at the same moment fails before a reply: such a request is sent again. */
  async #readOnce(
    address: string,
    request: ReadBlock,
    range: ByteRange,
    place: Uint8Array,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const { target } = formatBlockRequest(request);
    const head =
      `GET ${target} HTTP/1.1\r\nHost: ${address}\r\nRange: ${formatRangeHeader(range)}\r\n` +
      `${this.#authorization}\r\n`;
    for (let attempt = 1; ; attempt++) {
      let reused = false;
      try {
        const connection = await this.#pool.acquire(address, signal);
        reused = connection.exchanges > 0;
        const { status, refusal } = await connection.exchange(head, place, signal);
        this.#pool.release(address, connection);
        if (refusal === undefined) return;
        throw workerError(address, status, asText(refusal));
      } catch (thrown) {
        if (thrown instanceof SluiceError) throw thrown;
        const unanswered = thrown instanceof BrokenExchange && thrown.unanswered && !thrown.timedOut;
        const again = reused && unanswered && signal?.aborted !== true;
        if (!again || attempt > this.#options.socketsPerWorker) {
          throw connectionError(address, thrown, signal, !unanswered);
        }
      }
    }
  }

  async write(address: string, request: WriteBlock, body: Uint8Array, signal?: AbortSignal): Promise<void> {
    await this.#send(address, request, { headers: checksum(body), body, signal });
  }

  /** @param first bytes that the file begins with, if it is to have some at once. */
  async openUpload(address: string, request: OpenUpload, first?: Uint8Array): Promise<UploadOpened> {
    const sending = first === undefined ? {} : { headers: checksum(first), body: first };
    return parseUploadOpened(asText(await this.#send(address, request, sending)));
  }

  async append(address: string, request: AppendUpload, body: Uint8Array, signal?: AbortSignal): Promise<void> {
    await this.#send(address, request, { headers: checksum(body), body, signal });
  }

  async completeUpload(address: string, request: CompleteUpload): Promise<UfsFact> {
    const timeoutMs = this.#options.timeoutMs * COMPLETION_PATIENCE;
    return parseUfsFact(asText(await this.#send(address, request, { timeoutMs })));
  }

  async abortUpload(address: string, uploadId: string): Promise<void> {
    await this.#send(address, { kind: 'abortUpload', uploadId }, {});
  }

  async adopt(address: string, request: AdoptContent): Promise<void> {
    await this.#send(address, request, {});
  }

  /** Drops the cached pages of one version of a file. */
  async drop(address: string, fileId: number, version: string): Promise<void> {
    await this.#send(address, { kind: 'dropContent', fileId, version }, {});
  }

  /** Closes all connections; requests under way fail. */
  close(): void {
    this.#pool.close();
    this.#agent.destroy();
  }

  /** Sends again what a kept connection lost, as `#readOnce` does. */
  async #send(address: string, request: BlockRequest, sending: Sending): Promise<Uint8Array> {
    for (let attempt = 1; ; attempt++) {
      const outgoing = this.#open(address, request, sending);
      try {
        return await exchange(address, outgoing, sending);
      } catch (thrown) {
        const error = SluiceError.from(thrown, 'UNAVAILABLE');
        const idle = outgoing.reusedSocket && error.details['unanswered'] === true;
        if (!idle || attempt > this.#options.socketsPerWorker) throw error;
      }
    }
  }

  #open(address: string, request: BlockRequest, sending: Sending): ClientRequest {
    const { method, target } = formatBlockRequest(request);
    const { hostname, port } = new URL(`http://${address}`);
    const { token, timeoutMs } = this.#options;
    return httpRequest({
      agent: this.#agent,
      host: hostname.replace(/^\[|\]$/g, ''),
      port: port === '' ? 80 : Number(port),
      method,
      path: target,
      timeout: sending.timeoutMs ?? timeoutMs,
      ...(sending.signal === undefined ? {} : { signal: sending.signal }),
      headers: {
        ...sending.headers,
        ...(token === undefined || token === '' ? {} : { authorization: `Bearer ${token}` }),
        ...(method === 'PUT' || method === 'POST' ? { 'content-length': sending.body?.length ?? 0 } : {}),
      },
    });
  }
}

function checksum(body: Uint8Array): Record<string, string> {
  return { [BLOCK_HEADERS.crc32]: crc32(body).toString(16).padStart(8, '0') };
}

function asText(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('utf8');
}

/** Sends the body, and reads the reply whole. */
function exchange(address: string, outgoing: ClientRequest, sending: Sending): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    let answered = false;
    const fail = (thrown: unknown) => reject(connectionError(address, thrown, sending.signal, answered));
    outgoing.on('timeout', () => outgoing.destroy(new Error('no progress', { cause: 'timeout' })));
    outgoing.on('error', fail);
    outgoing.on('response', (incoming) => {
      answered = true;
      incoming.on('error', fail);
      const good = incoming.statusCode === 200 || incoming.statusCode === 204;
      receive(incoming).then((bytes) => {
        if (good) resolve(bytes);
        else reject(workerError(address, incoming.statusCode ?? 0, asText(bytes)));
      }, fail);
    });
    outgoing.end(sending.body);
  });
}

/** Reads a text of bounded length. */
function receive(incoming: IncomingMessage): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const pieces: Uint8Array[] = [];
    let length = 0;
    incoming.on('data', (piece: Buffer) => {
      length += piece.length;
      if (length > MAX_TEXT_BYTES) incoming.destroy(new Error(`more than ${MAX_TEXT_BYTES} bytes came`));
      else pieces.push(piece);
    });
    incoming.on('error', reject);
    incoming.on('close', () => reject(new Error(`the connection broke after ${length} bytes`)));
    incoming.on('end', () => resolve(Buffer.concat(pieces)));
  });
}

function workerError(address: string, status: number, body: string): SluiceError {
  const error = parseErrorReply(status, body);
  return new SluiceError(error.code, error.message, { details: { ...error.details, worker: address }, cause: error });
}

function connectionError(
  address: string,
  thrown: unknown,
  signal: AbortSignal | undefined,
  answered: boolean,
): SluiceError {
  const received = thrown instanceof BrokenExchange ? { received: thrown.received } : {};
  const details = { worker: address, unreachable: true, unanswered: !answered, ...received };
  const options = { cause: thrown, details };
  if (signal?.aborted === true) return new SluiceError('CANCELLED', 'The caller gave up', { cause: thrown });
  const said = thrown instanceof Error ? thrown.message : String(thrown);
  if (thrown instanceof BrokenExchange ? thrown.timedOut : thrown instanceof Error && thrown.cause === 'timeout')
    return new SluiceError('TIMED_OUT', `Worker ${address} makes no progress`, {
      ...options,
      details: { worker: address, unreachable: true },
    });
  return new SluiceError('UNAVAILABLE', `Worker ${address} cannot be reached: ${said}`, options);
}
