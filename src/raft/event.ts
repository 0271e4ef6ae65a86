import type { Message } from './message.ts';
import type { LogIndex, NodeId, Term } from './position.ts';

/** Identifies a proposal to its proposer; unique in the life of the process. */
export type ProposalId = number;

/** Identifies a write to the log; grows by one with each. */
export type WriteId = number;

/** Identifies a read to its reader; unique in the life of the process. */
export type ReadToken = number;

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
  /** The one write in flight is durable. */
  | { readonly kind: 'persisted'; readonly write: WriteId }
  /** The state machine has applied everything up to here. */
  | { readonly kind: 'applied'; readonly index: LogIndex }
  /**
   * The connection to the peer broke (its kernel closed it, or it cannot be dialled). About the leader it is evidence
   * enough to ask for pre-votes soon; about a follower it stops pipelining.
   */
  | { readonly kind: 'peerUnreachable'; readonly peer: NodeId }
  | { readonly kind: 'peerReachable'; readonly peer: NodeId };
