import { seededRandom } from '../../src/base/random.ts';
import type { DiskTrouble } from '../support/faulty-disks.ts';
import type { Node } from '../support/process-cluster.ts';
import { type Fault, followersOf, type Ground, slowestCreate, until } from './drill.ts';
import { leads } from './network-faults.ts';

/** Creates that writers get through while a disk is in trouble and the cluster has come to terms with it. */
const ENDURED = 40;
/** Files that are created while the power fails. */
const BURST = 2000;
/** Characters at the end of a log that belong to the end of the process. */
const LAST_WORDS = 3000;

/** The leader's disk stands still until another master leads. */
function leaderStalls(name: string, trouble: DiskTrouble): Fault {
  return {
    name,
    needs: 'faulty disks',
    async inflict(ground) {
      const leader = await ground.cluster.leader();
      ground.faultyDisks.set(leader.name, trouble);
      try {
        return await slowestCreate(ground, async () => {
          await until(`another than ${leader.name} leads`, () => leads(followersOf(ground.cluster, leader)));
          await ground.progress(ENDURED);
        });
      } finally {
        ground.faultyDisks.heal(leader.name);
      }
    },
  };
}

/** Syncs of the leader's disk do not return. */
const LEADER_SYNC_STALLS = leaderStalls('leader syncs stall', 'stall-sync');

/** Neither syncs nor writes of the leader's disk return. */
const LEADER_DISK_STALLS = leaderStalls('leader disk stalls', 'stall-all');

/** The disk of a follower stands still; nobody else may mind. */
const FOLLOWER_DISK_STALLS: Fault = {
  name: 'follower disk stalls',
  needs: 'faulty disks',
  keepsLeader: true,
  async inflict(ground) {
    const follower = await oneFollower(ground);
    ground.faultyDisks.set(follower.name, 'stall-all');
    try {
      return await slowestCreate(ground, () => ground.progress(3 * ENDURED));
    } finally {
      ground.faultyDisks.heal(follower.name);
    }
  },
};

/** One sync of a disk fails: the master must end by itself, and comes back when it is started again. */
function syncFails(name: string, choose: (ground: Ground) => Promise<Node>, keepsLeader: boolean): Fault {
  return {
    name,
    needs: 'faulty disks',
    keepsLeader,
    async inflict(ground) {
      const master = await choose(ground);
      const gap = await slowestCreate(ground, async () => {
        ground.faultyDisks.set(master.name, 'fail-sync');
        await until(`${master.name} ends by itself`, async () => !master.running);
        await hasSaid(ground, master, /cannot be used.*(Input\/output error|EIO)/);
        await ground.progress(ENDURED);
      });
      master.start();
      return gap;
    },
  };
}

const LEADER_SYNC_FAILS = syncFails('leader sync fails', (ground) => ground.cluster.leader(), false);
const FOLLOWER_SYNC_FAILS = syncFails('follower sync fails', oneFollower, true);

/**
 * Disks have no free byte: a master that must write ends by itself, refuses to start while that lasts, and comes back
 * without repair when there is room again.
 */
function diskFull(name: string, choose: (ground: Ground) => Promise<readonly Node[]>, keepsLeader: boolean): Fault {
  return {
    name,
    needs: 'small disks',
    keepsLeader,
    async inflict(ground) {
      const full = await choose(ground);
      const quorum = Math.floor(ground.cluster.masters.length / 2) + 1;
      return await slowestCreate(ground, async () => {
        for (const master of full) ground.smallDisks.fill(master.name);
        // Who is left without a quorum has nothing to write.
        const ending = Math.min(full.length, quorum);
        await until(`${ending} masters end by themselves`, async () => stopped(full).length >= ending);
        const ended = stopped(full);
        for (const master of ended) await hasSaid(ground, master, /the disk is full/);
        for (const master of ended) {
          master.start();
          await until(`${master.name} refuses to start`, async () => !master.running);
          await hasSaid(ground, master, /the disk is full|has no room/);
        }
        if (full.length < quorum) await ground.progress(ENDURED);
        for (const master of full) ground.smallDisks.free(master.name);
        for (const master of stopped(full)) master.start();
      });
    },
  };
}

function stopped(masters: readonly Node[]): readonly Node[] {
  return masters.filter(({ running }) => !running);
}

const LEADER_DISK_FULL = diskFull('leader disk full', async ({ cluster }) => [await cluster.leader()], false);
const FOLLOWER_DISK_FULL = diskFull('follower disk full', async (ground) => [await oneFollower(ground)], true);
/** All at the same time; the gap contains their stops and starts. */
const ALL_DISKS_FULL = diskFull('all disks full', async ({ cluster }) => cluster.masters, false);

/** The power of masters fails: what they had not synced is gone, or torn. */
function powerFails(name: string, choose: (ground: Ground) => Promise<readonly Node[]>): Fault {
  return {
    name,
    needs: 'faulty disks',
    async inflict(ground) {
      const victims = await choose(ground);
      const load = ground.burst(BURST);
      await ground.progress(BURST / 4);
      const begun = performance.now();
      for (const master of victims) master.signal('SIGKILL');
      await Promise.all(victims.map((master) => master.ended()));
      const random = seededRandom(Math.floor(Math.random() * 2 ** 31));
      for (const master of victims) ground.faultyDisks.loseUnsynced(master.name, random);
      for (const master of victims) master.start();
      const gap = ground.probe().then(() => performance.now() - begun);
      // Who finds that acknowledged entries are gone ends at its start.
      await ground.cluster.waitUntilReady(victims);
      await load;
      return await gap;
    },
  };
}

/** The gaps contain the start of the masters. */
export const POWER_FAILURES: readonly Fault[] = [
  powerFails('power of all fails', async ({ cluster }) => cluster.masters),
  powerFails('power of the leader fails', async ({ cluster }) => [await cluster.leader()]),
];
export const FULL_DISKS: readonly Fault[] = [LEADER_DISK_FULL, FOLLOWER_DISK_FULL, ALL_DISKS_FULL];
export const STALLED_DISKS: readonly Fault[] = [LEADER_SYNC_STALLS, LEADER_DISK_STALLS, FOLLOWER_DISK_STALLS];
export const FAILING_SYNCS: readonly Fault[] = [LEADER_SYNC_FAILS, FOLLOWER_SYNC_FAILS];

async function oneFollower({ cluster }: Ground): Promise<Node> {
  const [follower] = followersOf(cluster, await cluster.leader());
  if (follower === undefined) throw new Error('A cluster of one has no follower');
  return follower;
}

/** Waits until the process has ended, not well, and has said why. */
async function hasSaid(ground: Ground, master: Node, reason: RegExp): Promise<void> {
  await master.ended();
  if (master.exitCode === 0) ground.surprise(`${master.name} ended as if all were well`);
  const said = master.said().slice(-LAST_WORDS);
  if (!reason.test(said)) ground.surprise(`${master.name} did not say ${reason}: ${said}`);
}
