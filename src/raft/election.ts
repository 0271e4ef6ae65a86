import { randomInt } from '../base/random.ts';
import type { Message } from './message.ts';
import { isUpToDate, type NodeId } from './position.ts';
import { voteOutcome } from './quorum.ts';
import { failForwardedReads } from './reads.ts';
import { becomeCandidate, becomeFollower, becomeLeader, becomePreCandidate } from './role.ts';
import {
  emit,
  hearsLeader,
  isBound,
  isInstalling,
  type RaftState,
  restartElectionTimer,
  send,
  sendWithBallot,
} from './state.ts';

/** Campaigns that follow each other within a few ticks, after the connection to the leader broke. */
const QUICK_CAMPAIGNS = 4;
/** The longest wait, in ticks, before the first of them. */
const QUICK_TICKS = 3;

/** Time passed in a node that does not lead. */
export function tickElection(state: RaftState): void {
  if (state.now < state.electionAt) return;
  const { inFlight } = state.writes;
  const stalled = inFlight !== undefined && state.now - inFlight.since > state.options.electionTicks;
  // A vote for itself could not become durable: let others campaign. Nor does a campaign give way to another one before
  // its vote is durable and was heard: on a slow disk no campaign would ever end.
  const idle = isInstalling(state) || isBound(state) || !state.memberships.mayCampaign(state.options.id);
  const vetoed = !idle && (stalled || inFlight?.hasBallot === true);
  if (vetoed) state.campaignsVetoed += 1;
  if (!vetoed && !idle) {
    askPreVotes(state);
    return;
  }
  // Nobody is sent to a leader that is gone, whoever may replace it.
  if (state.leader !== undefined) becomeFollower(state, undefined);
  restartElectionTimer(state);
}

/**
 * The connection to the leader broke. That is reason enough to ask the others whether they miss it too; they refuse
 * while they hear it, so that a broken cable here disturbs nobody.
 */
export function loseLeader(state: RaftState): void {
  if (state.role !== 'follower' || state.leaderLost) return;
  state.leaderLost = true;
  // Who has promised to wait waits.
  if (!isBound(state)) {
    state.quickCampaigns = QUICK_CAMPAIGNS;
    state.electionAt = Math.min(state.electionAt, state.now + randomInt(state.options.random, 1, QUICK_TICKS));
  }
  failForwardedReads(state);
  // Whoever asks for the leader is better told that nobody is known than sent to one that is gone.
  emit(state, { kind: 'roleChanged', role: 'follower', term: state.ballot.term, leader: undefined });
}

/** The leader hands over: campaign at once, without asking whether others still hear it. */
export function handleTimeoutNow(state: RaftState, from: NodeId): void {
  if (state.role !== 'follower' || state.leader !== from || isInstalling(state)) return;
  if (state.memberships.mayCampaign(state.options.id)) campaign(state, true);
}

export function handlePreVote(state: RaftState, from: NodeId, message: Extract<Message, { kind: 'preVote' }>): void {
  const { ballot, log } = state;
  const granted = message.term > ballot.term && isUpToDate(message.last, log.last) && !hearsLeader(state);
  // A refusal carries the own term, so that a candidate from a smaller one can catch up.
  const term = granted ? message.term : ballot.term;
  send(state, from, { kind: 'preVoteReply', term, granted, commit: log.commit });
  if (!granted || state.role !== 'preCandidate' || message.term !== ballot.term + 1) return;
  // Two ask at the same time and could split the votes: the better log goes on, or the smaller name among equals.
  const equal = isUpToDate(log.last, message.last);
  if (equal && state.options.id < from) return;
  becomeFollower(state, undefined);
  setRetryTimer(state);
}

