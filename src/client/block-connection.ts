import { connect, type Socket } from 'node:net';

/** Where the head of a reply is collected, with what follows it in the same packet. */
const HEAD_BYTES = 16 * 1024;
const MAX_TEXT_BYTES = 64 * 1024;
const KEEP_ALIVE_MS = 10_000;

export interface ConnectionPlace {
  readonly host: string;
  readonly port: number;
  /** A connection without progress for this long while a reply is awaited is given up. */
  readonly timeoutMs: number;
}

/** A failed exchange. */
export class BrokenExchange extends Error {
  /** Nothing of a reply had come. */
  readonly unanswered: boolean;
  readonly timedOut: boolean;
  /** Bytes of the range that were in their place when the worker broke off. */
  readonly received: number;

  constructor(message: string, facts: { unanswered?: boolean; timedOut?: boolean; received?: number } = {}) {
    super(message);
    this.unanswered = facts.unanswered ?? false;
    this.timedOut = facts.timedOut ?? false;
    this.received = facts.received ?? 0;
  }
}

/** A reply to a read. */
export interface RangeReply {
  readonly status: number;
  /** What the worker said instead of the bytes; undefined when the bytes are in their place. */
  readonly refusal: Uint8Array | undefined;
}

interface Exchange {
  /** Where the bytes of a good reply go; it must have exactly as many. */
  readonly place: Uint8Array;
  readonly resolve: (reply: RangeReply) => void;
  readonly reject: (error: BrokenExchange) => void;
  readonly signal: AbortSignal | undefined;
}

/** The part of a reply whose bytes are still to come. */
interface Body {
  readonly place: Uint8Array;
  readonly status: number;
  readonly good: boolean;
  filled: number;
}

/**
 * An HTTP/1.1 connection (RFC 9112) that asks for ranges, one at a time. The kernel writes the bytes of a reply where
 * the caller wants them: `node:http` allocates, copies and collects as garbage each 64 KiB on the way, which costs more
 * than the transfer. It understands replies with a length, as workers send them.
 */
export class BlockConnection {
  /** Exchanges that were begun here. */
  exchanges = 0;
  readonly #socket: Socket;
  readonly #head = Buffer.allocUnsafeSlow(HEAD_BYTES);
  #headFilled = 0;
  #body: Body | undefined;
  #exchange: Exchange | undefined;
  #reusable = true;
  #failure = 'the connection broke';

