import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Timers } from '../base/clock.ts';
import { BearerGuard } from '../host/bearer-guard.ts';
import { checkExposure } from '../host/exposure.ts';
import type { Logger } from '../host/logger.ts';
import { ERROR_TABLE, SluiceError } from '../model/errors.ts';
import { formatErrorBody } from '../wire/block-errors.ts';
import { type BlockRequestKind, parseBlockRequest } from '../wire/block-protocol.ts';
import { type BlockHandlers, type Exchange, replyText } from './exchange.ts';
import type { WorkerMetrics } from './worker-metrics.ts';

export interface BlockServerOptions {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  /** Undefined or empty: everybody may ask, on loopback only. */
  readonly token: string | undefined;
  /** A connection on which nothing moves for this long is closed. */
  readonly idleMs: number;
  readonly handlers: BlockHandlers;
  readonly timers: Timers;
  readonly metrics: WorkerMetrics;
  readonly logger: Logger;
}

const MAX_CONNECTIONS = 10_000;
/** How long requests under way may take to end when the server closes. */
const CLOSE_GRACE_MS = 5_000;

/**
 * The HTTP/1.1 service of a worker: authentication, errors, limits and closing; what requests mean is in the
 * handlers.
 */
export class BlockServer {
  readonly #options: BlockServerOptions;
  readonly #guard: BearerGuard;
  readonly #server: Server;
  #closing: Promise<void> | undefined;

  private constructor(options: BlockServerOptions) {
    this.#options = options;
    this.#guard = new BearerGuard(options.token);
    this.#server = createServer(
      { keepAliveTimeout: options.idleMs, requestTimeout: 0, headersTimeout: 30_000, noDelay: true },
      (incoming, outgoing) => void this.#serve(incoming, outgoing),
    );
    this.#server.maxConnections = MAX_CONNECTIONS;
    this.#server.timeout = options.idleMs;
  }

  /** @throws INVALID_ARGUMENT for an open address without token, UNAVAILABLE when it cannot be listened on. */
  static async open(options: BlockServerOptions): Promise<BlockServer> {
    const { host, port, token } = options;
    checkExposure(host, token);
    const server = new BlockServer(options);
    await new Promise<void>((resolve, reject) => {
      server.#server.once('error', (thrown: NodeJS.ErrnoException) => {
        const why = thrown.code === 'EADDRINUSE' ? 'another process uses it' : thrown.message;
        reject(
          new SluiceError(
            'UNAVAILABLE',
            `Cannot listen on ${host}:${port}: ${why}; stop it, or set worker.port and worker.host`,
            { cause: thrown },
          ),
        );
      });
      server.#server.listen(port, host, resolve);
    });
    server.#server.on('error', (thrown) => options.logger.error({ err: thrown }, 'the block service failed'));
    return server;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  async #serve(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const { metrics, logger } = this.#options;
    const startMs = performance.now();
    const gone = new AbortController();
    outgoing.on('close', () => {
      if (!outgoing.writableFinished) gone.abort();
    });
    let kind: BlockRequestKind | 'unknown' = 'unknown';
    try {
      const request = parseBlockRequest(incoming.method ?? '', incoming.url ?? '');
      kind = request.kind;
      this.#guard.check(incoming.headers.authorization);
      await this.#handle(kind, { request, incoming, outgoing, signal: gone.signal });
    } catch (thrown) {
      const error = SluiceError.from(thrown, 'INTERNAL');
      metrics.errors(error.code).add(1);
      if (error.code === 'INTERNAL') logger.error({ err: thrown, kind }, 'a request failed unexpectedly');
      else logger.debug({ err: error, kind, url: incoming.url }, 'request refused');
      replyError(outgoing, error);
    } finally {
      metrics.requests(kind).add(1);
      metrics.seconds(kind).observe((performance.now() - startMs) / 1000);
    }
  }

  #handle(kind: BlockRequestKind, exchange: Exchange<BlockRequestKind>): Promise<void> {
    // The handler of a kind takes the requests of that kind; the compiler cannot see that the two agree here.
    const handler = this.#options.handlers[kind] as (exchange: Exchange<BlockRequestKind>) => Promise<void>;
    return handler(exchange);
  }

  /** Takes no new connections, lets requests under way end for a while, then breaks them off. */
  close(): Promise<void> {
    this.#closing ??= new Promise((resolve) => {
      const cancel = this.#options.timers.after(CLOSE_GRACE_MS, () => this.#server.closeAllConnections());
      this.#server.close(() => {
        cancel();
        resolve();
      });
      this.#server.closeIdleConnections();
    });
    return this.#closing;
  }
}

/**
 * A reply that has begun cannot become an error: its connection breaks, which the client cannot take for the end. What
 * was sent before still arrives, so that the client can ask for the rest and hear the error.
 */
function replyError(outgoing: ServerResponse, error: SluiceError): void {
  if (outgoing.destroyed) return;
  if (outgoing.headersSent) return void (outgoing.socket?.destroySoon() ?? outgoing.destroy());
  const status = typeof error.details['status'] === 'number' ? error.details['status'] : ERROR_TABLE[error.code].http;
  if (error.code === 'UNAUTHENTICATED') outgoing.setHeader('www-authenticate', 'Bearer');
  replyText(outgoing, status, formatErrorBody(error), 'application/json');
}