export function handlePreVoteReply(
  state: RaftState,
  from: NodeId,
  message: Extract<Message, { kind: 'preVoteReply' }>,
): void {
  if (state.role !== 'preCandidate') return;
  if (message.granted !== (message.term === state.ballot.term + 1)) return;
  recordVote(state, from, message.granted);
  const outcome = voteOutcome(state.membership, (voter) => state.votes.get(voter));
  if (outcome === 'won') campaign(state, false);
  else if (outcome === 'lost') {
    becomeFollower(state, undefined);
    setRetryTimer(state);
  }
}

/** The message's term is the own one. */
export function handleVote(state: RaftState, from: NodeId, message: Extract<Message, { kind: 'vote' }>): void {
  const { ballot, log } = state;
  const term = ballot.term;
  const bound = isBound(state) && !message.transfer;
  const free = ballot.votedFor === from || (ballot.mayGrant(from) && state.leader === undefined);
  if (bound || !free || !isUpToDate(message.last, log.last)) {
    send(state, from, { kind: 'voteReply', term, granted: false, commit: log.commit });
    return;
  }
  if (state.role === 'preCandidate') becomeFollower(state, undefined);
  ballot.grant(from);
  restartElectionTimer(state);
  sendWithBallot(state, from, { kind: 'voteReply', term, granted: true, commit: log.commit });
}

export function handleVoteReply(
  state: RaftState,
  from: NodeId,
  message: Extract<Message, { kind: 'voteReply' }>,
): void {
  if (state.role === 'candidate') countVote(state, from, message.granted);
}

/** A write with a ballot is durable: a candidate's vote for itself counts from now on. */
export function countOwnVote(state: RaftState): void {
  if (state.role !== 'candidate' || state.ballot.changed) return;
  setCampaignTimer(state);
  countVote(state, state.options.id, true);
}

function countVote(state: RaftState, from: NodeId, granted: boolean): void {
  recordVote(state, from, granted);
  const outcome = voteOutcome(state.membership, (voter) => state.votes.get(voter));
  if (outcome === 'won') becomeLeader(state);
  else if (outcome === 'lost') becomeFollower(state, undefined);
}

/** The first answer of a voter stands. */
function recordVote(state: RaftState, from: NodeId, granted: boolean): void {
  if (!state.votes.has(from)) state.votes.set(from, granted);
}

function askPreVotes(state: RaftState): void {
  const { options, ballot, log } = state;
  becomePreCandidate(state);
  setRetryTimer(state);
  state.votes.set(options.id, true);
  if (voteOutcome(state.membership, (voter) => state.votes.get(voter)) === 'won') {
    campaign(state, false);
    return;
  }
  for (const voter of otherVoters(state)) {
    send(state, voter, { kind: 'preVote', term: ballot.term + 1, last: log.last });
  }
}

function campaign(state: RaftState, transfer: boolean): void {
  becomeCandidate(state);
  setCampaignTimer(state);
  // The requests wait for the own vote: were it lost in a crash, this node could campaign twice in one term.
  for (const voter of otherVoters(state)) {
    sendWithBallot(state, voter, { kind: 'vote', term: state.ballot.term, last: state.log.last, transfer });
  }
}

/** How long a campaign may take; counted from when its requests leave, which is when the own vote is durable. */
function setCampaignTimer(state: RaftState): void {
  const { electionTicks, random } = state.options;
  state.electionAt = state.now + randomInt(random, Math.ceil(electionTicks / 2), 2 * electionTicks - 1);
}

function otherVoters(state: RaftState): NodeId[] {
  const { voters, outgoing } = state.membership;
  return [...new Set([...voters, ...outgoing])].filter((voter) => voter !== state.options.id);
}

/** After a lost leader a few campaigns may follow each other quickly; others may notice the loss a little later. */
function setRetryTimer(state: RaftState): void {
  if (state.quickCampaigns === 0) {
    restartElectionTimer(state);
    return;
  }
  state.quickCampaigns -= 1;
  state.electionAt = state.now + randomInt(state.options.random, 2, 2 * QUICK_TICKS);
}
