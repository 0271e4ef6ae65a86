import type { Separation } from '../support/master-network.ts';
import type { Node } from '../support/process-cluster.ts';
import { type Fault, followersOf, type Ground, slowestCreate, until } from './drill.ts';

/** Creates that writers get through while a partition lasts, so that it is more than a moment. */
const ENDURED = 40;

/** The leader is separated from all other masters by `damage`; clients reach every master. */
function leaderLost(name: string, damage: (ground: Ground, leader: Node, others: readonly Node[]) => void): Fault {
  return {
    name,
    needs: 'network',
    async inflict(ground) {
      const { cluster, network } = ground;
      const leader = await cluster.leader();
      const others = followersOf(cluster, leader);
      damage(ground, leader, others);
      try {
        return await slowestCreate(ground, async () => {
          await until(`another than ${leader.name} leads`, async () => leads(others));
          await until(`${leader.name} gives up leadership`, async () => !(await leads([leader])));
          await ground.progress(ENDURED);
        });
      } finally {
        network.heal();
      }
    },
  };
}

/** Some links fail, and the leader must stay nevertheless. */
function leaderKept(name: string, damage: (ground: Ground, leader: Node, others: readonly Node[]) => void): Fault {
  return {
    name,
    needs: 'network',
    keepsLeader: true,
    async inflict(ground) {
      const { cluster, network } = ground;
      const leader = await cluster.leader();
      damage(ground, leader, followersOf(cluster, leader));
      try {
        return await slowestCreate(ground, () => ground.progress(3 * ENDURED));
      } finally {
        network.heal();
        await until('every master follows', () => allFollow(cluster.masters));
      }
    },
  };
}

function isolate(how: Separation): (ground: Ground, leader: Node, others: readonly Node[]) => void {
  return ({ network }, leader, others) => {
    for (const other of others) network.separate(leader.name, other.name, how);
  };
}

/** Connections between the leader and the others are reset. */
const LEADER_CUT = leaderLost('leader cut', isolate('cut'));

/** Nothing passes between the leader and the others, connections stay; bytes are lost, or late. */
const LEADER_ALONE = leaderLost('leader alone', isolate('swallow'));
const LEADER_LATE = leaderLost('leader late', isolate('hold'));

/** The leader hears nobody, everybody hears it. */
const LEADER_DEAF = leaderLost('leader deaf', ({ network }, leader, others) => {
  for (const other of others) network.setFlow(other.name, leader.name, { passage: 'swallow' });
});

/** Nobody hears the leader, it hears everybody. */
const LEADER_MUTE = leaderLost('leader mute', ({ network }, leader, others) => {
  for (const other of others) network.setFlow(leader.name, other.name, { passage: 'swallow' });
});

/** Like a machine without a network: neither masters nor clients reach the leader. */
const LEADER_AWAY = leaderLost('leader away', (ground, leader, others) => {
  isolate('swallow')(ground, leader, others);
  for (const direction of ['forward', 'backward'] as const)
    ground.network.door(leader.name).setFlow(direction, { passage: 'swallow' });
});

/** One follower is alone. It must not disturb the others, then or when it is back. */
const FOLLOWER_ALONE = leaderKept('follower alone', ({ network, cluster }, _leader, [lonely]) => {
  for (const other of cluster.masters) {
    if (lonely !== undefined && other !== lonely) network.separate(lonely.name, other.name, 'swallow');
  }
});

/** One link is broken: each master still sees a majority, and the follower that misses the leader must not win. */
const RING = leaderKept('ring', ({ network }, leader, [other]) => {
  if (other !== undefined) network.separate(leader.name, other.name, 'cut');
});

/** Slow and narrow links, no loss. */
const SLOW_LINKS = leaderKept('slow links', ({ network, cluster }) => {
  for (const a of cluster.masters)
    for (const b of cluster.masters)
      if (a !== b) network.setFlow(a.name, b.name, { delayMs: 20, bytesPerSecond: 2_000_000 });
});

export const PARTITIONS: readonly Fault[] = [
  LEADER_CUT,
  LEADER_ALONE,
  LEADER_DEAF,
  LEADER_MUTE,
  LEADER_LATE,
  LEADER_AWAY,
];

export const PARTITIONS_KEPT: readonly Fault[] = [FOLLOWER_ALONE, RING, SLOW_LINKS];

const LEADER = 3;

export async function leads(masters: readonly Node[]): Promise<boolean> {
  const roles = await Promise.all(masters.map((master) => master.metric('sluice_master_raft_role_number')));
  return roles.includes(LEADER);
}

/** Everybody has the same term, and is leader or follower. */
async function allFollow(masters: readonly Node[]): Promise<boolean> {
  const terms = await Promise.all(masters.map((master) => master.metric('sluice_master_raft_term_number')));
  const roles = await Promise.all(masters.map((master) => master.metric('sluice_master_raft_role_number')));
  return new Set(terms).size === 1 && roles.filter((role) => role === LEADER).length === 1;
}
