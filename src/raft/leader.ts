import { renewLease } from './lease-reads.ts';
import { quorumValue } from './quorum.ts';
import { becomeFollower } from './role.ts';
import { isVoter, type RaftState } from './state.ts';
import { resign, tickTransfer } from './transfer.ts';

/** How much longer a write may take when the disks of the others are no faster. */
const ALL_SLOW = 8;

/** Time passed in the leader. */
export function tickLeader(state: RaftState): void {
  const { options, membership, now } = state;
  const heardByQuorum = quorumValue(membership, (voter) =>
    voter === options.id ? now : (state.peers.get(voter)?.lastHeard ?? 0),
  );
  // Check-quorum: who cannot reach a quorum must not keep the others, or its clients, waiting.
  if (now - heardByQuorum > options.electionTicks) {
    becomeFollower(state, undefined);
    return;
  }
  const writing = state.writes.inFlight;
  // Where all share a slow disk, a change of leaders heals nothing and costs an election: another must have shown that
  // its disk is better. When nobody does, this one is not waited for without end either.
  const stalledTicks = writing === undefined ? 0 : now - writing.since;
  const patience = isOvertaken(state) ? options.stalledWriteTicks : ALL_SLOW * options.stalledWriteTicks;
  if (stalledTicks > patience) {
    resign(state);
    return;
  }
  tickTransfer(state);
  if (now % options.heartbeatTicks !== 0) return;
  renewLease(state);
  for (const progress of state.peers.values()) progress.heartbeatDue = true;
}

/** Whether another voter holds entries that are not on this node's disk yet. */
function isOvertaken(state: RaftState): boolean {
  for (const [peer, { match }] of state.peers) if (match > state.log.durable && isVoter(state, peer)) return true;
  return false;
}
