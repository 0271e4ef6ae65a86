import { quorumValue } from './quorum.ts';
import { mayServeReads } from './read-gate.ts';
import type { RaftState } from './state.ts';

/** Until when, on this node's clock, nobody else can lead; in the past when that is not known. */
export function leaseUntilMs({ options, role, lease, membership, peers }: RaftState): number {
  if (role !== 'leader' || options.leaseMs === 0 || lease.givenUp) return Number.NEGATIVE_INFINITY;
  return quorumValue(membership, (voter) =>
    voter === options.id ? Number.POSITIVE_INFINITY : (peers.get(voter)?.promisedUntilMs ?? Number.NEGATIVE_INFINITY),
  );
}

/** Whether what is committed here is all that is committed anywhere, so that reads need no round. */
export function holdsLease(state: RaftState): boolean {
  return state.timeMs < leaseUntilMs(state) && mayServeReads(state.log, state.ballot.term);
}

/** Leader: begins another position, so that answers to what is sent from now on prolong the lease. */
export function renewLease(state: RaftState): void {
  if (state.options.leaseMs > 0) state.lease.sent(state.reads.advance(), state.timeMs);
}
