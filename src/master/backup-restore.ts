import { randomUUID } from 'node:crypto';
import { readdir, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { DataFolder } from '../host/data-folder.ts';
import { systemFiles } from '../host/file-operations.ts';
import { LevelDatabase } from '../host/level-database.ts';
import { SluiceError } from '../model/errors.ts';
import type { LogStore } from '../raft/log-store.ts';
import { type MemberInfo, membershipOf } from '../raft/membership.ts';
import { decodeRow, encodeApplied, encodeRow, encodeStoredMembership } from '../wire/codec/state.ts';
import type { SnapshotRow } from '../wire/snapshot-reader.ts';
import type { BackupManifest } from './backup-format.ts';
import { readBackup } from './backup-read.ts';
import { beginLog } from './begin-log.ts';
import { newMemberId } from './cluster-id.ts';
import { writeBinding } from './folder-binding.ts';
import type { MasterPlace } from './master-place.ts';
import { renewNamespace } from './renewed-namespace.ts';
import { APPLIED_KEY, MEMBERSHIP_KEY, TABLE_LETTERS } from './state-keys.ts';

export interface RestoreOrder {
  /** The backup. */
  readonly path: string;
  /** Data folder of the first master of the new cluster: missing or empty. */
  readonly folder: string;
  readonly place: MasterPlace;
  readonly signal: AbortSignal;
  /** Makes a store for the log in a data folder. */
  newLog(folder: string): LogStore;
  /** Told of rows that are verified or written: each is both, one after the other. */
  progress(rows: number, expected: number): void;
}

export interface Restored {
  readonly clusterId: string;
  /** Counts how often this namespace came out of a backup. */
  readonly epoch: number;
  readonly member: string;
  readonly manifest: BackupManifest;
}

const LEVEL_OPTIONS = { blockCacheBytes: 0, writeBufferBytes: 16 * 1024 * 1024 };
const CLUSTER_KEY = TABLE_LETTERS.cluster;
const COUNTERS_KEY = TABLE_LETTERS.counters;

/**
 * Makes the data folder of the first master of a new cluster, which has the namespace of a backup. The whole backup is
 * verified before anything is made, and the folder is there only when it is complete.
 * @throws SluiceError INVALID_ARGUMENT when the folder is not empty; as `readBackup`
 */
export async function restoreBackup(order: RestoreOrder): Promise<Restored> {
  const { path, folder, signal, progress } = order;
  await checkEmpty(folder);
  let rows = 0;
  let expected = 0;
  const count = (more: readonly SnapshotRow[]) => {
    rows += more.length;
    progress(rows, expected === 0 ? 2 * rows : expected);
  };
  const { rows: all } = await readBackup(path, signal, async (more) => count(more));
  expected = 2 * all;
  const part = `${folder}.restoring`;
  await rm(part, { recursive: true, force: true });
  try {
    const restored = await make(part, order, count);
    await rename(part, folder);
    await systemFiles.syncFolder(dirname(folder));
    return restored;
  } catch (thrown) {
    await rm(part, { recursive: true, force: true });
    throw thrown;
  }
}

async function make(
  part: string,
  { path, place, signal, newLog }: RestoreOrder,
  count: (rows: readonly SnapshotRow[]) => void,
): Promise<Restored> {
  const folder = await DataFolder.open(part, 'master');
  try {
    const clusterId = randomUUID();
    const id = newMemberId(place.name);
    const member: MemberInfo = { id, address: place.address, clientAddress: place.clientAddress, priority: 0 };
    const { manifest, epoch } = await fill(folder.at('state'), member, clusterId, path, signal, count);
    await beginLog(newLog(part), manifest.position, manifest.term);
    const { cluster, name } = place;
    await writeBinding(folder, { state: 'member', cluster, clusterId, member: name, id, birth: [member] });
    return { clusterId, epoch, member: name, manifest };
  } finally {
    await folder.close();
  }
}

async function fill(
  state: string,
  member: MemberInfo,
  clusterId: string,
  path: string,
  signal: AbortSignal,
  count: (rows: readonly SnapshotRow[]) => void,
): Promise<{ readonly manifest: BackupManifest; readonly epoch: number }> {
  const level = await LevelDatabase.openText(state, LEVEL_OPTIONS);
  try {
    const manifest = await readBackup(path, signal, async (rows) => {
      const batch = level.batch();
      for (const [key, value] of rows) batch.put(key, value);
      await batch.write({ sync: true });
      count(rows);
    });
    const { rows, epoch } = renewed(level, clusterId);
    const batch = level.batch();
    for (const [key, value] of rows) batch.put(key, value);
    batch.put(MEMBERSHIP_KEY, encodeStoredMembership({ ...membershipOf([member.id]), members: [member] }));
    batch.put(APPLIED_KEY, encodeApplied(manifest.position));
    await batch.write({ sync: true });
    return { manifest, epoch };
  } finally {
    await level.close();
  }
}

/** The rows that say which cluster this is, for the new one. */
function renewed(level: LevelDatabase<string>, clusterId: string): { rows: readonly SnapshotRow[]; epoch: number } {
  const clusterRow = level.getSync(CLUSTER_KEY);
  const countersRow = level.getSync(COUNTERS_KEY);
  if (clusterRow === undefined || countersRow === undefined)
    throw new SluiceError('INVALID_ARGUMENT', 'The backup is of a cluster that had no namespace yet: start a new one');
  const { cluster, counters, epoch } = renewNamespace(
    decodeRow('cluster', clusterRow),
    decodeRow('counters', countersRow),
    clusterId,
  );
  return {
    rows: [
      [CLUSTER_KEY, encodeRow('cluster', cluster)],
      [COUNTERS_KEY, encodeRow('counters', counters)],
    ],
    epoch,
  };
}

async function checkEmpty(folder: string): Promise<void> {
  const names = await readdir(folder).catch((thrown: NodeJS.ErrnoException): string[] => {
    if (thrown.code === 'ENOENT') return [];
    throw SluiceError.from(thrown, 'PERMISSION_DENIED', `Folder ${folder} cannot be read`);
  });
  if (names.length === 0) return;
  const message = `Folder ${folder} is not empty: choose another one, or move away what is in it`;
  throw new SluiceError('INVALID_ARGUMENT', message);
}
