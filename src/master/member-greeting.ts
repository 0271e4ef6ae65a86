import type { Greeting, RaftTiming } from '../wire/greeting.ts';
import type { BornBinding } from './folder-binding.ts';
import type { Journal } from './journal.ts';
import type { MasterPlace } from './master-place.ts';

/** What a member of a cluster says of itself. @param journal once it is open */
export function greetingOf(
  member: BornBinding,
  place: MasterPlace,
  timing: RaftTiming,
  journal: Journal | undefined,
): Greeting {
  const { cluster, clusterId, id, birth, state } = member;
  const { address, clientAddress } = place;
  return {
    cluster,
    clusterId,
    id,
    address,
    clientAddress,
    removed: state === 'removed',
    heard: [],
    birth,
    committed: journal?.committed,
    timing,
  };
}
