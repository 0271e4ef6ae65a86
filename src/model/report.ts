import type { WorkerStatus } from './worker.ts';

/** One member as another sees it. */
export interface QuorumMember {
  readonly id: string;
  readonly address: string;
  readonly role: 'leader' | 'follower' | 'candidate' | 'preCandidate' | 'learner' | 'unknown';
  /** Largest log index known to be durable there; -1 when unknown. */
  readonly matchIndex: number;
  /** Since this master heard of it; -1 never, 0 itself. */
  readonly lastContactMs: number;
}

/** Raft's state as one master sees it. */
export interface QuorumInfo {
  readonly clusterId: string;
  readonly self: string;
  /** Empty when unknown. */
  readonly leader: string;
  readonly term: number;
  readonly commitIndex: number;
  readonly appliedIndex: number;
  readonly lastIndex: number;
  readonly members: readonly QuorumMember[];
}

/** `sluice admin report`. */
export interface ClusterReport {
  readonly quorum: QuorumInfo;
  readonly version: string;
  readonly uptimeMs: number;
  readonly inodeCount: number;
  readonly mountCount: number;
  readonly workers: readonly WorkerStatus[];
}
