import type { FileSystem } from '../../src/client/file-system.ts';
import type { ProcessCluster } from '../support/process-cluster.ts';
import { type CompareOptions, compareTree, type TreeComparison } from './tree.ts';

/** One comparison of a whole tree, and what it cost. */
interface TreePass {
  readonly comparison: TreeComparison;
  readonly seconds: number;
  /** What the workers' metrics moved by. */
  readonly ufsReads: number;
  readonly pageHits: number;
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

/** Compares trees with their storage three times; in the third the leader is killed and stays dead. */
export async function passOverTrees(
  cluster: ProcessCluster,
  files: FileSystem,
  trees: readonly MountedTree[],
  options: CompareOptions = {},
): Promise<TreePasses> {
  const pass = (more: CompareOptions = {}): Promise<TreePass> =>
    measured(cluster, async () => {
      const all: TreeComparison[] = [];
      for (const { mounted, folder } of trees)
        all.push(await compareTree(files, mounted, folder, { ...options, ...more }));
      return joined(all);
    });
  const first = await pass();
  const second = await pass();
  const leader = await cluster.leader();
  let comparedBeforeDeath = 0;
  const third = await pass({
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
  const total = async (metric: string): Promise<number> =>
    (await Promise.all(cluster.workers.map((worker) => worker.metric(metric)))).reduce((sum, value) => sum + value, 0);
  const counted = () => Promise.all([total('sluice_worker_ufs_reads_total'), total('sluice_worker_page_hits_total')]);
  const [reads, hits] = await counted();
  const begun = performance.now();
  const comparison = await compare();
  const seconds = (performance.now() - begun) / 1000;
  const [readsAfter, hitsAfter] = await counted();
  return { comparison, seconds, ufsReads: readsAfter - reads, pageHits: hitsAfter - hits };
}
