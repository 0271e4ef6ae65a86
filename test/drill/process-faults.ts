import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { nodeTimers } from '../../src/host/node-timers.ts';
import { systemClock } from '../../src/host/system-clock.ts';
import { AdminChannel } from '../../src/wire/admin-channel.ts';
import { pause } from '../support/process-cluster.ts';
import { type Fault, followersOf, type Ground, longestSilence, slowestCreate, termOf } from './drill.ts';

/** Creates after which whoever wanted to campaign has done so. */
const SETTLED = 100;
const CALM_MS = 150;
/** Further files before each backup, so that the backups grow. */
const BACKED_UP = 2_000;

/** From `act` to the acknowledgement of the next create, which is sent after it: the old leader cannot have answered. */
async function nextCreate(ground: Ground, act: () => void): Promise<number> {
  const begun = performance.now();
  act();
  await ground.probe();
  return performance.now() - begun;
}

/** The leader's process dies. */
export const KILL: Fault = {
  name: 'kill',
  async inflict(ground) {
    const leader = await ground.cluster.leader();
    const gap = await nextCreate(ground, () => leader.signal('SIGKILL'));
    await leader.ended();
    leader.start();
    return gap;
  },
};

/** The leader's process hangs until another leads. */
export const STOP: Fault = {
  name: 'stop',
  async inflict(ground) {
    const leader = await ground.cluster.leader();
    const gap = await nextCreate(ground, () => leader.signal('SIGSTOP'));
    leader.signal('SIGCONT');
    return gap;
  },
};

/** The main thread of the leader is busy for longer than others wait for it; when it is back, it takes its place. */
export const BLOCK: Fault = {
  name: 'block',
  needs: 'blockable threads',
  async inflict(ground) {
    const leader = await ground.cluster.leader();
    const gap = await nextCreate(ground, () => leader.signal('SIGUSR2'));
    const terms = followersOf(ground.cluster, leader).map((master) => master.metric('sluice_master_raft_term_number'));
    const term = Math.max(...(await Promise.all(terms)));
    if (await leader.ready()) ground.surprise(`${leader.name} was not blocked`);
    await ground.cluster.waitUntilReady([leader]);
    await ground.progress(SETTLED);
    if ((await termOf(ground.cluster)) > term) ground.surprise(`${leader.name} campaigned when it was back`);
    return gap;
  },
};

/** The leader is stopped in good order, and started again. */
export const RESTART: Fault = {
  name: 'restart',
  async inflict(ground) {
    const leader = await ground.cluster.leader();
    const gap = await nextCreate(ground, () => leader.signal('SIGTERM'));
    await leader.ended();
    leader.start();
    return gap;
  },
};

/** The leader hands leadership to another master. */
export const TRANSFER: Fault = {
  name: 'transfer',
  inflict(ground) {
    const admin = new AdminChannel({
      masters: ground.cluster.addresses,
      clock: systemClock,
      timers: nodeTimers,
      random: { next: Math.random },
    });
    return longestSilence(ground, () => admin.transfer(undefined));
  },
};

/** Nothing at all, for as long as a handover by request takes: what the load itself does to its acknowledgements. */
export const CALM: Fault = {
  name: 'calm',
  keepsLeader: true,
  inflict: (ground) => longestSilence(ground, () => pause(CALM_MS)),
};

/** No fault: the state of the cluster is written to a file while it serves. */
export const BACKUP: Fault = {
  name: 'backup',
  keepsLeader: true,
  prepare: (ground) => ground.burst(BACKED_UP),
  inflict: (ground) =>
    slowestCreate(ground, async () => {
      const file = join(ground.cluster.folder, 'backup.tar');
      const { code, err } = await ground.cluster.command('admin', 'backup', file);
      if (code !== 0) ground.surprise(`the backup ended with ${code}: ${err}`);
      else rmSync(file);
    }),
};

/** All masters die at the same time; the gap contains their start. */
export const KILL_ALL: Fault = {
  name: 'killAll',
  async inflict(ground) {
    const { masters } = ground.cluster;
    const begun = performance.now();
    for (const master of masters) master.signal('SIGKILL');
    await Promise.all(masters.map((master) => master.ended()));
    for (const master of masters) master.start();
    await ground.probe();
    return performance.now() - begun;
  },
};

/** All masters are restarted one after the other, each when the one before it is ready again. */
export const ROLL: Fault = {
  name: 'roll',
  inflict(ground) {
    return slowestCreate(ground, async () => {
      for (const master of ground.cluster.masters) {
        await master.stop('SIGTERM');
        if (master.exitCode !== 0) ground.surprise(`${master.name} ended with ${master.exitCode}`);
        master.start();
        await ground.cluster.waitUntilReady([master]);
      }
    });
  },
};
