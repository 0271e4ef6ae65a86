import type { Entry } from './entry.ts';
import type { ChangeId, ProposalId, ReadToken, WriteId } from './event.ts';
import type { Membership } from './membership.ts';
import type { Message } from './message.ts';
import type { LogIndex, NodeId, Position, Term } from './position.ts';
import type { SnapshotMeta } from './snapshot-meta.ts';

export type Role = 'follower' | 'preCandidate' | 'candidate' | 'leader';

/** The term this node is in and whom it voted for in it; changed in one durable record. */
export interface Ballot {
  readonly term: Term;
  readonly votedFor: NodeId | undefined;
}

/**
 * Why a proposal did not enter the log: this node does not lead (or not in the expected term), it is handing leadership
 * over, or it holds as many uncommitted entries as it may.
 */
export type DropReason = 'notLeader' | 'transferring' | 'overloaded';

/**
 * Why a change of membership was not begun: as for proposals; nothing of the own term is committed yet; another change
 * is under way (or the membership is not the one that the change was based on); a new voter is not a learner yet that
 * has nearly everything; most of the voters are not heard now; nobody could live with it.
 */
export type ChangeRefusal =
  | 'notLeader'
  | 'transferring'
  | 'notReady'
  | 'changing'
  | 'notCaughtUp'
  | 'noQuorum'
  | 'invalid';

/**
 * Everything that can leave the core, to be performed in order, with these freedoms and bounds:
 * - `stage`: the log changed, in memory: these entries belong to it from now on. The driver keeps them readable for
 *   sends until a `write` that contains them is done. Every entry is staged once, before a message names it.
 * - `write`: at most one is in flight; the core issues the next only after `persisted`. Ballot, truncation and entries
 *   of one write are one atomic, synced record.
 * - `send` without `after` may leave at once, beside a running write; with `after` only when that write is durable.
 * - `apply` names committed entries that are durable here.
 * - Everything asked for by a client is answered exactly once, by `settle`, `membershipSettled`, `readReady` or
 *   `readFailed`.
 * - Between `installSnapshot` and the event `snapshotInstalled` nothing is staged, written or to be applied.
 */
export type Effect =
  /** Entries from `truncateFrom` on are no longer part of the log; then `entries` are added. */
  | { readonly kind: 'stage'; readonly truncateFrom?: LogIndex; readonly entries: readonly Entry[] }
  | {
      readonly kind: 'write';
      readonly id: WriteId;
      readonly ballot?: Ballot;
      /** Remove entries from here on before `entries` are added. */
      readonly truncateFrom?: LogIndex;
      readonly entries: readonly Entry[];
      /** Commit index known now; stored with the ballot, so that a lost tail is noticed at the next open. */
      readonly commit: LogIndex;
    }
  | { readonly kind: 'send'; readonly to: NodeId; readonly message: Message; readonly after?: WriteId }
  | { readonly kind: 'apply'; readonly from: LogIndex; readonly to: LogIndex }
  /** The state machine must have applied `index` before the read is served. */
  | { readonly kind: 'readReady'; readonly token: ReadToken; readonly index: LogIndex }
  | { readonly kind: 'readFailed'; readonly token: ReadToken; readonly leader: NodeId | undefined }
  /**
   * `accepted`: the entry has this position now. It is committed when it is applied here. When a `stage` removes it
   * from this log, or a snapshot passes it, its fate is unknown: it may be committed through another member. One of
   * these comes, while this node lives and hears a leader. `dropped`: never entered the log; `leader` is who may accept
   * it.
   */
  | { readonly kind: 'settle'; readonly proposal: ProposalId; readonly fate: 'accepted'; readonly at: Position }
  | {
      readonly kind: 'settle';
      readonly proposal: ProposalId;
      readonly fate: 'dropped';
      readonly reason: DropReason;
      readonly leader: NodeId | undefined;
    }
  /** `accepted`: the change begins with the entry `at`, and ends when a configuration that is not joint is applied. */
  | { readonly kind: 'membershipSettled'; readonly id: ChangeId; readonly fate: 'accepted'; readonly at: Position }
  | {
      readonly kind: 'membershipSettled';
      readonly id: ChangeId;
      readonly fate: 'dropped';
      readonly reason: ChangeRefusal;
      /** For people: what is wrong. */
      readonly why: string;
      readonly leader: NodeId | undefined;
    }
  /** Another membership is in force, committed or not: these are to be connected with. */
  | { readonly kind: 'membershipChanged'; readonly membership: Membership; readonly at: LogIndex }
  /** The leader no longer has what this log lacks: bring a snapshot of its state, or somebody's, and say so. */
  | { readonly kind: 'fetchSnapshot'; readonly from: NodeId }
  /**
   * Replace state machine and log by the snapshot that was fetched. `keepLog`: the log continues it, so it stays and
   * only the state is replaced; otherwise the log begins anew behind it.
   */
  | { readonly kind: 'installSnapshot'; readonly meta: SnapshotMeta; readonly keepLog: boolean }
  /** The snapshot that was fetched is of no use any more. */
  | { readonly kind: 'discardSnapshot' }
  | { readonly kind: 'roleChanged'; readonly role: Role; readonly term: Term; readonly leader: NodeId | undefined }
  /**
   * The leader has asked this member to take over at once: it accepts nothing more, and who asks for the leader is
   * better sent there. Undefined: nobody took over in time, and this node leads on. A change of role ends it, too.
   */
  | { readonly kind: 'handingOver'; readonly to: NodeId | undefined }
  /** A promise was broken: stop the process, answer nobody. */
  | { readonly kind: 'halt'; readonly reason: string };
