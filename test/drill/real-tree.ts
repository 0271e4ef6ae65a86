import { realpathSync } from 'node:fs';
import { FileSystem } from '../../src/client/file-system.ts';
import { ProcessCluster } from '../support/process-cluster.ts';
import type { CompareOptions } from './tree.ts';
import { passOverTrees, type TreePasses } from './tree-passes.ts';

/** Mounts a folder of this machine, read-only, in a real cluster, and compares it with what the workers give. */
export async function runRealTree(folder: string, options: CompareOptions = {}): Promise<TreePasses> {
  const real = realpathSync(folder);
  const cluster = await ProcessCluster.start({ workers: 2 });
  try {
    await using files = await FileSystem.connect({ masters: cluster.addresses });
    await files.mount('/tree', `file://${encodeURI(real)}`, { readOnly: true, syncIntervalMs: -1 });
    return await passOverTrees(cluster, files, [{ mounted: '/tree', folder: real }], options);
  } finally {
    await cluster.close();
  }
}
