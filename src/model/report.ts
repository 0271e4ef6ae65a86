import type { WorkerStatus } from './worker.ts';

/** One member as another sees it. */
export interface QuorumMember {
  /** Its name. */
  readonly id: string;
  /** Tells it from all others that ever had its name. */
  readonly identity: string;
  /** Where the other masters reach it. */
  readonly address: string;
  /** Where clients reach it; empty when unknown. */
  readonly clientAddress: string;
  readonly role: 'leader' | 'follower' | 'candidate' | 'preCandidate' | 'learner' | 'unknown';
  /** `joining` and `leaving`: a change of the voters is under way, in which both count. */
  readonly vote: 'voter' | 'learner' | 'joining' | 'leaving';
  /** Leadership goes to the highest that is alive and caught up. */
  readonly priority: number;
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
  /** A change of the members is not committed yet, or not at its end. */
  readonly changing: boolean;
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
