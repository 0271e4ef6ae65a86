import type { Clock, Timers } from '../base/clock.ts';
import type { ValuesOf } from '../host/config/option.ts';
import type { Logger } from '../host/logger.ts';
import type { Metrics } from '../host/metrics.ts';
import type { Closeable } from '../host/scope.ts';
import type { MountRequest } from '../model/operations.ts';
import type { DigestRound } from '../model/report.ts';
import type { RaftLimits } from '../raft/options.ts';
import type { Ufs } from '../ufs/ufs.ts';
import type { Greeting } from '../wire/greeting.ts';
import type { OperationHandlers } from '../wire/operation-handlers.ts';
import { AdminService } from './admin-service.ts';
import { Bootstrap } from './bootstrap.ts';
import { Callers, type Superusers } from './callers.ts';
import { DivergenceCheck, type DivergenceCheckParts } from './divergence-check.ts';
import { LeaderGate } from './leader-gate.ts';
import { LeaderPlacement } from './leader-placement.ts';
import { whileLeading } from './leader-service.ts';
import { type MembershipControl, MembershipService } from './membership-service.ts';
import { metadataHandlers } from './metadata-service.ts';
import { MountedChanges } from './mounted-changes.ts';
import { MovedMembers, type MovedMembersParts } from './moved-members.ts';
import { OperationMetrics } from './operation-metrics.ts';
import type { serviceOptions } from './options.ts';
import { PathLocks } from './path-locks.ts';
import { Purger } from './purger.ts';
import type { ReplicatedState } from './replicated-state.ts';
import { SessionSweeper } from './session-sweeper.ts';
import { SyncMemory } from './sync-memory.ts';
import { SyncMetrics } from './sync-metrics.ts';
import type { SyncParts } from './sync-parts.ts';
import { UfsRegistry } from './ufs-registry.ts';
import { UfsSync } from './ufs-sync.ts';
import { WorkerRegistry } from './worker-registry.ts';

export interface ServicesParts
  extends Pick<DivergenceCheckParts, 'self' | 'view' | 'ask' | 'stop' | 'condemn'>,
    Pick<MovedMembersParts, 'moved'> {
  readonly state: ReplicatedState;
  readonly journal: MembershipControl;
  readonly clusterId: string;
  readonly limits: RaftLimits;
  readonly tickMs: number;
  readonly superusers: Superusers;
  /** What a new cluster mounts at `/`. */
  readonly root: Omit<MountRequest, 'path'> | undefined;
  readonly options: ValuesOf<typeof serviceOptions>;
  readonly version: string;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** How long operations wait for a leader to become known. */
  readonly patienceMs: number;
  /** Where clients reach a member; undefined when that is not known. */
  addressOf(member: string): string | undefined;
  /** Where clients reach the masters, as far as it is known. */
  masters(): readonly string[];
  /** Asks the master at an address who it is. @throws SluiceError when it does not answer */
  hello(address: string): Promise<Greeting>;
  openUfs(uri: string, options: Readonly<Record<string, string>>): Ufs;
}

/** All that a master does on top of its journal; most of it only while it leads. */
export class MasterServices implements Closeable {
  readonly handlers: OperationHandlers;
  readonly workers: WorkerRegistry;
  readonly admin: AdminService;
  readonly membership: MembershipService;
  readonly divergence: DivergenceCheck;
  /** Compares the states of all masters now. @throws SluiceError NOT_LEADER, UNAVAILABLE */
  readonly compare: () => Promise<DigestRound>;
  readonly #closing: readonly (() => Promise<void> | void)[];

  constructor(parts: ServicesParts) {
    const { state, clusterId, options, clock, timers, log, metrics, version } = parts;
    const callers = new Callers(parts.superusers);
    const { system } = callers;
    const { addressOf, patienceMs } = parts;
    const gate = new LeaderGate({ state, timers, patienceMs, addressOf, masters: parts.masters });
    const ufs = new UfsRegistry({ state, log, open: async (uri, settings) => parts.openUfs(uri, settings) });
    const memory = new SyncMemory(clock);
    const sync: SyncParts = {
      state,
      ufs,
      locks: new PathLocks(),
      memory,
      timers,
      log,
      metrics: new SyncMetrics(metrics),
      system,
      blockSizeBytes: options.blockSize,
      ufsTimeoutMs: options.ufsTimeout,
    };
    const ufsSync = new UfsSync(sync);
    const mounted = new MountedChanges(sync, ufsSync, clock);
    const stopMemory = whileLeading(state, { began: () => memory.clear(), ended: () => undefined });
    const { workerTimeout: timeoutMs, workerRemoval: removalMs } = options;
    this.workers = new WorkerRegistry({ state, gate, system, clock, timers, log, metrics, timeoutMs, removalMs });
    this.handlers = metadataHandlers({
      state,
      gate,
      callers,
      sync: ufsSync,
      mounted,
      metrics: new OperationMetrics(metrics, clock),
      clock,
      blockSizeBytes: options.blockSize,
      workers: () => this.workers.list(),
    });
    this.divergence = new DivergenceCheck({
      self: parts.self,
      state,
      system,
      version,
      intervalMs: options.digestInterval,
      share: options.digestShare / 100,
      clock,
      timers,
      log,
      metrics,
      view: parts.view,
      ask: parts.ask,
      stop: parts.stop,
      condemn: parts.condemn,
    });
    this.compare = () => gate.guarded(() => this.divergence.compare());
    this.membership = new MembershipService({ ...parts, cluster: options.cluster, gate });
    this.admin = new AdminService({ state, gate, workers: this.workers, clock, version });
    const placement = new LeaderPlacement(parts);
    const moved = new MovedMembers(parts);
    const purger = new Purger({ state, system, clock, timers, log, metrics });
    const sweeper = new SessionSweeper({ state, system, timers, log, idleMs: options.sessionIdle });
    const group = options.supergroup === '' ? system.user : options.supergroup;
    const bootstrap = new Bootstrap({ state, mounted, system, timers, log, clusterId, group, root: parts.root });
    this.#closing = [
      () => placement.close(),
      () => moved.close(),
      () => this.divergence.close(),
      () => bootstrap.close(),
      () => sweeper.close(),
      () => purger.close(),
      () => this.workers.close(),
      stopMemory,
      () => ufs.close(),
    ];
  }

  async close(): Promise<void> {
    for (const close of this.#closing) await close();
  }
}
