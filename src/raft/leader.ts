import { quorumValue } from './quorum.ts';
import { becomeFollower } from './role.ts';
import type { RaftState } from './state.ts';
import { expireTransfer, resign } from './transfer.ts';

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
  if (writing !== undefined && now - writing.since > options.stalledWriteTicks) {
    resign(state);
    return;
  }
  expireTransfer(state);
  if (now % options.heartbeatTicks === 0) for (const progress of state.peers.values()) progress.heartbeatDue = true;
}
