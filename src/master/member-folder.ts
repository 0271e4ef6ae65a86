import type { DataFolder } from '../host/data-folder.ts';
import { SluiceError } from '../model/errors.ts';
import { clusterIdOf, newMemberId } from './cluster-id.ts';
import { type BornBinding, type FolderBinding, readBinding, writeBinding } from './folder-binding.ts';
import type { MasterPlace } from './master-place.ts';

/**
 * Takes the folder for the master at `place`: gives an empty one an id, and refuses one that is somebody else's: a
 * member that came back with the log of another one would break its promises.
 * @throws SluiceError INVALID_ARGUMENT when it belongs to another cluster or master, or to a removed one; CORRUPT
 */
export async function claimFolder(folder: DataFolder, place: MasterPlace): Promise<FolderBinding> {
  const bound = await readBinding(folder);
  if (bound === undefined) {
    const { cluster, name: member } = place;
    const unborn = { state: 'unborn', cluster, member, id: newMemberId(member) } as const;
    await writeBinding(folder, unborn);
    return unborn;
  }
  check(folder, place, bound);
  return bound.state === 'unborn' || bound.cluster !== '' ? bound : await upgrade(folder, place, bound);
}

function check(folder: DataFolder, place: MasterPlace, bound: FolderBinding): void {
  if (bound.state === 'removed') throw removedError(folder, bound);
  const message =
    bound.member !== place.name
      ? `Data folder ${folder.path} belongs to master ${bound.member}, not to ${place.name}: correct master.name, or ` +
        'choose another folder'
      : bound.cluster !== '' && bound.cluster !== place.cluster
        ? `Data folder ${folder.path} belongs to a cluster named ${bound.cluster}, not ${place.cluster}: correct ` +
          'master.cluster, or choose another folder'
        : undefined;
  if (message !== undefined) throw new SluiceError('INVALID_ARGUMENT', message);
}

/** What a removed master says, and how it comes back. */
export function removedError({ path }: DataFolder, { member, clusterId, id }: BornBinding): SluiceError {
  const message =
    `Master ${member} (${id}) was removed from cluster ${clusterId}, and data folder ${path} is of no use any more: ` +
    `move it away; to take part again, start with an empty folder and run: sluice admin quorum add ${member}=HOST:PORT`;
  return new SluiceError('INVALID_ARGUMENT', message);
}

/** A folder of the first versions: its members are those of `master.peers`, known by their names. */
async function upgrade(folder: DataFolder, place: MasterPlace, bound: BornBinding): Promise<BornBinding> {
  const names = [place.name, ...place.others.keys()].sort();
  const clusterId = clusterIdOf(place.cluster, names);
  if (clusterId !== bound.clusterId) {
    const message =
      `Data folder ${folder.path} belongs to cluster ${bound.clusterId}, but master.cluster and master.peers make ` +
      `${clusterId}: correct them, or choose another folder`;
    throw new SluiceError('INVALID_ARGUMENT', message);
  }
  const birth = names.map((id) => ({
    id,
    address: place.others.get(id) ?? place.address,
    clientAddress: place.clientAddressOf(id),
    priority: 0,
  }));
  const upgraded = { ...bound, cluster: place.cluster, birth };
  await writeBinding(folder, upgraded);
  return upgraded;
}
