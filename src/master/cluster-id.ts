import { createHash } from 'node:crypto';
import { open, readFile, rename } from 'node:fs/promises';
import type { DataFolder } from '../host/data-folder.ts';
import { SluiceError } from '../model/errors.ts';

const FILE = 'cluster.json';

/** The id of a cluster: the same on each of its first masters, without a word between them. Shaped as a UUID. */
export function clusterIdOf(name: string, members: readonly string[]): string {
  const text = JSON.stringify([name, [...members].sort()]);
  const hex = createHash('sha256').update(`sluice-cluster:${text}`).digest('hex');
  const parts = [
    hex.slice(0, 8),
    hex.slice(8, 12),
    `8${hex.slice(13, 16)}`,
    `8${hex.slice(17, 20)}`,
    hex.slice(20, 32),
  ];
  return parts.join('-');
}

/**
 * Binds a data folder to a cluster and to one of its members, for ever: a member that came back with the log of
 * another one
 * would break its promises.
 * @throws SluiceError INVALID_ARGUMENT when the folder belongs to another cluster or member, CORRUPT when that cannot
 * be read
 */
export async function bindFolder(folder: DataFolder, clusterId: string, member: string): Promise<void> {
  const bound = await readBinding(folder);
  if (bound === undefined) {
    await writeBinding(folder, JSON.stringify({ clusterId, member }));
    return;
  }
  if (bound.clusterId !== clusterId) {
    const message =
      `Data folder ${folder.path} belongs to cluster ${bound.clusterId}, but master.cluster and master.peers make ` +
      `${clusterId}: correct them, or choose another folder`;
    throw new SluiceError('INVALID_ARGUMENT', message);
  }
  if (bound.member !== member) {
    const message =
      `Data folder ${folder.path} belongs to master ${bound.member}, not to ${member}: ` +
      'correct master.name, or choose another folder';
    throw new SluiceError('INVALID_ARGUMENT', message);
  }
}

/** The cluster and member that a folder is bound to; undefined when to none yet. @throws SluiceError CORRUPT */
export async function readBinding(
  folder: DataFolder,
): Promise<{ readonly clusterId: string; readonly member: string } | undefined> {
  let text: string;
  try {
    text = await readFile(folder.at(FILE), 'utf8');
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw SluiceError.from(thrown, 'PERMISSION_DENIED', `${folder.at(FILE)} cannot be read`);
  }
  try {
    const { clusterId, member } = JSON.parse(text) as { readonly clusterId?: unknown; readonly member?: unknown };
    if (typeof clusterId === 'string' && typeof member === 'string') return { clusterId, member };
  } catch {
    // Not JSON: reported below like any other damage.
  }
  throw new SluiceError(
    'CORRUPT',
    `${folder.at(FILE)} is damaged: write it anew as {"clusterId":"…","member":"…"}, with the id of the cluster ` +
      '(sluice admin quorum info) and the name of this master',
  );
}

async function writeBinding(folder: DataFolder, text: string): Promise<void> {
  const temporary = folder.at(`${FILE}.new`);
  const file = await open(temporary, 'w');
  try {
    await file.writeFile(`${text}\n`);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(temporary, folder.at(FILE));
  const directory = await open(folder.path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
