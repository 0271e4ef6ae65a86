import { DONE, type Result } from './apply-context.ts';
import type { CommandOf } from './command.ts';
import { FIRST_INODE_ID, ROOT_INODE_ID } from './inode.ts';
import { NO_MOUNT_ID } from './mount.ts';
import { refuse } from './refusal.ts';
import { idKey, ROOT_KEY, ROOT_PLACE, type StateStore } from './state-store.ts';

const ROOT_MODE = 0o755;

/** Applies `format`: the root and the counters of a new cluster. Each leader may propose it again; see the command. */
export function applyFormat(store: StateStore, atMs: number, command: CommandOf<'format'>): Result {
  const cluster = store.get('cluster', '');
  if (cluster?.clusterId === command.clusterId) return DONE;
  if (cluster !== undefined) {
    const message =
      `This namespace belongs to cluster ${cluster.clusterId}, not to ${command.clusterId}: use an empty ` +
      'data folder';
    return refuse('ALREADY_EXISTS', message);
  }
  store.put('cluster', '', { clusterId: command.clusterId, formattedMs: atMs });
  store.put('counters', '', {
    nextInodeId: FIRST_INODE_ID,
    nextMountId: NO_MOUNT_ID + 1,
    inodeCount: 1,
    logTimeMs: atMs,
    workersVersion: 0,
    mountsVersion: 0,
  });
  store.put('place', idKey(ROOT_INODE_ID), ROOT_PLACE);
  store.put('inode', ROOT_KEY, {
    kind: 'directory',
    id: ROOT_INODE_ID,
    owner: command.owner,
    group: command.group,
    mode: ROOT_MODE,
    createdMs: atMs,
    modifiedMs: atMs,
    accessedMs: atMs,
    changedMs: atMs,
    pinned: false,
    ttlMs: -1,
    ttlAction: 'free',
    persistence: 'cached',
    childCount: 0,
    childrenLoaded: true,
    mountPoint: false,
    mountsBelow: 0,
  });
  return DONE;
}
