import { nodeTimers } from '../../src/host/node-timers.ts';
import { systemClock } from '../../src/host/system-clock.ts';
import { AdminChannel } from '../../src/wire/admin-channel.ts';
import { type Node, pause } from '../support/process-cluster.ts';
import { type Fault, followersOf, type Ground, slowestCreate, until } from './drill.ts';

const HOUR_MS = 3_600_000;
/** Sessions live so long without a command, and are looked through twelve times as often. */
const SESSION_IDLE_MS = 60_000;
const SWEPT_MS = (1.5 * SESSION_IDLE_MS) / 12;
/** By which a `Date` header may be off that is right. */
const SLACK_MS = 60_000;

const common = { needs: 'faulty clocks', settings: { 'master.session.idle': `${SESSION_IDLE_MS}ms` } } as const;

/** The leader's wall clock jumps, and later jumps back: nobody may mind. */
function leaderJumps(name: string, aheadMs: number): Fault {
  return {
    name,
    ...common,
    keepsLeader: true,
    inflict: async (ground) => {
      const leader = await ground.cluster.leader();
      return slowestCreate(ground, async () => {
        await jump(ground, leader, aheadMs);
        await pause(SWEPT_MS);
        await jump(ground, leader, 0);
        await pause(SWEPT_MS);
      });
    },
  };
}

/** A master comes to lead whose wall clock is wrong; then the one that led before leads again. */
function wrongClockLeads(name: string, aheadMs: number): Fault {
  return {
    name,
    ...common,
    async inflict(ground) {
      const leader = await ground.cluster.leader();
      const [wrong] = followersOf(ground.cluster, leader);
      if (wrong === undefined) throw new Error('There is another master');
      return slowestCreate(ground, async () => {
        await jump(ground, wrong, aheadMs);
        await handTo(ground, wrong);
        await pause(SWEPT_MS);
        await handTo(ground, leader);
        await pause(SWEPT_MS);
        await jump(ground, wrong, 0);
      });
    },
  };
}

/** Sets the clock of a master. Resolves when it shows in what that one says, which it makes at most once a second. */
function jump(ground: Ground, master: Node, aheadMs: number): Promise<void> {
  ground.faultyClocks.set(master.name, aheadMs);
  return until(`the clock of ${master.name} shows what it was set to`, async () => {
    const { headers } = await fetch(`${master.statusUrl}/healthz`);
    return Math.abs(Date.parse(headers.get('date') ?? '') - Date.now() - aheadMs) < SLACK_MS;
  });
}

async function handTo(ground: Ground, master: Node): Promise<void> {
  const parts = { clock: systemClock, timers: nodeTimers, random: { next: Math.random } };
  await new AdminChannel({ masters: ground.cluster.addresses, ...parts }).transfer(master.name);
}

/** Wall clocks that are wrong. The cluster's own time, of which sessions are made, only ever goes forwards. */
export const CLOCK_JUMPS: readonly Fault[] = [
  leaderJumps('leader ahead', 2 * HOUR_MS),
  leaderJumps('leader behind', -2 * HOUR_MS),
  wrongClockLeads('one ahead leads', 30 * 24 * HOUR_MS),
  wrongClockLeads('one behind leads', -30 * 24 * HOUR_MS),
];