  /** @param closed called once when the connection is gone */
  constructor({ host, port, timeoutMs }: ConnectionPlace, closed: () => void) {
    this.#socket = connect({
      host,
      port,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: KEEP_ALIVE_MS,
      onread: { buffer: () => this.#nextMemory(), callback: (count) => this.#received(count) },
    });
    this.#socket.setTimeout(timeoutMs);
    this.#socket.on('timeout', () => {
      if (this.#exchange !== undefined) this.#fail(new BrokenExchange('no progress', { timedOut: true }));
    });
    this.#socket.on('error', (error) => {
      this.#failure = error.message;
    });
    this.#socket.on('close', () => {
      this.#fail(this.#broken());
      closed();
    });
  }

  /** Another exchange may begin. */
  get usable(): boolean {
    return this.#reusable && this.#exchange === undefined && !this.#socket.destroyed;
  }

  /**
   * Sends a request and awaits its reply. After a failure the connection is closed, and nothing is written to `place`.
   * @throws BrokenExchange
   */
  exchange(head: string, place: Uint8Array, signal: AbortSignal | undefined): Promise<RangeReply> {
    return new Promise((resolve, reject) => {
      this.exchanges += 1;
      this.#exchange = { place, resolve, reject, signal };
      if (signal?.aborted === true) return this.#fail(new BrokenExchange('given up'));
      if (this.#socket.destroyed) return this.#fail(this.#broken());
      signal?.addEventListener('abort', this.#abort);
      this.#socket.ref();
      this.#socket.write(head, 'latin1');
    });
  }

  close(): void {
    this.#socket.destroy();
  }

  readonly #abort = (): void => this.#fail(new BrokenExchange('given up'));

  /** Where the next bytes are to be put; never empty. */
  #nextMemory(): Uint8Array {
    const body = this.#body;
    return body === undefined ? this.#head.subarray(this.#headFilled) : body.place.subarray(body.filled);
  }

  #received(count: number): boolean {
    if (this.#exchange === undefined) {
      this.#socket.destroy();
      return true;
    }
    if (this.#body === undefined) this.#headReceived(this.#exchange, count);
    else {
      this.#body.filled += count;
      this.#progress(this.#body);
    }
    return true;
  }

  #headReceived(exchange: Exchange, count: number): void {
    this.#headFilled += count;
    const end = this.#head.subarray(0, this.#headFilled).indexOf('\r\n\r\n');
    if (end < 0) {
      if (this.#headFilled < HEAD_BYTES) return;
      this.#fail(new BrokenExchange('the reply has no end of its headers'));
      return;
    }
    const rest = this.#head.subarray(end + 4, this.#headFilled);
    this.#headFilled = 0;
    const head = parseHead(this.#head.toString('latin1', 0, end));
    if (typeof head === 'string') {
      this.#fail(new BrokenExchange(head));
      return;
    }
    const wrong = wrongLength(head, rest.length, exchange.place.length);
    if (wrong !== undefined) {
      this.#fail(new BrokenExchange(wrong));
      return;
    }
    this.#reusable = head.keep;
    const place = head.good ? exchange.place : Buffer.alloc(head.lengthBytes);
    const body = { place, status: head.status, good: head.good, filled: rest.length };
    body.place.set(rest);
    this.#body = body;
    this.#progress(body);
  }

  #progress(body: Body): void {
    if (body.filled < body.place.length) return;
    const exchange = this.#end();
    if (!this.#reusable) this.#socket.destroy();
    // An idle connection does not keep the process alive.
    else this.#socket.unref();
    exchange?.resolve({ status: body.status, refusal: body.good ? undefined : body.place });
  }

  /** The worker, or the network, has closed the connection. */
  #broken(): BrokenExchange {
    const body = this.#body;
    const unanswered = body === undefined && this.#headFilled === 0;
    return new BrokenExchange(this.#failure, { unanswered, received: body?.good === true ? body.filled : 0 });
  }

  #fail(error: BrokenExchange): void {
    this.#socket.destroy();
    this.#end()?.reject(error);
  }

  #end(): Exchange | undefined {
    const exchange = this.#exchange;
    exchange?.signal?.removeEventListener('abort', this.#abort);
    this.#exchange = undefined;
    this.#body = undefined;
    this.#headFilled = 0;
    return exchange;
  }
}

interface Head {
  readonly status: number;
  /** The body is the range. */
  readonly good: boolean;
  readonly lengthBytes: number;
  /** The connection stays open. */
  readonly keep: boolean;
}

/** @returns what is wrong, in words, when it is no head of a worker's reply. */
function parseHead(text: string): Head | string {
  const status = /^HTTP\/1\.1 (\d{3})/.exec(text)?.[1];
  if (status === undefined) return 'the reply is not HTTP/1.1';
  const length = /\r\ncontent-length:[ \t]*(\d{1,15})[ \t]*(?:\r|$)/i.exec(text)?.[1];
  if (length === undefined) return 'the reply does not say its length';
  const keep = !/\r\nconnection:[ \t]*close/i.test(text);
  const good = status === '200' || status === '206';
  return { status: Number(status), good, lengthBytes: Number(length), keep };
}

/** @param received bytes behind the head so far. @param expected bytes of the range */
function wrongLength({ good, lengthBytes }: Head, received: number, expected: number): string | undefined {
  const limit = good ? expected : MAX_TEXT_BYTES;
  if (lengthBytes > limit || received > lengthBytes) return `more than ${Math.min(limit, lengthBytes)} bytes came`;
  return good && lengthBytes < limit ? `${lengthBytes} bytes came, not ${limit}` : undefined;
}
