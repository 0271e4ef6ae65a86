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
  askToCampaign(state, transfer.to);
  emit(state, { kind: 'handingOver', to: transfer.to });
}

/**
 * Time passed while leadership is handed over: the successor is asked again, because nobody is served until it has
 * heard; after an election timeout it is taken for unable, and this node leads on.
 */
export function tickTransfer(state: RaftState): void {
  const { transfer } = state;
  if (transfer === undefined) return;
  if (state.now >= transfer.deadline) {
    state.transfer = undefined;
    emit(state, { kind: 'handingOver', to: undefined });
  } else if (transfer.asked) askToCampaign(state, transfer.to);
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
  if (best !== undefined) askToCampaign(state, best);
  becomeFollower(state, undefined);
}

function askToCampaign(state: RaftState, successor: NodeId): void {
  send(state, successor, { kind: 'timeoutNow', term: state.ballot.term });
}
