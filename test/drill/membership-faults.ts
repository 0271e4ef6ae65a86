import { rmSync } from 'node:fs';
import type { Node } from '../support/process-cluster.ts';
import { type Fault, followersOf, type Ground, slowestCreate, until } from './drill.ts';

/** A machine is replaced by one with nothing on its disk, under the same name. */
function replaced(name: string, keepsLeader: boolean, choose: (ground: Ground) => Promise<Node>): Fault {
  return {
    name,
    keepsLeader,
    async inflict(ground) {
      const master = await choose(ground);
      return await slowestCreate(ground, async () => {
        await master.stop('SIGKILL');
        rmSync(master.data, { recursive: true });
        master.start();
        await quorum(ground, 'add', `${master.name}=${master.address}`);
        await ground.cluster.waitUntilReady([master]);
      });
    },
  };
}

const STANDBY_REPLACED = replaced('standby replaced', true, async ({ cluster }) => {
  const [standby] = followersOf(cluster, await cluster.leader());
  return standby as Node;
});

const LEADER_REPLACED = replaced('leader replaced', false, ({ cluster }) => cluster.leader());

/** Two masters come, one of them leads, both go. */
const GROWN_AND_SHRUNK: Fault = {
  name: 'grown and shrunk',
  inflict(ground) {
    const { cluster } = ground;
    return slowestCreate(ground, async () => {
      const added = [await cluster.startMaster(), await cluster.startMaster()];
      for (const { name, address } of added) await quorum(ground, 'add', `${name}=${address}`);
      await cluster.waitUntilReady();
      await quorum(ground, 'transfer', (added[0] as Node).name);
      await ground.progress(PROGRESS);
      for (const master of added) {
        await quorum(ground, 'remove', master.name);
        await cluster.endMaster(master);
      }
      await ground.progress(PROGRESS);
    });
  },
};

export const MEMBERSHIP: readonly Fault[] = [STANDBY_REPLACED, LEADER_REPLACED, GROWN_AND_SHRUNK];

/** Creates that writers get through in each shape of the cluster. */
const PROGRESS = 20;

/** What exit codes say of refusals that pass. */
const TRY_AGAIN = 75;

/** What an operator would run, again while the new master is still starting. */
async function quorum({ cluster, surprise }: Ground, ...args: readonly string[]): Promise<void> {
  const said = `admin quorum ${args.join(' ')}`;
  await until(`${said} is done`, async () => {
    const { code, out, err } = await cluster.command('admin', 'quorum', ...args);
    if (code !== 0 && code !== TRY_AGAIN) surprise(`${said}: ${code}: ${out}${err}`);
    return code !== TRY_AGAIN;
  });
}
