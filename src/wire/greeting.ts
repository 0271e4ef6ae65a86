import type { MemberInfo, Membership } from '../raft/membership.ts';
import type { LogIndex, NodeId } from '../raft/position.ts';

/** What a master says of itself to another one. */
export interface Greeting {
  /** Name of its cluster. */
  readonly cluster: string;
  /** Empty as long as it belongs to none. */
  readonly clusterId: string;
  readonly id: NodeId;
  /** Where other masters reach it. */
  readonly address: string;
  /** Where clients reach it; empty when unknown. */
  readonly clientAddress: string;
  /** The cluster goes on without it. */
  readonly removed: boolean;
  /** Of a master without a cluster: the masters that it has heard, itself included, in order. */
  readonly heard: readonly NodeId[];
  /** Of a member: the first members of the cluster, when it is one of them. */
  readonly birth: readonly MemberInfo[];
  /** Of a member: the last committed membership that it knows. */
  readonly committed: CommittedMembership | undefined;
  /** Of a member: how it times elections. */
  readonly timing: RaftTiming | undefined;
}

export interface RaftTiming {
  readonly electionTimeoutMs: number;
  readonly heartbeatMs: number;
}

export interface CommittedMembership {
  readonly membership: Membership;
  /** The membership is the one after this entry. */
  readonly applied: LogIndex;
}
