import type { Node } from '../support/process-cluster.ts';
import { type Fault, followersOf, type Ground, slowestCreate, until } from './drill.ts';

/** Little stays in the journals, and a snapshot takes seconds. */
const SETTINGS = {
  'master.journal.keep-entries': '1000',
  'master.journal.keep-size': '1MiB',
  'master.snapshot.bandwidth': '2MiB',
};
/** Creates that a standby misses: more than the journals keep, and some chunks of a snapshot. */
const MISSED = 6000;

/** A standby misses so much that it needs a snapshot, and something happens while it gets that. */
function standbyLate(
  name: string,
  keepsLeader: boolean,
  meanwhile: (ground: Ground, standby: Node, leader: Node) => Promise<void>,
): Fault {
  return {
    name,
    keepsLeader,
    settings: SETTINGS,
    /** A leader that has sent a snapshot keeps its log for a while: let another one lead. */
    async prepare({ cluster }) {
      const leader = await cluster.leader();
      await leader.stop('SIGTERM');
      leader.start();
      await cluster.waitUntilReady();
    },
    async inflict(ground) {
      const { cluster } = ground;
      const leader = await cluster.leader();
      const standby = followersOf(cluster, leader)[0] as Node;
      const had = await indexOf(standby, 'last');
      await standby.stop('SIGTERM');
      await ground.burst(MISSED);
      await until('the log begins behind it', async () => (await indexOf(leader, 'first')) > had + 1);
      const missed = await indexOf(leader, 'applied');
      standby.start();
      await until(`${standby.name} answers`, () => standby.answers());
      return await slowestCreate(ground, async () => {
        await meanwhile(ground, standby, leader);
        await cluster.waitUntilReady();
        const applied = await indexOf(standby, 'applied');
        if (applied < missed)
          ground.surprise(`${standby.name} is ready at ${applied}, and others had ${missed} long ago`);
      });
    },
  };
}

/** Gets it while the sender serves. */
const STANDBY_LATE = standbyLate('standby late', true, async ({ cluster, surprise }, standby) => {
  await cluster.waitUntilReady([standby]);
  if ((await installs(standby)) === 0) surprise(`${standby.name} is ready without the snapshot that it needs`);
});

/** Dies in the middle of the transfer, and goes on with it. */
const RECEIVER_DIES = standbyLate('receiver dies', true, async (_ground, standby) => {
  await until(`${standby.name} receives a snapshot`, () => receives(standby));
  standby.signal('SIGKILL');
  await standby.ended();
  standby.start();
});

/** The sender dies, so that another leader sends another snapshot. */
const SENDER_DIES = standbyLate('sender dies', false, async (_ground, standby, leader) => {
  await until(`${standby.name} receives a snapshot`, () => receives(standby));
  leader.signal('SIGKILL');
  await leader.ended();
  leader.start();
});

export const SNAPSHOTS: readonly Fault[] = [STANDBY_LATE, RECEIVER_DIES, SENDER_DIES];

function indexOf(master: Node, which: 'first' | 'last' | 'applied'): Promise<number> {
  return master.metric(`sluice_master_journal_${which}_index`);
}

/** How many snapshots this process has put in the place of its state. */
function installs(master: Node): Promise<number> {
  return master.metric('sluice_master_snapshot_installs_total');
}

/** Under way, or over already. */
async function receives(master: Node): Promise<boolean> {
  return (await master.metric('sluice_master_snapshot_incoming_bytes')) > 0 || (await installs(master)) > 0;
}
