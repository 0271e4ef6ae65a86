import type * as LeaseModule from '../../src/raft/lease.ts';
import type * as LeaseReadsModule from '../../src/raft/lease-reads.ts';
import { quorumValue } from '../../src/raft/quorum.ts';
import { mayServeReads } from '../../src/raft/read-gate.ts';
import type * as StateModule from '../../src/raft/state.ts';
import { findsPlanted, type Mutant, replace } from './planting.ts';

/** Replaces what binds a follower: who hears a leader, or is bound, helps nobody else. */
function bound(isBound: (real: typeof StateModule, state: StateModule.RaftState) => boolean): void {
  replace<typeof StateModule>('state.ts', async (original) => {
    const real = await original();
    return {
      ...real,
      isBound: (state) => isBound(real, state),
      hearsLeader: (state) =>
        state.role === 'leader' || isBound(real, state) || (!real.isBound(state) && real.hearsLeader(state)),
    };
  });
}

function lease(make: (Lease: typeof LeaseModule.Lease) => typeof LeaseModule.Lease): void {
  replace<typeof LeaseModule>('lease.ts', async (original) => ({ Lease: make((await original()).Lease) }));
}

const mutants: readonly Mutant[] = [
  {
    name: 'a lease counts from when answers come',
    within: 100,
    plant: () =>
      replace<typeof LeaseReadsModule>('lease-reads.ts', async (original) => {
        const real = await original();
        const leaseUntilMs = (state: StateModule.RaftState): number => {
          const { role, options, lease, membership, peers, now, timeMs } = state;
          if (role !== 'leader' || options.leaseMs === 0 || lease.givenUp) return Number.NEGATIVE_INFINITY;
          const heard = quorumValue(membership, (voter) =>
            voter === options.id ? now : (peers.get(voter)?.lastHeard ?? Number.NEGATIVE_INFINITY),
          );
          // A tick is ten units of the simulated clock.
          return timeMs + options.leaseMs - 10 * (now - heard);
        };
        const holdsLease = (state: StateModule.RaftState): boolean =>
          state.timeMs < leaseUntilMs(state) && mayServeReads(state.log, state.ballot.term);
        return { ...real, leaseUntilMs, holdsLease };
      }),
  },
  {
    name: 'a lease outlives that somebody was asked to take over',
    within: 200,
    plant: () =>
      lease(
        (Lease) =>
          class extends Lease {
            override giveUp() {
              // The bug.
            }
          },
      ),
  },
  {
    name: 'a promise ends when its leader is given up',
    within: 200,
    plant: () => bound((real, state) => real.isBound(state) && state.leader !== undefined && !state.leaderLost),
  },
  {
    name: 'a promise ends with a restart',
    within: 200,
    plant: () => bound((real, state) => real.isBound(state) && state.leaderHeard > 0),
  },
];

findsPlanted('the simulation finds planted bugs of leases', mutants);
