import { open, readFile, rename } from 'node:fs/promises';
import type { DataFolder } from '../host/data-folder.ts';
import { SluiceError } from '../model/errors.ts';
import type { MemberInfo } from '../raft/membership.ts';
import type { NodeId } from '../raft/position.ts';

/** A folder that has a member id, and belongs to no cluster yet. */
export interface UnbornBinding {
  readonly state: 'unborn';
  /** `master.cluster`; empty in folders that were made before it was recorded. */
  readonly cluster: string;
  /** `master.name`. */
  readonly member: string;
  readonly id: NodeId;
}

/** A folder that belongs to a member of a cluster, for ever. */
export interface BornBinding {
  /** `removed`: the cluster goes on without this member. */
  readonly state: 'member' | 'removed';
  readonly cluster: string;
  readonly clusterId: string;
  readonly member: string;
  readonly id: NodeId;
  /** The first members of the cluster when this is one of them; empty in who came later. */
  readonly birth: readonly MemberInfo[];
}

export type FolderBinding = UnbornBinding | BornBinding;

const FILE = 'cluster.json';

/** Whom a folder is bound to; undefined when to nobody yet. @throws SluiceError CORRUPT */
export async function readBinding(folder: DataFolder): Promise<FolderBinding | undefined> {
  let text: string;
  try {
    text = await readFile(folder.at(FILE), 'utf8');
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw SluiceError.from(thrown, 'PERMISSION_DENIED', `${folder.at(FILE)} cannot be read`);
  }
  const binding = parseBinding(text);
  if (binding !== undefined) return binding;
  throw new SluiceError(
    'CORRUPT',
    `${folder.at(FILE)} is damaged: restore it from a copy; when there is none, remove the whole folder and let this ` +
      'master join anew: sluice admin quorum add NAME=HOST:PORT',
  );
}

/** Binds the folder, durably. */
export async function writeBinding(folder: DataFolder, binding: FolderBinding): Promise<void> {
  const temporary = folder.at(`${FILE}.new`);
  const file = await open(temporary, 'w');
  try {
    await file.writeFile(`${JSON.stringify(toJson(binding))}\n`);
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

function toJson(binding: FolderBinding): object {
  return binding.state === 'unborn' ? binding : { ...binding, birth: { members: binding.birth } };
}

function parseBinding(text: string): FolderBinding | undefined {
  let value: Partial<Record<string, unknown>>;
  try {
    value = JSON.parse(text) as typeof value;
  } catch {
    // Not JSON: damage, which the caller reports.
    return undefined;
  }
  const { cluster = '', member, clusterId } = value;
  // Folders of the first versions have neither: their members are known by their names.
  const { id = member, state = 'member' } = value;
  if (typeof cluster !== 'string' || typeof member !== 'string' || typeof id !== 'string') return undefined;
  if (state === 'unborn') return { state, cluster, member, id };
  if (typeof clusterId !== 'string' || (state !== 'member' && state !== 'removed')) return undefined;
  const { members = [] } = (value['birth'] ?? {}) as { readonly members?: unknown };
  if (!Array.isArray(members) || !members.every(isInfo)) return undefined;
  return { state, cluster, clusterId, member, id, birth: members };
}

function isInfo(value: unknown): value is MemberInfo {
  if (typeof value !== 'object' || value === null) return false;
  const { id, address, clientAddress, priority } = value as Partial<Record<keyof MemberInfo, unknown>>;
  return [id, address, clientAddress].every((text) => typeof text === 'string') && Number.isInteger(priority);
}
