import type { Role } from './effect.ts';
import type { NodeId, Term } from './position.ts';
import { Progress } from './progress.ts';
import { answerRead, failForwardedReads } from './reads.ts';
import { emit, extendLog, otherMembers, type RaftState, restartElectionTimer } from './state.ts';

/**
 * Enters a later term as a follower that knows no leader. The election timer runs on: a foreign term is no sign of
 * life.
 */
export function enterTerm(state: RaftState, term: Term): void {
  adoptTerm(state, term);
  become(state, 'follower', undefined);
}

/** Gives up whatever this node was, within its term. */
export function becomeFollower(state: RaftState, leader: NodeId | undefined): void {
  become(state, 'follower', leader);
}

/** A message of the leader of this term came. */
export function hearLeader(state: RaftState, leader: NodeId): void {
  const unsure = state.leaderLost;
  state.leaderHeard = state.now;
  state.leaderLost = false;
  state.quickCampaigns = 0;
  restartElectionTimer(state);
  if (unsure || state.role !== 'follower' || state.leader !== leader) become(state, 'follower', leader);
}

export function becomePreCandidate(state: RaftState): void {
  become(state, 'preCandidate', undefined);
}

export function becomeCandidate(state: RaftState): void {
  const { id } = state.options;
  adoptTerm(state, state.ballot.term + 1);
  state.ballot.grant(id);
  become(state, 'candidate', undefined);
}

/** Begins to lead with an empty entry of the own term: nothing older is committed by counting (Raft §5.4.2, §8). */
export function becomeLeader(state: RaftState): void {
  const { id } = state.options;
  for (const peer of otherMembers(state)) {
    state.peers.set(peer, new Progress(state.log.last.index + 1, state.now, state.options));
  }
  state.lease.begin();
  become(state, 'leader', id);
  const index = state.log.last.index + 1;
  extendLog(state, [{ term: state.ballot.term, index, kind: 'noop', bytes: new Uint8Array(0) }]);
}

/** What was promised to the leader or candidates of the old term and has not left yet is forgotten. */
function adoptTerm(state: RaftState, term: Term): void {
  state.ballot.adopt(term);
  state.owed = undefined;
  state.deferred = [];
  state.echoed = 0;
}

function become(state: RaftState, role: Role, leader: NodeId | undefined): void {
  const before = state.role;
  const led = state.leader;
  state.role = role;
  state.leader = leader;
  state.votes.clear();
  if (before === 'leader' && role !== 'leader') {
    state.peers.clear();
    state.transfer = undefined;
    for (const read of state.reads.clear()) answerRead(state, read, undefined);
  }
  if (before !== 'follower' && role === 'follower') restartElectionTimer(state);
  if (led !== leader) {
    state.leaderLost = false;
    failForwardedReads(state);
  }
  emit(state, { kind: 'roleChanged', role, term: state.ballot.term, leader });
}
