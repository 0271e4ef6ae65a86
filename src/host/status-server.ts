import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { ERROR_TABLE, SluiceError } from '../model/errors.ts';
import { BearerGuard } from './bearer-guard.ts';
import { checkExposure } from './exposure.ts';
import type { Metrics } from './metrics.ts';
import type { Closeable } from './scope.ts';

/** Whether the process can do its work now, and why not. */
export type Readiness = { readonly ready: true } | { readonly ready: false; readonly reason: string };

export interface StatusServerOptions {
  /** Where to listen: loopback unless the operator opened it. */
  readonly host: string;
  /** 0 takes a free port. */
  readonly port: number;
  readonly metrics: Metrics;
  /** The cluster's secret, which every request must show; empty on loopback only. */
  readonly token: string;
  /** Asked at each `/readyz`; must not block. */
  readiness(): Readiness;
}

const MAX_CONNECTIONS = 64;

/**
 * What monitoring asks a process over HTTP: `/metrics` (Prometheus), `/healthz` (200 while the event loop turns) and
 * `/readyz` (200 when it can serve, 503 with the reason otherwise). It changes nothing.
 */
export class StatusServer implements Closeable {
  readonly #server: Server;
  #closing: Promise<void> | undefined;

  private constructor(server: Server) {
    this.#server = server;
  }

  /** @throws SluiceError INVALID_ARGUMENT without a token beyond loopback; UNAVAILABLE when the address is taken. */
  static async open(options: StatusServerOptions): Promise<StatusServer> {
    checkExposure(options.host, options.token);
    const guard = new BearerGuard(options.token);
    const server = createServer({ requestTimeout: 10_000, headersTimeout: 10_000 }, (request, response) => {
      answer(options, guard, request, response).catch((thrown: unknown) => {
        const error = SluiceError.from(thrown);
        reply(response, ERROR_TABLE[error.code].http, `${error.message}\n`);
      });
    });
    server.maxConnections = MAX_CONNECTIONS;
    return new Promise((resolve, reject) => {
      server.once('error', (error) => {
        const at = `${options.host}:${options.port}`;
        reject(
          SluiceError.from(
            error,
            'UNAVAILABLE',
            `Cannot serve metrics on ${at}: stop who listens there, or choose another port`,
          ),
        );
      });
      server.listen(options.port, options.host, () => resolve(new StatusServer(server)));
    });
  }

  /** The port that it listens on. */
  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  close(): Promise<void> {
    this.#closing ??= new Promise((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
    return this.#closing;
  }
}

async function answer(
  options: StatusServerOptions,
  guard: BearerGuard,
  { method, url = '', headers }: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  guard.check(headers.authorization);
  if (method !== 'GET' && method !== 'HEAD') return reply(response, 405, 'Only GET is allowed\n');
  const path = url.split('?', 1)[0];
  if (path === '/healthz') return reply(response, 200, 'ok\n');
  if (path === '/metrics') return reply(response, 200, await options.metrics.text(), 'text/plain; version=0.0.4');
  if (path !== '/readyz') return reply(response, 404, 'Not found: ask for /metrics, /healthz or /readyz\n');
  const readiness = options.readiness();
  return reply(response, readiness.ready ? 200 : 503, readiness.ready ? 'ready\n' : `${readiness.reason}\n`);
}

function reply(response: ServerResponse, status: number, body: string, type = 'text/plain'): void {
  if (response.headersSent) return void response.destroy();
  response.writeHead(status, { 'content-type': `${type}; charset=utf-8`, 'content-length': Buffer.byteLength(body) });
  response.end(response.req.method === 'HEAD' ? undefined : body);
}
