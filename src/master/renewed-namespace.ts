import type { Tables } from '../model/state-store.ts';

/**
 * Numbers that the future which a new cluster does not have may have given to files: nobody gets them again, because
 * workers may have content under them.
 */
const SKIPPED_IDS = 2 ** 40;
/** So that whoever compares versions takes those of the new cluster for newer ones. */
const SKIPPED_VERSIONS = 2 ** 20;

/** The rows that say which cluster a namespace belongs to, for a new cluster that takes it over. */
export function renewNamespace(
  cluster: Tables['cluster'],
  counters: Tables['counters'],
  clusterId: string,
): { readonly cluster: Tables['cluster']; readonly counters: Tables['counters']; readonly epoch: number } {
  const epoch = (cluster.epoch ?? 0) + 1;
  const from = counters.nextInodeId;
  const nextInodeId = from + SKIPPED_IDS;
  return {
    epoch,
    cluster: {
      ...cluster,
      clusterId,
      epoch,
      skippedIds: [...(cluster.skippedIds ?? []), { from, below: nextInodeId }],
    },
    counters: {
      ...counters,
      nextInodeId,
      workersVersion: counters.workersVersion + SKIPPED_VERSIONS,
      mountsVersion: counters.mountsVersion + SKIPPED_VERSIONS,
    },
  };
}
