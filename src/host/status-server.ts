import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { SluiceError } from '../model/errors.ts';
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
  /** Asked at each `/readyz`; must not block. */
  readiness(): Readiness;
}

const MAX_CONNECTIONS = 64;

/**
 * What monitoring asks a process over HTTP: `/metrics` (Prometheus), `/healthz` (200 while the event loop turns) and
 * `/readyz` (200 when it can serve, 503 with the reason otherwise). It has nothing secret and changes nothing.
 */
export class StatusServer implements Closeable {
  readonly #server: Server;
  #closing: Promise<void> | undefined;

  private constructor(server: Server) {
    this.#server = server;
  }

  /** @throws SluiceError UNAVAILABLE when the address cannot be listened on. */
  static open(options: StatusServerOptions): Promise<StatusServer> {
    const server = createServer({ requestTimeout: 10_000, headersTimeout: 10_000 }, (request, response) => {
      answer(options, request.method ?? '', request.url ?? '', response).catch((thrown: unknown) => {
        reply(response, 500, `${SluiceError.from(thrown).message}\n`);
      });
    });
    server.maxConnections = MAX_CONNECTIONS;
    return new Promise((resolve, reject) => {
      server.once('error', (error) => {
        const at = `${options.host}:${options.port}`;
        reject(SluiceError.from(error, 'UNAVAILABLE', `Cannot serve metrics on ${at}: choose another port`));
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
  method: string,
  url: string,
  response: ServerResponse,
): Promise<void> {
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
