import { randomInt } from '../base/random.ts';
import type { BallotBox } from './ballot.ts';
import type { Effect, Role } from './effect.ts';
import type { Entry } from './entry.ts';
import type { ForwardedReads } from './forwarded-reads.ts';
import type { Lease } from './lease.ts';
import type { RaftLog } from './log.ts';
import { allMembers, type Membership } from './membership.ts';
import type { MembershipLog } from './membership-log.ts';
import type { Message } from './message.ts';
import type { RaftOptions } from './options.ts';
import type { LogIndex, NodeId } from './position.ts';
import type { Progress } from './progress.ts';
import type { ReadRounds } from './read-rounds.ts';
import type { SnapshotMeta } from './snapshot-meta.ts';
import type { WriteQueue } from './write-queue.ts';

/** A leadership on its way to `to`; given up at tick `deadline`. */
interface Transfer {
  readonly to: NodeId;
  readonly deadline: number;
  asked: boolean;
}

/** An acknowledgement that waits for the next write. */
interface OwedReply {
  readonly to: NodeId;
  match: LogIndex;
  readPosition: number;
}

/**
 * A follower's way to a snapshot: `fetching`: the driver brings it; `waiting`: it is here, but the last write of the
 * old log is not done; `installing`: the driver replaces state and log by it.
 */
interface SnapshotIntake {
  stage: 'fetching' | 'waiting' | 'installing';
  meta: SnapshotMeta | undefined;
}

/** All that the core knows between two steps; each file of this room changes its part. */
export interface RaftState {
  readonly options: RaftOptions;
  /** The configuration in force: the last in the log, committed or not. */
  membership: Membership;
  readonly memberships: MembershipLog;
  readonly ballot: BallotBox;
  readonly log: RaftLog;
  readonly writes: WriteQueue;
  effects: Effect[];
  role: Role;
  leader: NodeId | undefined;
  /** Ticks since the start. */
  now: number;
  /** The tick in which the leader of this term was last heard. */
  leaderHeard: number;
  /** The connection to the leader broke and nothing came from it since. */
  leaderLost: boolean;
  /** Campaigns that may still follow each other quickly because the leader was lost. */
  quickCampaigns: number;
  /** The highest read position of this term's leader that was echoed, and the tick of the last echo. */
  echoed: number;
  echoedAt: number;
  /** Campaigns put off because the own disk did not finish a write. */
  campaignsVetoed: number;
  /** The tick in which the election timer fires. */
  electionAt: number;
  /** Answers to the campaign that is running. */
  readonly votes: Map<NodeId, boolean>;
  /** Whom the leader sends to: the other members, and for a while who has just left. Empty unless this node leads. */
  readonly peers: Map<NodeId, Progress>;
  readonly reads: ReadRounds;
  readonly forwarded: ForwardedReads;
  /** As leader. */
  readonly lease: Lease;
  /** Reads that needed no round, in the life of this node. */
  leaseReads: number;
  /** When the events of this step were there, by the driver's monotonic clock, in ms. */
  timeMs: number;
  transfer: Transfer | undefined;
  intake: SnapshotIntake | undefined;
  /** What may leave only with the next write, because that contains what it promises. */
  owed: OwedReply | undefined;
  deferred: { readonly to: NodeId; readonly message: Message }[];
  /** Why this node stopped; then it does nothing any more. */
  halted: string | undefined;
}

export function emit(state: RaftState, effect: Effect): void {
  state.effects.push(effect);
}

export function send(state: RaftState, to: NodeId, message: Message): void {
  state.effects.push({ kind: 'send', to, message });
}

/** Sends once the present ballot is durable. */
export function sendWithBallot(state: RaftState, to: NodeId, message: Message): void {
  const { inFlight } = state.writes;
  if (state.ballot.changed) state.deferred.push({ to, message });
  else if (inFlight?.hasBallot) state.effects.push({ kind: 'send', to, message, after: inFlight.id });
  else send(state, to, message);
}

/** A promise that makes Raft safe is broken, here or elsewhere: better no answer than a wrong one. */
export function halt(state: RaftState, reason: string): void {
  state.halted ??= reason;
}

/** Puts entries behind the end of the log, after removing what is at `truncateFrom` and behind it. */
export function extendLog(state: RaftState, entries: readonly Entry[], truncateFrom?: LogIndex): void {
  const { log, writes, memberships } = state;
  if (truncateFrom !== undefined) {
    log.truncate(truncateFrom);
    writes.truncate(truncateFrom);
    memberships.truncate(truncateFrom);
  }
  log.append(entries);
  writes.append(entries);
  for (const entry of entries) if (entry.kind === 'config') memberships.append(entry);
  emit(state, { kind: 'stage', ...(truncateFrom === undefined ? {} : { truncateFrom }), entries });
  adoptMembership(state);
}

/** The last configuration in the log is in force from now on. */
export function adoptMembership(state: RaftState): void {
  const { memberships } = state;
  if (state.membership === memberships.current) return;
  state.membership = memberships.current;
  emit(state, { kind: 'membershipChanged', membership: memberships.current, at: memberships.at });
}

/** Whether the present term, or the vote in it, is not on disk yet. */
export function isBallotPending({ ballot, writes }: RaftState): boolean {
  return ballot.changed || writes.inFlight?.hasBallot === true;
}

/** Whether a snapshot is taking the place of the log, so that nothing may be put into it. */
export function isInstalling(state: RaftState): boolean {
  return state.intake !== undefined && state.intake.stage !== 'fetching';
}

export function isVoter(state: RaftState, node: NodeId): boolean {
  return state.membership.voters.includes(node) || state.membership.outgoing.includes(node);
}

/** All members but this one, each once, in a fixed order. */
export function otherMembers(state: RaftState): NodeId[] {
  return allMembers(state.membership).filter((node) => node !== state.options.id);
}

/** Starts the election timer anew, with a random timeout of one to two election timeouts. */
export function restartElectionTimer(state: RaftState): void {
  const { electionTicks, random } = state.options;
  state.electionAt = state.now + randomInt(random, electionTicks, 2 * electionTicks - 1);
}

/**
 * Whether a leader may rely on it that this node does not help to replace it. A node that has just started does not
 * know what it promised before, and behaves as if it did; and so does who knows the leader to be gone.
 */
export function isBound({ options, now, leaderHeard }: RaftState): boolean {
  return options.leaseMs > 0 && now - leaderHeard < options.electionTicks;
}

/** What this node promises with each answer to a leader. */
export function promise({ options }: RaftState): { readonly promiseMs?: number } {
  return options.leaseMs > 0 ? { promiseMs: options.leaseMs } : {};
}

/** Whether a living leader is known, so that nobody shall be helped to replace it. */
export function hearsLeader(state: RaftState): boolean {
  if (state.role === 'leader' || isBound(state)) return true;
  if (state.leader === undefined || state.leaderLost) return false;
  return state.now - state.leaderHeard < state.options.electionTicks;
}
