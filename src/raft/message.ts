import type { Entry } from './entry.ts';
import type { LogIndex, NodeId, Position, Term } from './position.ts';

/**
 * What members say to each other. The driver puts cluster id, sender and the sender's incarnation around it. `term` is
 * the sender's current term, except in pre-votes, where it is the term that the sender would campaign in.
 * `promiseMs`: for so long after it got the message that it answers, the sender helps nobody to replace the leader,
 * unless the leader asks for it; absent when it promises nothing.
 */
export type Message =
  | { readonly kind: 'preVote'; readonly term: Term; readonly last: Position }
  | { readonly kind: 'preVoteReply'; readonly term: Term; readonly granted: boolean; readonly commit: LogIndex }
  /** `transfer`: the leader asked for this campaign, so the "recently heard a leader" rule does not apply. */
  | { readonly kind: 'vote'; readonly term: Term; readonly last: Position; readonly transfer: boolean }
  | { readonly kind: 'voteReply'; readonly term: Term; readonly granted: boolean; readonly commit: LogIndex }
  /**
   * Entries `previous.index + 1 … last`. Leaving the core, `entries` is empty and the driver attaches them from the
   * log, or drops the frame when its log no longer has that range under `term`. Entering the core, it is complete; a
   * range that was cut to fit a frame has a smaller `last`.
   */
  | {
      readonly kind: 'append';
      readonly term: Term;
      readonly previous: Position;
      readonly last: LogIndex;
      readonly entries: readonly Entry[];
      readonly commit: LogIndex;
      readonly readPosition: number;
    }
  /** `match`: the log equals the leader's up to here, durably. `readPosition` echoes the append's. */
  | {
      readonly kind: 'appendReply';
      readonly term: Term;
      readonly match: LogIndex;
      readonly readPosition: number;
      readonly promiseMs?: number;
    }
  /**
   * `rejected`: the previous index that did not fit. `hint`: the largest position at or below it that can still match
   * (its index and the term there), so that at most one probe per term is needed.
   */
  | {
      readonly kind: 'appendReject';
      readonly term: Term;
      readonly rejected: LogIndex;
      readonly hint: Position;
      readonly readPosition: number;
      readonly promiseMs?: number;
    }
  /** `commit` never exceeds what the leader knows to match at the receiver. */
  | { readonly kind: 'heartbeat'; readonly term: Term; readonly commit: LogIndex; readonly readPosition: number }
  | {
      readonly kind: 'heartbeatReply';
      readonly term: Term;
      readonly readPosition: number;
      readonly promiseMs?: number;
    }
  /**
   * Instead of a heartbeat, to a peer that lacks entries which the leader no longer has: its log begins behind `base`.
   */
  | { readonly kind: 'snapshotOffer'; readonly term: Term; readonly base: Position; readonly readPosition: number }
  /** A follower asks for a read index on behalf of its readers; `token` is the follower's. */
  | { readonly kind: 'readIndex'; readonly term: Term; readonly token: number }
  | {
      readonly kind: 'readIndexReply';
      readonly term: Term;
      readonly token: number;
      readonly index: LogIndex;
      readonly ok: boolean;
    }
  /** The leader asks the receiver to campaign at once. */
  | { readonly kind: 'timeoutNow'; readonly term: Term };

export type MessageKind = Message['kind'];

/** A message with its ends. */
export interface Envelope {
  readonly from: NodeId;
  readonly to: NodeId;
  readonly message: Message;
}
