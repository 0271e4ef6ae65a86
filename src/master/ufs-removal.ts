import type { InodeId } from '../model/inode.ts';
import { dentryPrefix } from '../model/state-store.ts';
import { proposeLoad, type SyncParts } from './sync-parts.ts';
import { isOfUfs } from './ufs-difference.ts';

const REMOVALS_PER_COMMAND = 1_000;

/**
 * Takes all that came from the UFS out of a directory that the UFS no longer has, bottom-up. What is ours alone stays,
 * and
 * with it the directories above it. Ends early when `stop` says that somebody changes the tree meanwhile.
 */
export async function emptyOut(parts: SyncParts, directoryId: InodeId, stop: () => boolean): Promise<void> {
  const prefix = dentryPrefix(directoryId);
  for (let after = ''; ; ) {
    const rows = await parts.state.state.scan('inode', { prefix, after, limit: REMOVALS_PER_COMMAND });
    const removals: { readonly name: string; readonly id: InodeId }[] = [];
    for (const { key, row } of rows) {
      after = key;
      if (!isOfUfs(row)) continue;
      if (row.kind === 'directory' && row.childCount > 0) await emptyOut(parts, row.id, stop);
      removals.push({ name: key.slice(prefix.length), id: row.id });
    }
    if (stop()) return;
    if (removals.length > 0 && !(await proposeLoad(parts, { directoryId, removals }))) return;
    if (rows.length < REMOVALS_PER_COMMAND) return;
  }
}
