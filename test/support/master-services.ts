import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLogger } from '../../src/host/logger.ts';
import { Metrics } from '../../src/host/metrics.ts';
import { Callers } from '../../src/master/callers.ts';
import { LeaderGate } from '../../src/master/leader-gate.ts';
import { metadataHandlers } from '../../src/master/metadata-service.ts';
import { MountedChanges } from '../../src/master/mounted-changes.ts';
import { OperationMetrics } from '../../src/master/operation-metrics.ts';
import { PathLocks } from '../../src/master/path-locks.ts';
import { SyncMemory } from '../../src/master/sync-memory.ts';
import { SyncMetrics } from '../../src/master/sync-metrics.ts';
import { UfsRegistry } from '../../src/master/ufs-registry.ts';
import { UfsSync } from '../../src/master/ufs-sync.ts';
import { WorkerRegistry } from '../../src/master/worker-registry.ts';
import type { OperationName, Operations, RequestId } from '../../src/model/operations.ts';
import type { Principal } from '../../src/model/principal.ts';
import { LocalUfs } from '../../src/ufs/local-ufs.ts';
import type { OperationHandlers } from '../../src/wire/operation-handlers.ts';
import { FaultyUfs } from './faulty-ufs.ts';
import { LocalState, type SharedState, sharedState } from './local-state.ts';
import { ManualTime } from './manual-time.ts';

export const ADDRESSES: Readonly<Record<string, string>> = { m1: 'one:19998', m2: 'two:19998' };
const UFS_TIMEOUT_MS = 5_000;
export const PATIENCE_MS = 100;

/** All services of one master over a journal of one, with real directories as under storages. */
export class MasterServices {
  readonly time: ManualTime;
  readonly state: LocalState;
  readonly shared: SharedState;
  readonly locks = new PathLocks();
  readonly registry: UfsRegistry;
  readonly sync: UfsSync;
  readonly mounted: MountedChanges;
  readonly workers: WorkerRegistry;
  readonly handlers: OperationHandlers;
  readonly gate: LeaderGate;
  readonly metrics = new Metrics();
  /** Opened under storages, by URI. */
  readonly opened = new Map<string, FaultyUfs>();
  /** Where `ufs(name)` are. */
  readonly folder: string;
  readonly #ownFolder: boolean;

  constructor(options: { readonly successorOf?: MasterServices; readonly format?: boolean } = {}) {
    const before = options.successorOf;
    this.time = before?.time ?? new ManualTime();
    this.shared = before?.shared ?? sharedState();
    this.#ownFolder = before === undefined;
    this.folder = before?.folder ?? mkdtempSync(join(tmpdir(), 'sluice-master-'));
    this.state = new LocalState(this.time, { shared: this.shared, format: options.format ?? true });
    const log = createLogger('silent', {});
    const callers = new Callers({ user: 'root', group: 'admins' });
    this.gate = new LeaderGate({
      state: this.state,
      timers: this.time,
      patienceMs: PATIENCE_MS,
      addressOf: (member) => ADDRESSES[member],
    });
    this.registry = new UfsRegistry({ state: this.state, log, open: async (uri) => this.#open(uri) });
    const parts = {
      state: this.state,
      ufs: this.registry,
      locks: this.locks,
      memory: new SyncMemory(this.time),
      timers: this.time,
      log,
      metrics: new SyncMetrics(this.metrics),
      system: callers.system,
      blockSizeBytes: 64 * 2 ** 20,
      ufsTimeoutMs: UFS_TIMEOUT_MS,
    };
    this.sync = new UfsSync(parts);
    this.mounted = new MountedChanges(parts, this.sync, this.time);
    this.workers = new WorkerRegistry({
      state: this.state,
      gate: this.gate,
      system: callers.system,
      clock: this.time,
      timers: this.time,
      log,
      metrics: this.metrics,
      timeoutMs: 10_000,
      removalMs: 60_000,
      forgetMax: 100,
    });
    this.handlers = metadataHandlers({
      state: this.state,
      gate: this.gate,
      callers,
      sync: this.sync,
      mounted: this.mounted,
      metrics: new OperationMetrics(this.metrics, this.time),
      clock: this.time,
      blockSizeBytes: 64 * 2 ** 20,
      workers: () => this.workers.list(),
    });
  }

  /** Asks for an operation as `user`, with `requestId` when it is to be retried. */
  ask<N extends OperationName>(
    name: N,
    request: Operations[N]['request'],
    by: {
      readonly user?: string;
      readonly requestId?: RequestId;
      readonly signal?: AbortSignal;
      readonly anyMaster?: boolean;
    } = {},
  ): Promise<Operations[N]['reply']> {
    const { user = 'root', signal = new AbortController().signal, requestId, anyMaster = false } = by;
    const context = { principal: { user, groups: [user] } satisfies Principal, signal, anyMaster };
    return this.handlers[name](request, requestId === undefined ? context : { ...context, requestId });
  }

  /** Mounts a directory of this machine and answers how it is reached. */
  async mount(
    path: string,
    directory: string,
    options: { readonly syncIntervalMs?: number; readonly readOnly?: boolean } = {},
  ): Promise<FaultyUfs> {
    const { syncIntervalMs = -1, readOnly = false } = options;
    const uri = `file://${directory}`;
    await this.ask('mount', { path, uri, options: {}, readOnly, syncIntervalMs });
    return this.ufsAt(uri);
  }

  /** The under storage that was opened last for an address. */
  ufsAt(uri: string): FaultyUfs {
    const ufs = this.opened.get(uri);
    if (ufs === undefined) throw new Error(`${uri} was never opened`);
    return ufs;
  }

  async close(): Promise<void> {
    this.workers.close();
    await this.registry.close();
    if (this.#ownFolder) rmSync(this.folder, { recursive: true, force: true });
  }

  #open(uri: string): FaultyUfs {
    const ufs = new FaultyUfs(new LocalUfs(uri.slice('file://'.length), createLogger('silent', {})));
    this.opened.set(uri, ufs);
    return ufs;
  }
}
