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

/** Digest of the whole replicated state of one master, as one entry left it. */
export interface StateDigest {
  readonly member: string;
  /** The entry. */
  readonly index: number;
  /** SHA-256 of all rows, in hex. */
  readonly digest: string;
  readonly rows: number;
  /** The digest of each table, to tell where states differ. */
  readonly tables: readonly { readonly table: string; readonly digest: string }[];
  /** Version of the program: others may encode rows otherwise, and cannot be compared. */
  readonly version: string;
}

/** What came of comparing the states of all masters. */
export interface DigestRound {
  /** The entry at which they were compared. */
  readonly index: number;
  /** `incomplete`: those that could be compared are the same. */
  readonly outcome: 'same' | 'different' | 'incomplete';
  readonly reports: readonly {
    readonly member: string;
    readonly digest: StateDigest | undefined;
    /** Why there is none. */
    readonly missing?: string;
  }[];
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
