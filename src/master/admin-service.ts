import type { Clock } from '../base/clock.ts';
import type { ClusterReport, QuorumInfo } from '../model/report.ts';
import type { LeaderGate } from './leader-gate.ts';
import type { ReplicatedState } from './replicated-state.ts';
import type { WorkerRegistry } from './worker-registry.ts';

export interface AdminParts {
  readonly state: ReplicatedState;
  readonly gate: LeaderGate;
  readonly workers: WorkerRegistry;
  readonly clock: Clock;
  /** Version of the program. */
  readonly version: string;
}

/** What operators ask: any master tells how it sees the quorum, the leader reports on the cluster. */
export class AdminService {
  readonly #parts: AdminParts;
  readonly #startedMs: number;

  constructor(parts: AdminParts) {
    this.#parts = parts;
    this.#startedMs = parts.clock.monotonicMs();
  }

  quorum(): QuorumInfo {
    return this.#parts.state.quorum();
  }

  /** @throws SluiceError NOT_LEADER, UNAVAILABLE */
  readonly report: () => Promise<ClusterReport> = () => this.#parts.gate.guarded(() => this.#report());

  /** Hands leadership to `to`, or to the most advanced master. @returns who leads then. @throws as the journal does */
  readonly transfer: (to: string | undefined) => Promise<string> = (to) =>
    this.#parts.gate.guarded(() => this.#parts.state.transferLeadership(to));

  async #report(): Promise<ClusterReport> {
    const { state, workers, clock, version } = this.#parts;
    await state.barrier();
    const { workers: list } = await workers.list();
    return {
      quorum: state.quorum(),
      version,
      uptimeMs: Math.round(clock.monotonicMs() - this.#startedMs),
      inodeCount: state.state.get('counters', '')?.inodeCount ?? 0,
      mountCount: state.state.get('mountIndex', '')?.mounts.length ?? 0,
      workers: list,
    };
  }
}
