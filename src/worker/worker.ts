import { hostname } from 'node:os';
import type { Clock, Timers } from '../base/clock.ts';
import type { Random } from '../base/random.ts';
import { DiskPageStore } from '../cache/disk-page-store.ts';
import type { ValuesOf } from '../host/config/option.ts';
import { DataFolder } from '../host/data-folder.ts';
import type { Logger } from '../host/logger.ts';
import type { Metrics } from '../host/metrics.ts';
import { type Closeable, opening, type Scope } from '../host/scope.ts';
import type { Mount } from '../model/mount.ts';
import type { Ufs } from '../ufs/ufs.ts';
import { RegistryLink } from '../wire/registry-link.ts';
import { blockHandlers } from './block-handlers.ts';
import { BlockServer } from './block-server.ts';
import { ByteBudget } from './byte-budget.ts';
import { MountTable } from './mount-table.ts';
import type { workerOptions } from './options.ts';
import { PageFetcher } from './page-fetcher.ts';
import { PageReader } from './page-reader.ts';
import { Registration } from './registration.ts';
import { UploadSessions } from './upload-sessions.ts';
import { workerMetrics } from './worker-metrics.ts';

export interface WorkerParts {
  readonly options: ValuesOf<typeof workerOptions>;
  /** The cluster's secret; empty when it has none. */
  readonly token: string;
  /** Opens the UFS of a mount. @throws SluiceError for a scheme or options that are unknown. */
  openUfs(mount: Mount): Ufs;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

/**
 * The data service of one machine: serves block bytes from its cache and the UFSs, and tells the leader that it
 * lives.
 */
export class Worker implements Closeable {
  /** UUID, the same over restarts. */
  readonly id: string;
  /** Host and port as clients reach it. */
  readonly address: string;
  readonly #registration: Registration;
  readonly #scope: Scope;

  private constructor(id: string, address: string, registration: Registration, scope: Scope) {
    this.id = id;
    this.address = address;
    this.#registration = registration;
    this.#scope = scope;
  }

  /**
   * Opens the folders, serves, and begins to look for the leader.
   * @throws SluiceError when a folder is in use, damaged or full, or the address cannot be listened on.
   */
  static start(parts: WorkerParts): Promise<Worker> {
    return opening((scope) => Worker.#start(parts, scope));
  }

  static async #start(parts: WorkerParts, scope: Scope): Promise<Worker> {
    const { options, token, clock, timers, logger, metrics } = parts;
    const folder = scope.own('data folder', await DataFolder.open(options.dataFolder, 'worker'));
    const store = scope.own('page store', await openStore(parts, await openCacheFolder(parts, folder, scope)));
    const mounts = scope.own('mounts', new MountTable({ open: parts.openUfs, logger }));
    const counters = workerMetrics(metrics);
    const memory = shareMemory(options.memoryBytes);
    const fetcher = scope.own(
      'page fetcher',
      new PageFetcher({ store, mounts, budget: memory.fetch, metrics: counters, logger }),
    );
    const fetchBytes = Math.min(options.readAheadBytes, memory.fetch.capacityBytes / 2);
    const reader = new PageReader({ store, fetcher, budget: memory.read, fetchBytes, metrics: counters });
    const uploads = scope.own(
      'uploads',
      new UploadSessions({
        mounts,
        store,
        budget: memory.write,
        maxOpen: options.uploadMax,
        idleMs: options.uploadIdleMs,
        clock,
        timers,
        metrics: counters,
        logger,
      }),
    );
    const service = { workerId: folder.id, store, reader, uploads, writeBudget: memory.write, metrics, counters };
    const server = scope.own(
      'block server',
      await BlockServer.open({
        host: options.host,
        port: options.port,
        token,
        idleMs: options.httpIdleMs,
        handlers: blockHandlers(service),
        timers,
        metrics: counters,
        logger,
      }),
    );
    const address = formatAddress(options.advertisedHost || options.host, server.port);
    const registration = scope.own('registration', register(parts, folder.id, address, store, mounts));
    metrics.gaugeOf('sluice_worker_registered', 'Whether the leader knows this worker', () =>
      registration.registered ? 1 : 0,
    );
    const used = (): number => Object.values(memory).reduce((sum, budget) => sum + budget.usedBytes, 0);
    metrics.gaugeOf('sluice_worker_memory_used_bytes', 'Bytes of pages on their way', used);
    logger.info({ id: folder.id, address, folder: folder.path, ...store.usage() }, 'worker serves');
    return new Worker(folder.id, address, registration, scope);
  }

  /** Whether the present leader knows this worker. */
  get registered(): boolean {
    return this.#registration.registered;
  }

  /** Why masters do not take this worker; empty when they may. */
  get refusal(): string {
    return this.#registration.refusal;
  }

  /** Stops serving: requests under way may end, open uploads are aborted. Protected pages are on disk already. */
  close(): Promise<void> {
    return this.#scope.close();
  }
}

/** A cache folder of its own is locked as the data folder is. */
async function openCacheFolder({ options }: WorkerParts, folder: DataFolder, scope: Scope): Promise<string> {
  if (options.cacheFolder === '') return folder.at('cache');
  return scope.own('cache folder', await DataFolder.open(options.cacheFolder, 'worker')).at('cache');
}

function openStore({ options, logger, metrics }: WorkerParts, folder: string): Promise<DiskPageStore> {
  const { cacheCapacityBytes, pageSizeBytes } = options;
  return DiskPageStore.open({ folder, capacityBytes: cacheCapacityBytes, pageSizeBytes, logger, metrics });
}

/**
 * Separate budgets, so that a fetch never waits for a slow client: half for replies, a quarter each for fetches and
 * bodies.
 */
function shareMemory(bytes: number): {
  readonly read: ByteBudget;
  readonly fetch: ByteBudget;
  readonly write: ByteBudget;
} {
  const quarter = Math.floor(bytes / 4);
  return { read: new ByteBudget(2 * quarter), fetch: new ByteBudget(quarter), write: new ByteBudget(quarter) };
}

function register(
  parts: WorkerParts,
  id: string,
  address: string,
  store: DiskPageStore,
  mounts: MountTable,
): Registration {
  const { options, token, timers, random, logger } = parts;
  const worker = { id, address, host: hostname(), capacityBytes: options.cacheCapacityBytes };
  return new Registration({
    store,
    mounts,
    timers,
    logger,
    connect: (listener) =>
      new RegistryLink(
        {
          masters: options.masters,
          token,
          worker,
          usage: () => store.usage(),
          heartbeatMs: options.heartbeatMs,
          timers,
          random,
          logger,
        },
        listener,
      ),
  });
}

function formatAddress(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
