import { unreachable } from '../base/assert.ts';
import { mayCommit } from './commit-rule.ts';
import type { ChangeRefusal } from './effect.ts';
import type { Event } from './event.ts';
import { allMembers, enter, isJoint, leave, type Membership, type MembershipTarget, unsound } from './membership.ts';
import { encodeMembership } from './membership-codec.ts';
import { Progress } from './progress.ts';
import { quorumValue } from './quorum.ts';
import { emit, extendLog, type RaftState } from './state.ts';
import { resign } from './transfer.ts';

type Change = Extract<Event, { kind: 'changeMembership' }>;

/**
 * Begins a change of membership, by joint consensus (Raft §6; thesis §4.3): one at a time, and only by a leader that
 * has committed an entry of its own term, without which two changes could count disjoint majorities (Ongaro, raft-dev
 * 2015).
 */
export function handleChange(state: RaftState, { id, target, basedOn }: Change): void {
  const reason = refusalOf(state, target, basedOn);
  if (reason !== undefined) {
    const why = explain(state, reason, target);
    emit(state, { kind: 'membershipSettled', id, fate: 'dropped', reason, why, leader: state.leader });
    return;
  }
  const index = state.log.last.index + 1;
  emit(state, { kind: 'membershipSettled', id, fate: 'accepted', at: { term: state.ballot.term, index } });
  appendMembership(state, enter(state.membership, target));
}

/** Leader: ends a joint configuration once it is committed, and its own leadership once it is no voter any more. */
export function pursueChange(state: RaftState): void {
  const { memberships, membership, log, options, ballot } = state;
  forgetLeft(state);
  if (memberships.at > log.commit || !mayCommit(log, log.commit, ballot.term)) return;
  if (isJoint(membership)) {
    if (state.transfer === undefined) appendMembership(state, leave(membership));
  } else if (!membership.voters.includes(options.id) && log.applied >= memberships.at) resign(state);
}

function appendMembership(state: RaftState, membership: Membership): void {
  const { log, ballot, options } = state;
  const index = log.last.index + 1;
  extendLog(state, [{ term: ballot.term, index, kind: 'config', bytes: encodeMembership(membership) }]);
  const members = new Set(allMembers(membership));
  for (const [peer, progress] of state.peers) {
    if (members.has(peer)) progress.leaving = undefined;
    else progress.leaving ??= { at: index, deadline: Number.POSITIVE_INFINITY };
  }
  for (const peer of members) {
    if (peer === options.id || state.peers.has(peer)) continue;
    state.peers.set(peer, new Progress(index + 1, state.now, options));
  }
}

/** Who has left is told so, more than once because messages get lost; but it is not waited for. */
function forgetLeft({ peers, log, now, options }: RaftState): void {
  for (const [peer, { leaving }] of peers) {
    if (leaving === undefined || leaving.at > log.commit) continue;
    leaving.deadline = Math.min(leaving.deadline, now + 2 * options.electionTicks);
    if (now >= leaving.deadline) peers.delete(peer);
  }
}

function refusalOf(state: RaftState, target: MembershipTarget, basedOn: number | undefined): ChangeRefusal | undefined {
  const { log, ballot, memberships, membership } = state;
  if (state.role !== 'leader') return 'notLeader';
  if (state.transfer !== undefined) return 'transferring';
  if (!mayCommit(log, log.commit, ballot.term)) return 'notReady';
  if (memberships.at > log.commit || isJoint(membership)) return 'changing';
  if (basedOn !== undefined && basedOn !== memberships.at) return 'changing';
  if (unsound(target) !== undefined) return 'invalid';
  if (laggard(state, target) !== undefined) return 'notCaughtUp';
  return hearsQuorum(state, enter(membership, target)) ? undefined : 'noQuorum';
}

/** Whether this leader could go on under another membership. */
function hearsQuorum({ peers, options, now }: RaftState, membership: Membership): boolean {
  const heard = quorumValue(membership, (voter) => (voter === options.id ? now : (peers.get(voter)?.lastHeard ?? 0)));
  return now - heard <= options.electionTicks;
}

/** A voter to be that would hold up commits, because it is no learner yet or has not nearly everything. */
function laggard(state: RaftState, { voters }: MembershipTarget): string | undefined {
  const { membership, peers, log, options, now } = state;
  return voters.find((voter) => {
    if (membership.voters.includes(voter)) return false;
    const progress = peers.get(voter);
    if (progress?.state !== 'replicate' || !membership.learners.includes(voter)) return true;
    if (now - progress.lastHeard >= options.electionTicks || progress.match + 1 < log.sizes.first) return true;
    return log.sizes.bytesAfter(progress.match) > options.maxFrameBytes;
  });
}

function explain(state: RaftState, reason: ChangeRefusal, target: MembershipTarget): string {
  switch (reason) {
    case 'notLeader':
      return 'this member does not lead';
    case 'transferring':
      return 'leadership is being handed over';
    case 'notReady':
      return 'the leader has not committed anything yet';
    case 'changing':
      return 'another change of the membership is under way, or came before';
    case 'notCaughtUp':
      return `${laggard(state, target)} must first be a learner that is alive and has nearly the whole log`;
    case 'noQuorum':
      return 'too few of the voters to be are alive';
    case 'invalid':
      return unsound(target) ?? 'it is not sound';
    default:
      return unreachable(reason);
  }
}
