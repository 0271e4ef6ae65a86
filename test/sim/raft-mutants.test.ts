import type * as AppendModule from '../../src/raft/append.ts';
import type * as BallotModule from '../../src/raft/ballot.ts';
import type * as CommitRule from '../../src/raft/commit-rule.ts';
import type * as ConflictModule from '../../src/raft/conflict.ts';
import type { Ballot } from '../../src/raft/effect.ts';
import type { WriteId } from '../../src/raft/event.ts';
import type * as ForwardedReadsModule from '../../src/raft/forwarded-reads.ts';
import type * as LeaderModule from '../../src/raft/leader.ts';
import type * as LogModule from '../../src/raft/log.ts';
import type * as MembershipModule from '../../src/raft/membership.ts';
import type { Membership } from '../../src/raft/membership.ts';
import type * as MembershipChangeModule from '../../src/raft/membership-change.ts';
import type * as MembershipLogModule from '../../src/raft/membership-log.ts';
import type * as PositionModule from '../../src/raft/position.ts';
import type * as ProgressModule from '../../src/raft/progress.ts';
import type * as QuorumModule from '../../src/raft/quorum.ts';
import type * as ReadGate from '../../src/raft/read-gate.ts';
import type * as ReadRoundsModule from '../../src/raft/read-rounds.ts';
import type * as ReplicationModule from '../../src/raft/replication.ts';
import type * as SnapshotIntakeModule from '../../src/raft/snapshot-intake.ts';
import type { RaftState } from '../../src/raft/state.ts';
import type * as TermGate from '../../src/raft/term-gate.ts';
import type * as WindowModule from '../../src/raft/window.ts';
import type * as WriteQueueModule from '../../src/raft/write-queue.ts';
import { findsPlanted, type Mutant, replace } from './planting.ts';

