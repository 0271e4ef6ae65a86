import type { MembershipTarget } from './membership.ts';
import type { Message } from './message.ts';
import type { LogIndex, NodeId, Position, Term } from './position.ts';
import type { SnapshotMeta } from './snapshot-meta.ts';

/** Identifies a proposal to its proposer; unique in the life of the process. */
export type ProposalId = number;

/** Identifies a write to the log; grows by one with each. */
export type WriteId = number;

/** Identifies a read to its reader; unique in the life of the process. */
export type ReadToken = number;

/** Identifies a change of membership to who asked for it; unique in the life of the process. */
export type ChangeId = number;

export interface Proposal {
  readonly id: ProposalId;
  readonly bytes: Uint8Array;
}

/** Everything that can enter the core. */
export type Event =
  /** One step of logical time; never delivered in bursts. */
  | { readonly kind: 'tick' }
  | { readonly kind: 'receive'; readonly from: NodeId; readonly message: Message }
  /** `expectedTerm`: drop the proposals unless this node leads in exactly that term. */
  | { readonly kind: 'propose'; readonly proposals: readonly Proposal[]; readonly expectedTerm?: Term }
  /** Ask for a linearizable read position. */
  | { readonly kind: 'read'; readonly token: ReadToken }
  | { readonly kind: 'transferLeadership'; readonly to: NodeId }
  /**
   * Make the membership this one. `basedOn`: only if the one in force is still that of this index.
   */
  | {
      readonly kind: 'changeMembership';
      readonly id: ChangeId;
      readonly target: MembershipTarget;
      readonly basedOn?: LogIndex;
    }
  /** The one write in flight is durable. */
  | { readonly kind: 'persisted'; readonly write: WriteId }
  /** The state machine has applied everything up to here. */
  | { readonly kind: 'applied'; readonly index: LogIndex }
  /** The store has forgotten the entries up to `base`, all of which were applied. */
  | { readonly kind: 'compacted'; readonly base: Position }
  /** The snapshot that was asked for is here, complete and durable, and not in use yet. */
  | { readonly kind: 'snapshotFetched'; readonly meta: SnapshotMeta }
  /** It could not be fetched; the leader will offer one again. */
  | { readonly kind: 'snapshotFailed' }
  /** `installSnapshot` is done, durably. */
  | { readonly kind: 'snapshotInstalled'; readonly meta: SnapshotMeta }
  /**
   * The connection to the peer broke (its kernel closed it, or it cannot be dialled). About the leader it is evidence
   * enough to ask for pre-votes soon; about a follower it stops pipelining.
   */
  | { readonly kind: 'peerUnreachable'; readonly peer: NodeId }
  | { readonly kind: 'peerReachable'; readonly peer: NodeId };
