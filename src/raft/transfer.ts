import type { NodeId } from './position.ts';
import { becomeFollower } from './role.ts';
import { emit, isVoter, type RaftState, send } from './state.ts';

/** Begins to hand leadership over; ignored unless this node leads and `to` is another voter. */
export function handleTransfer(state: RaftState, to: NodeId): void {
  if (state.role !== 'leader' || to === state.options.id || state.transfer?.to === to) return;
  if (!state.membership.voters.includes(to)) return;
  state.transfer = { to, deadline: state.now + state.options.electionTicks, asked: false };
}

/**
 * Asks the successor to campaign as soon as it holds the whole log. Proposals are refused meanwhile, so that it can.
 */
export function pursueTransfer(state: RaftState): void {
  const { transfer, log } = state;
  if (transfer === undefined || transfer.asked || state.peers.get(transfer.to)?.match !== log.last.index) return;
  transfer.asked = true;
  state.lease.giveUp();
  send(state, transfer.to, { kind: 'timeoutNow', term: state.ballot.term });
  emit(state, { kind: 'handingOver', to: transfer.to });
}

/** After an election timeout the successor is taken for unable, and this node leads on. */
export function expireTransfer(state: RaftState): void {
  if (state.transfer === undefined || state.now < state.transfer.deadline) return;
  state.transfer = undefined;
  emit(state, { kind: 'handingOver', to: undefined });
}

/** This node's disk hangs: let the voter that holds most of the log campaign, and do not lead on. */
export function resign(state: RaftState): void {
  let best: NodeId | undefined;
  let held = -1;
  for (const [peer, progress] of state.peers) {
    const alive = state.now - progress.lastHeard < state.options.electionTicks;
    if (!alive || !isVoter(state, peer) || progress.match <= held) continue;
    best = peer;
    held = progress.match;
  }
  if (best !== undefined) send(state, best, { kind: 'timeoutNow', term: state.ballot.term });
  becomeFollower(state, undefined);
}