const mutants: readonly Mutant[] = [
  {
    name: 'votes leave before they are durable',
    within: 5,
    bugs: { sendsBeforeDurable: 'voteReply' },
  },
  {
    name: 'acknowledgements leave before they are durable',
    within: 5,
    bugs: { sendsBeforeDurable: 'appendReply' },
  },
  {
    name: 'entries count as durable when they are in memory',
    within: 5,
    plant: () =>
      replace<typeof LogModule>('log.ts', async (original) => {
        const { RaftLog } = await original();
        class Hasty extends RaftLog {
          override get durable() {
            return this.last.index;
          }
        }
        return { RaftLog: Hasty };
      }),
  },
  {
    name: 'a follower commits beyond what it compared with the leader',
    within: 50,
    plant: () =>
      replace<typeof AppendModule>('append.ts', async (original) => {
        const real = await original();
        return {
          ...real,
          handleAppend: (state, from, message) => {
            real.handleAppend(state, from, message);
            state.log.commitTo(Math.min(message.commit, state.log.last.index));
          },
        };
      }),
  },
  {
    name: 'refused votes are counted',
    within: 20,
    plant: () =>
      replace<typeof QuorumModule>('quorum.ts', async (original) => {
        const real = await original();
        return {
          ...real,
          voteOutcome: ({ voters }, voteOf) =>
            voters.filter((voter) => voteOf(voter) !== undefined).length * 2 > voters.length ? 'won' : 'pending',
        };
      }),
  },
  {
    name: 'a late rejection moves the next index below what is known to match',
    within: 20,
    plant: () => {
      replace<typeof ProgressModule>('progress.ts', credulousProgress);
      replace<typeof ReplicationModule>('replication.ts', async (original) => ({
        ...(await original()),
        handleAppendReject: (state, from, { hint }) => {
          state.peers.get(from)?.probe(state.log.lastAtMost(hint.index, hint.term).index + 1);
        },
      }));
    },
  },
  {
    name: 'a second write begins while one is in flight',
    within: 5,
    plant: () => {
      replace<typeof WriteQueueModule>('write-queue.ts', async (original) => {
        const { WriteQueue } = await original();
        class Impatient extends WriteQueue {
          override get inFlight() {
            return this.hasPending ? undefined : super.inFlight;
          }
          override issue(ballot: Ballot | undefined, commit: number, now: number) {
            if (super.inFlight !== undefined) super.finish(super.inFlight.id);
            return super.issue(ballot, commit, now);
          }
        }
        return { WriteQueue: Impatient };
      });
    },
  },
  {
    name: 'a leader that hears no majority leads on',
    within: 10,
    plant: () =>
      replace<typeof LeaderModule>('leader.ts', () => ({
        tickLeader: ({ peers }) => {
          for (const progress of peers.values()) progress.heartbeatDue = true;
        },
      })),
  },
  {
    name: 'an answer to an earlier life is taken for one to this life',
    within: 50,
    plant: () =>
      replace<typeof ForwardedReadsModule>('forwarded-reads.ts', async (original) => {
        const { ForwardedReads } = await original();
        class Reborn extends ForwardedReads {
          constructor(limit: number) {
            super(limit, 1);
          }
        }
        return { ForwardedReads: Reborn };
      }),
  },
  {
    name: 'a leader counts acknowledgements of an earlier term',
    within: 50,
    ticks: 5000,
    plant: () =>
      replace<typeof TermGate>('term-gate.ts', async (original) => {
        const { passTerm } = await original();
        return {
          passTerm: (state, from, message) =>
            (message.kind === 'appendReply' && message.term < state.ballot.term) || passTerm(state, from, message),
        };
      }),
  },
  {
    name: 'acknowledged frames keep their place in the window',
    within: 50,
    plant: () =>
      replace<typeof WindowModule>('window.ts', async (original) => {
        const { Window } = await original();
        class Full extends Window {
          override freeTo() {}
        }
        return { Window: Full };
      }),
  },
  {
    name: 'an entry of an older term is committed by counting',
    within: 20,
    plant: () => replace<typeof CommitRule>('commit-rule.ts', () => ({ mayCommit: () => true })),
  },
  {
    name: 'half of the voters are a majority',
    within: 10,
    plant: () =>
      replace<typeof QuorumModule>('quorum.ts', async (original) => {
        const real = await original();
        return {
          ...real,
          quorumValue: ({ voters }, reached) => voters.map(reached).sort((a, b) => b - a)[voters.length >> 1]!,
          voteOutcome: ({ voters }, voteOf) =>
            voters.filter((voter) => voteOf(voter) === true).length >= voters.length / 2 - 0.5 ? 'won' : 'pending',
        };
      }),
  },
  {
    name: 'a vote is given twice in a term',
    within: 50,
    plant: () => replace<typeof BallotModule>('ballot.ts', () => ({ BallotBox: forgetfulBallotBox() })),
  },
  {
    name: 'a follower cuts its log whenever entries arrive',
    within: 50,
    plant: () =>
      replace<typeof ConflictModule>('conflict.ts', () => ({
        alreadyHeld: (log, entries) => entries.filter(({ index }) => index <= log.commit).length,
      })),
  },
  {
    name: 'the longer log counts as the newer one',
    within: 100,
    plant: () =>
      replace<typeof PositionModule>('position.ts', async (original) => {
        const real = await original();
        return {
          ...real,
          isUpToDate: (a, b) => (a.index !== b.index ? a.index > b.index : a.term >= b.term),
        };
      }),
  },
  {
    name: 'reads are served without asking a quorum',
    within: 40,
    ticks: 5000,
    plant: () =>
      replace<typeof ReadRoundsModule>('read-rounds.ts', async (original) => {
        const { ReadRounds } = await original();
        class Credulous extends ReadRounds {
          override finish(_confirmed: number) {
            return super.finish(Number.POSITIVE_INFINITY);
          }
        }
        return { ReadRounds: Credulous };
      }),
  },
  {
    name: 'reads are served before an entry of the own term is committed',
    within: 100,
    plant: () => replace<typeof ReadGate>('read-gate.ts', () => ({ mayServeReads: () => true })),
  },
  {
    name: 'what was lost is not sent again',
    within: 20,
    plant: () =>
      replace<typeof ReplicationModule>('replication.ts', async (original) => {
        const real = await original();
        return {
          ...real,
          handleHeartbeatReply: (state, from, message) => {
            const progress = state.peers.get(from);
            const waited = progress?.waiting ?? false;
            real.handleHeartbeatReply(state, from, message);
            if (progress === undefined) return;
            progress.waiting = waited;
            progress.askDue = false;
          },
        };
      }),
  },
  {
    name: 'the end of a write makes entries durable that replaced the written ones',
    within: 100,
    plant: () =>
      replace<typeof WriteQueueModule>('write-queue.ts', async (original) => {
        const { WriteQueue } = await original();
        class Confused extends WriteQueue {
          #last = 0;
          override issue(ballot: Ballot | undefined, commit: number, now: number) {
            const write = super.issue(ballot, commit, now);
            this.#last = this.inFlight!.last;
            return write;
          }
          override finish(id: WriteId) {
            const done = super.finish(id);
            return done === undefined ? undefined : { ...done, last: this.#last };
          }
        }
        return { WriteQueue: Confused };
      }),
  },
  {
    name: 'learners count for commits',
    within: 20,
    plant: () =>
      replace<typeof QuorumModule>('quorum.ts', async (original) => {
        const real = await original();
        return {
          ...real,
          quorumValue: (membership, reached) => {
            const { voters, learners } = membership as Membership;
            const values = [...voters, ...learners].map(reached).sort((a, b) => b - a);
            return values[voters.length >> 1] ?? 0;
          },
        };
      }),
  },
  {
    name: 'of a joint membership only the new half counts',
    within: 20,
    plant: () =>
      replace<typeof QuorumModule>('quorum.ts', async (original) => {
        const real = await original();
        return {
          ...real,
          quorumValue: ({ voters }, reached) => real.quorumValue({ voters, outgoing: [] }, reached),
          voteOutcome: ({ voters }, voteOf) => real.voteOutcome({ voters, outgoing: [] }, voteOf),
        };
      }),
  },
  {
    name: 'voters change in one step',
    within: 20,
    plant: () =>
      replace<typeof MembershipModule>('membership.ts', async (original) => {
        const real = await original();
        return { ...real, enter: (current, target) => ({ ...real.enter(current, target), outgoing: [] }) };
      }),
  },
  {
    name: 'the membership changes before the leader has committed in its term',
    within: 50,
    plant: () =>
      replace<typeof MembershipChangeModule>('membership-change.ts', async (original) => {
        const real = await original();
        return { ...real, handleChange: (state, change) => real.handleChange(asIfCommitted(state), change) };
      }),
  },
  {
    name: 'entries that are taken back leave their members in force',
    within: 50,
    plant: () =>
      replace<typeof MembershipLogModule>('membership-log.ts', async (original) => {
        const { MembershipLog } = await original();
        class Stubborn extends MembershipLog {
          override truncate() {
            return false;
          }
        }
        return { MembershipLog: Stubborn };
      }),
  },
  {
    name: 'a snapshot leaves the members as they were',
    within: 20,
    plant: () =>
      replace<typeof MembershipLogModule>('membership-log.ts', async (original) => {
        const { MembershipLog } = await original();
        class Stubborn extends MembershipLog {
          override reset() {}
        }
        return { MembershipLog: Stubborn };
      }),
  },
  {
    name: 'who is being removed does not campaign',
    within: 150,
    plant: () =>
      replace<typeof MembershipLogModule>('membership-log.ts', async (original) => {
        const { MembershipLog } = await original();
        class Modest extends MembershipLog {
          override mayCampaign(node: string) {
            return [...this.current.voters, ...this.current.outgoing].includes(node);
          }
        }
        return { MembershipLog: Modest };
      }),
  },
  {
    name: 'a new leader does not finish the change that it finds',
    within: 100,
    plant: () =>
      replace<typeof MembershipChangeModule>('membership-change.ts', async (original) => {
        const real = await original();
        return {
          ...real,
          pursueChange: (state) => {
            const { memberships, log, ballot } = state;
            if (log.termAt(memberships.at) === ballot.term) real.pursueChange(state);
          },
        };
      }),
  },
  {
    name: 'a snapshot does not carry the term of its maker',
    within: 200,
    plant: () =>
      replace<typeof SnapshotIntakeModule>('snapshot-intake.ts', async (original) => {
        const real = await original();
        return {
          ...real,
          handleSnapshotFetched: (state, meta) => real.handleSnapshotFetched(state, { ...meta, term: 0 }),
        };
      }),
  },
  {
    name: 'a snapshot leaves a log in place that does not continue it',
    within: 20,
    bugs: { keepsLog: true },
  },
  {
    name: 'a snapshot lacks the table of sessions',
    within: 20,
    bugs: { snapshotWithoutSessions: true },
  },
];

/** The same state, in which the last committed entry seems to be of the present term. */
function asIfCommitted(state: RaftState): RaftState {
  const { log } = state;
  const dressed = new Proxy(log, {
    get: (target, key) => {
      if (key === 'termAt') return () => state.ballot.term;
      const value: unknown = Reflect.get(target, key, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
  return new Proxy(state, { get: (target, key) => (key === 'log' ? dressed : Reflect.get(target, key)) });
}

async function credulousProgress(original: () => Promise<typeof ProgressModule>): Promise<typeof ProgressModule> {
  const { Progress } = await original();
  class Credulous extends Progress {
    #moved: number | undefined;
    override get next() {
      return this.#moved ?? super.next;
    }
    override probe(next: number) {
      super.probe(next);
      this.#moved = next;
    }
    override sent(last: number, bytes: number) {
      super.sent(last, bytes);
      this.#moved = undefined;
    }
    override acknowledge(match: number, now: number) {
      super.acknowledge(match, now);
      this.#moved = undefined;
    }
  }
  return { Progress: Credulous };
}

function forgetfulBallotBox(): typeof BallotModule.BallotBox {
  class Forgetful {
    #ballot: Ballot;
    changed = false;
    constructor(stored: Ballot) {
      this.#ballot = stored;
    }
    get term() {
      return this.#ballot.term;
    }
    get votedFor() {
      return this.#ballot.votedFor;
    }
    adopt(term: number) {
      this.#ballot = { term, votedFor: undefined };
      this.changed = true;
    }
    mayGrant() {
      return true;
    }
    grant(candidate: string) {
      this.#ballot = { term: this.#ballot.term, votedFor: candidate };
      this.changed = true;
    }
    take() {
      if (!this.changed) return undefined;
      this.changed = false;
      return this.#ballot;
    }
  }
  return Forgetful as unknown as typeof BallotModule.BallotBox;
}

findsPlanted('the simulation finds planted bugs', mutants);
