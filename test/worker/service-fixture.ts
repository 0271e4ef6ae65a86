import { Agent, type IncomingHttpHeaders, request } from 'node:http';
import { onTestFinished } from 'vitest';
import type { Timers } from '../../src/base/clock.ts';
import { DiskPageStore } from '../../src/cache/disk-page-store.ts';
import { createLogger } from '../../src/host/logger.ts';
import { Metrics } from '../../src/host/metrics.ts';
import { nodeTimers } from '../../src/host/node-timers.ts';
import type { Mount } from '../../src/model/mount.ts';
import { type BlockRequest, formatBlockRequest } from '../../src/wire/block-protocol.ts';
import { blockHandlers } from '../../src/worker/block-handlers.ts';
import { BlockServer } from '../../src/worker/block-server.ts';
import { ByteBudget } from '../../src/worker/byte-budget.ts';
import { MountTable } from '../../src/worker/mount-table.ts';
import { PageFetcher } from '../../src/worker/page-fetcher.ts';
import { PageReader } from '../../src/worker/page-reader.ts';
import { UploadSessions } from '../../src/worker/upload-sessions.ts';
import { workerMetrics } from '../../src/worker/worker-metrics.ts';
import { temporaryFolder } from '../cache/disk-store-fixture.ts';
import { ScriptedUfs } from './scripted-ufs.ts';

export const PAGE = 4096;
export const MOUNT = 3;

interface Reply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  /** The body as JSON. */
  json(): Record<string, unknown>;
}

export interface Service {
  readonly ufs: ScriptedUfs;
  readonly store: DiskPageStore;
  readonly mounts: MountTable;
  readonly folder: string;
  readonly port: number;
  readonly budgets: { readonly read: ByteBudget; readonly fetch: ByteBudget; readonly write: ByteBudget };
  /** Moves the clock that the idle time-out of uploads is measured by, and lets the sweep run. */
  passTime(ms: number): void;
  send(what: BlockRequest, options?: { headers?: Record<string, string>; body?: Uint8Array }): Promise<Reply>;
  raw(
    method: string,
    target: string,
    options?: { headers?: Record<string, string>; body?: Uint8Array },
  ): Promise<Reply>;
  metric(name: string): Promise<number>;
}

export function mountOf(id: number, readOnly = false): Mount {
  return {
    id,
    path: '/data',
    inodeId: 5,
    uri: 'scripted://files',
    options: {},
    readOnly,
    syncIntervalMs: -1,
    mountedMs: 0,
  };
}

export async function openService(
  options: { token?: string; fetchBytes?: number; capacityBytes?: number; memory?: number; idleMs?: number } = {},
): Promise<Service> {
  const ufs = new ScriptedUfs();
  const logger = createLogger('silent', {});
  const metrics = new Metrics();
  const counters = workerMetrics(metrics);
  const folder = await temporaryFolder();
  const store = await DiskPageStore.open({
    folder,
    capacityBytes: options.capacityBytes ?? 2 ** 26,
    pageSizeBytes: PAGE,
    logger,
    metrics,
  });
  const mounts = new MountTable({ open: () => ufs, logger });
  mounts.update(1, [mountOf(MOUNT), { ...mountOf(9, true) }], true);
  const memory = options.memory ?? 2 ** 26;
  const budgets = { read: new ByteBudget(memory), fetch: new ByteBudget(2 ** 26), write: new ByteBudget(2 ** 26) };
  const fetcher = new PageFetcher({ store, mounts, budget: budgets.fetch, metrics: counters, logger });
  const reader = new PageReader({
    store,
    fetcher,
    budget: budgets.read,
    fetchBytes: options.fetchBytes ?? 8 * PAGE,
    metrics: counters,
  });
  let nowMs = 0;
  const ticks = new Set<() => void>();
  const timers: Timers = {
    after: () => () => undefined,
    every(_period, task) {
      ticks.add(task);
      return () => ticks.delete(task);
    },
  };
  const uploads = new UploadSessions({
    mounts,
    store,
    budget: budgets.write,
    maxOpen: 4,
    idleMs: 60_000,
    clock: { wallMs: () => nowMs, monotonicMs: () => nowMs },
    timers,
    metrics: counters,
    logger,
  });
  const service = { workerId: 'w-1', store, reader, uploads, writeBudget: budgets.write, metrics, counters };
  const server = await BlockServer.open({
    host: '127.0.0.1',
    port: 0,
    token: options.token,
    idleMs: options.idleMs ?? 60_000,
    handlers: blockHandlers(service),
    timers: nodeTimers,
    metrics: counters,
    logger,
  });
  const agent = new Agent({ keepAlive: true });
  onTestFinished(async () => {
    agent.destroy();
    for (const part of [server, uploads, fetcher, mounts, store]) await part.close();
  });
  const raw: Service['raw'] = (method, target, { headers = {}, body } = {}) =>
    new Promise((resolve, reject) => {
      const length = body === undefined ? {} : { 'content-length': String(body.length) };
      const call = request(
        { agent, host: '127.0.0.1', port: server.port, method, path: target, headers: { ...length, ...headers } },
        (reply) => {
          const parts: Buffer[] = [];
          reply.on('data', (part: Buffer) => parts.push(part));
          reply.on('error', reject);
          reply.on('end', () => {
            const whole = Buffer.concat(parts);
            const json = () => JSON.parse(whole.toString()) as Record<string, unknown>;
            resolve({ status: reply.statusCode ?? 0, headers: reply.headers, body: whole, json });
          });
        },
      );
      call.on('error', reject);
      call.end(body);
    });
  return {
    ufs,
    store,
    mounts,
    folder,
    port: server.port,
    budgets,
    passTime(ms) {
      nowMs += ms;
      for (const tick of ticks) tick();
    },
    raw,
    send(what, sending) {
      const { method, target } = formatBlockRequest(what);
      return raw(method, target, sending);
    },
    async metric(name) {
      const line = (await metrics.text()).split('\n').find((text) => text.startsWith(`${name} `));
      return Number(line?.split(' ')[1] ?? Number.NaN);
    },
  };
}

/** Bytes that tell their place. */
export function fileBytes(lengthBytes: number): Buffer {
  return Buffer.from(
    Uint8Array.from({ length: lengthBytes }, (_, at) => (at * 7 + (at >> 8) * 13 + (at >> 16)) & 0xff),
  );
}
