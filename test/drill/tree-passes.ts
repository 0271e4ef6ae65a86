import type { FileSystem } from '../../src/client/file-system.ts';
import type { ProcessCluster } from '../support/process-cluster.ts';
import { type CompareOptions, compareTree, type TreeComparison } from './tree.ts';

/** One comparison of a whole tree, and what it cost. */
interface TreePass {
  readonly comparison: TreeComparison;
  readonly seconds: number;
  /** What the metrics of the processes that are still alive moved by. */
  readonly ufsReads: number;
  readonly pageHits: number;
  /** Listings and look-ups of the UFS for metadata. */
  readonly ufsLooks: number;
}

export interface TreePasses {
  /** With cold caches. */
  readonly first: TreePass;
  /** With warm ones. */
  readonly second: TreePass;
  /** While the leader is killed. */
  readonly third: TreePass;
  /** Files that were compared when the leader died. */
  readonly comparedBeforeDeath: number;
}

/** A folder, and where it is mounted or what was made of it. */
export interface MountedTree {
  readonly mounted: string;
  readonly folder: string;
}

/** Compares trees with their storage twice, then the first of them again: its leader is killed and stays dead. */
export async function passOverTrees(
  cluster: ProcessCluster,
  files: FileSystem,
  trees: readonly MountedTree[],
  options: CompareOptions = {},
): Promise<TreePasses> {
  const pass = (some: readonly MountedTree[], more: CompareOptions = {}): Promise<TreePass> =>
    measured(cluster, async () => {
      const all: TreeComparison[] = [];
      for (const { mounted, folder } of some)
        all.push(await compareTree(files, mounted, folder, { ...options, ...more }));
      return joined(all);
    });
  const first = await pass(trees);
  const second = await pass(trees);
  const leader = await cluster.leader();
  let comparedBeforeDeath = 0;
  const third = await pass(trees.slice(0, 1), {
    onFile: (done, all) => {
      if (comparedBeforeDeath > 0 || done < all / 4) return;
      comparedBeforeDeath = done;
      leader.signal('SIGKILL');
    },
  });
  return { first, second, third, comparedBeforeDeath };
}

function joined(all: readonly TreeComparison[]): TreeComparison {
  return {
    files: all.reduce((sum, { files }) => sum + files, 0),
    bytes: all.reduce((sum, { bytes }) => sum + bytes, 0),
    missing: all.flatMap(({ missing }) => missing),
    invented: all.flatMap(({ invented }) => invented),
    different: all.flatMap(({ different }) => different),
  };
}

async function measured(cluster: ProcessCluster, compare: () => Promise<TreeComparison>): Promise<TreePass> {
  const before = await countersOf(cluster);
  const begun = performance.now();
  const comparison = await compare();
  const seconds = (performance.now() - begun) / 1000;
  const after = await countersOf(cluster);
  const moved = (metric: string): number =>
    [...after].reduce((sum, [node, counters]) => sum + (counters[metric] ?? 0) - (before.get(node)?.[metric] ?? 0), 0);
  return {
    comparison,
    seconds,
    ufsReads: moved('sluice_worker_ufs_reads_total'),
    pageHits: moved('sluice_worker_page_hits_total'),
    ufsLooks: moved('sluice_master_sync_listings_total') + moved('sluice_master_sync_stats_total'),
  };
}

const COUNTERS = [
  'sluice_worker_ufs_reads_total',
  'sluice_worker_page_hits_total',
  'sluice_master_sync_listings_total',
  'sluice_master_sync_stats_total',
];

async function countersOf(cluster: ProcessCluster): Promise<Map<string, Record<string, number>>> {
  const alive = cluster.nodes.filter((node) => node.running);
  const rows = alive.map(async (node): Promise<[string, Record<string, number>]> => {
    const kind = cluster.workers.includes(node) ? 'sluice_worker_' : 'sluice_master_';
    const values = COUNTERS.map(async (name) => [name, name.startsWith(kind) ? await node.metric(name) : 0] as const);
    return [node.name, Object.fromEntries(await Promise.all(values))];
  });
  return new Map(await Promise.all(rows));
}
