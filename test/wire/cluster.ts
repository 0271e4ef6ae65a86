import { seededRandom } from '../../src/base/random.ts';
import type { LogFields, Logger } from '../../src/host/logger.ts';
import { Metrics } from '../../src/host/metrics.ts';
import { nodeTimers } from '../../src/host/node-timers.ts';
import { systemClock } from '../../src/host/system-clock.ts';
import { SluiceError } from '../../src/model/errors.ts';
import type { FileStatus } from '../../src/model/status.ts';
import type { MetadataChannelOptions } from '../../src/wire/channel-options.ts';
import { GrpcServer, type GrpcService, type StreamMethod } from '../../src/wire/grpc-server.ts';
import { MetadataChannel } from '../../src/wire/metadata-channel.ts';
import { MetadataServer } from '../../src/wire/metadata-server.ts';
import type { OperationHandlers } from '../../src/wire/operation-handlers.ts';

/** Keeps what was logged. */
export class MemoryLogger implements Logger {
  readonly lines: { readonly level: string; readonly fields: LogFields; readonly message: string }[] = [];

  debug(fields: LogFields, message: string): void {
    this.lines.push({ level: 'debug', fields, message });
  }

  info(fields: LogFields, message: string): void {
    this.lines.push({ level: 'info', fields, message });
  }

  warn(fields: LogFields, message: string): void {
    this.lines.push({ level: 'warn', fields, message });
  }

  error(fields: LogFields, message: string): void {
    this.lines.push({ level: 'error', fields, message });
  }

  child(): Logger {
    return this;
  }
}

export const STATUS: FileStatus = {
  path: '/a/ü.txt',
  name: 'ü.txt',
  id: 2 ** 53 - 1,
  kind: 'file',
  lengthBytes: 134217728,
  blockSizeBytes: 67108864,
  complete: true,
  owner: 'alice',
  group: 'staff',
  mode: 0o644,
  createdMs: 1764000000000,
  modifiedMs: -5,
  accessedMs: 1764000000002,
  changedMs: 1764000000003,
  pinned: false,
  ttlMs: -1,
  ttlAction: 'delete',
  persistence: 'persisted',
  writeType: 'CACHE_THROUGH',
  version: '"d41d8cd98f00b204e9800998ecf8427e"',
  childCount: 0,
  mountPoint: false,
  mountId: 2,
  ufsPath: 'ü.txt',
};

export const PRINCIPAL = { user: 'alice', groups: ['staff', 'größe'] };

/** Handlers of which every one refuses, except the given. */
export function handlersOf(given: Partial<OperationHandlers>): OperationHandlers {
  const refuse = (): Promise<never> => Promise.reject(new SluiceError('UNSUPPORTED', 'Not in this test'));
  return new Proxy(given, { get: (target, name) => Reflect.get(target, name) ?? refuse }) as OperationHandlers;
}

export const host = { clock: systemClock, timers: nodeTimers, random: seededRandom(1) };

export interface Running {
  readonly address: string;
  readonly server: GrpcServer;
  readonly logger: MemoryLogger;
  /** Sessions that are open, and that ever were. */
  sessions(): Promise<number>;
  readonly sessionsOpened: number;
  close(): Promise<void>;
}

/** Serves `service` on a free port of loopback. */
export async function serve(service: GrpcService, token?: string, port = 0): Promise<GrpcServer> {
  return GrpcServer.start({ host: '127.0.0.1', port, token, services: [service], timers: nodeTimers });
}

/** A master that has nothing but handlers. */
export async function startMaster(
  handlers: Partial<OperationHandlers>,
  options: { readonly token?: string; readonly port?: number; readonly cluster?: string } = {},
): Promise<Running> {
  const logger = new MemoryLogger();
  const metrics = new Metrics();
  const cluster = () => options.cluster ?? '';
  const metadata = new MetadataServer({ handlers: handlersOf(handlers), cluster, ...host, logger, metrics });
  let sessionsOpened = 0;
  const { unary, streams } = metadata.service;
  const counted = [...(streams ?? [])].map(([path, open]): [string, StreamMethod] => [
    path,
    (call) => {
      sessionsOpened += 1;
      open(call);
    },
  ]);
  const service = { ...(unary === undefined ? {} : { unary }), streams: new Map(counted) };
  const server = await serve(service, options.token, options.port);
  return {
    address: server.address,
    server,
    logger,
    get sessionsOpened() {
      return sessionsOpened;
    },
    async sessions() {
      const [, count] = /^sluice_wire_session_streams (\d+)$/m.exec(await metrics.text()) ?? [];
      return Number(count);
    },
    async close() {
      metadata.close();
      await server.close();
    },
  };
}

export function openChannel(masters: readonly string[], options: Partial<MetadataChannelOptions> = {}) {
  return new MetadataChannel({
    masters,
    principal: PRINCIPAL,
    timeoutMs: 10_000,
    ...host,
    logger: new MemoryLogger(),
    ...options,
  });
}

/** A promise with its ends, and what a handler was called with. */
export class Gate<T> {
  readonly promise: Promise<T>;
  open!: (value: T) => void;
  fail!: (error: Error) => void;

  constructor() {
    this.promise = new Promise((resolve, reject) => {
      this.open = resolve;
      this.fail = reject;
    });
  }
}
