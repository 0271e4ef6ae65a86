import { expect, test } from 'vitest';
import { createLogger } from '../../src/host/logger.ts';
import { LeaderGate } from '../../src/master/leader-gate.ts';
import { MembershipService } from '../../src/master/membership-service.ts';
import { type MembershipTarget, membershipOf } from '../../src/raft/membership.ts';
import { DEFAULT_RAFT_LIMITS } from '../../src/raft/options.ts';
import type { RaftStatus } from '../../src/raft/raft.ts';
import { LocalState } from '../support/local-state.ts';
import { ManualTime, turns } from '../support/manual-time.ts';

const TICK_MS = 50;
const PATIENCE_MS = 100;
const { electionTicks, heartbeatTicks } = DEFAULT_RAFT_LIMITS;

/** A leader of m1@a, m2@b and m3@c, of which m3 came back as m3@d, with an empty folder. */
function leader() {
  const time = new ManualTime();
  const targets: MembershipTarget[] = [];
  const peer = { match: 100, next: 101, state: 'replicate', framesInFlight: 0, bytesInFlight: 0 } as const;
  /** Of m3@c. */
  const silence = { ticks: 0 };
  let role: RaftStatus['role'] = 'leader';
  const status = (): RaftStatus => ({
    id: 'm1@a',
    term: 2,
    role,
    leader: 'm1@a',
    commit: 100,
    applied: 100,
    durable: 100,
    last: { index: 100, term: 2 },
    base: { index: 0, term: 0 },
    membership: membershipOf(['m1@a', 'm2@b', 'm3@c']),
    membershipAt: 1,
    membershipCommitted: true,
    transferringTo: undefined,
    uncommittedBytes: 0,
    pendingReads: 0,
    readRounds: 0,
    campaignsVetoed: 0,
    leaseReads: 0,
    leaseUntilMs: 0,
    peers:
      role !== 'leader'
        ? new Map()
        : new Map([
            ['m2@b', { ...peer, silentTicks: 0 }],
            ['m3@c', { ...peer, silentTicks: silence.ticks }],
          ]),
  });
  const service = new MembershipService({
    journal: {
      status,
      changeMembership: async (target) => void targets.push(target),
    },
    gate: new LeaderGate({
      state: new LocalState(time),
      timers: time,
      patienceMs: PATIENCE_MS,
      addressOf: () => undefined,
    }),
    cluster: 'test',
    clusterId: 'c',
    limits: DEFAULT_RAFT_LIMITS,
    tickMs: TICK_MS,
    timers: time,
    log: createLogger('silent', {}),
    hello: async (address) => ({
      cluster: 'test',
      clusterId: 'c',
      id: 'm3@d',
      address,
      clientAddress: '',
      removed: false,
      heard: [],
      birth: [],
      committed: undefined,
      timing: undefined,
    }),
  });
  /** Asks for m3@d, and lets heartbeats go by, after which m3@c was silent for `ticks`. */
  async function add(ticks: number, deposed = false) {
    const asked = service.add({ name: 'm3', address: 'h3:19200' });
    asked.catch(() => undefined);
    await turns();
    silence.ticks = ticks;
    if (deposed) role = 'follower';
    await time.advance(3 * heartbeatTicks * TICK_MS);
    // Who is refused here waits a moment to hear who leads.
    await turns();
    await time.advance(PATIENCE_MS);
    return asked;
  }
  return { add, silence, targets };
}

test('a master whose name another one has that answers is refused', async () => {
  const { add, targets } = leader();
  await expect(add(heartbeatTicks)).rejects.toMatchObject({ code: 'ALREADY_EXISTS' });
  expect(targets).toEqual([]);
});

test('who is deposed meanwhile has missed nobody', async () => {
  const { add } = leader();
  await expect(add(0, true)).rejects.toMatchObject({ code: 'NOT_LEADER' });
});

test('a leader that is new and has not missed anybody yet says to wait, then takes the other one in', async () => {
  const { add, silence, targets } = leader();
  expect(await add(3 * heartbeatTicks)).toMatchObject({ phase: 'waiting', reason: expect.stringContaining('m3@c') });
  expect(targets).toEqual([]);
  silence.ticks = electionTicks + 1;
  expect(await add(electionTicks + 1)).toMatchObject({ phase: 'learning' });
  expect(targets).toEqual([expect.objectContaining({ learners: ['m3@d'] })]);
});
