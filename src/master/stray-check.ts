import { allMembers } from '../raft/membership.ts';
import type { NodeId } from '../raft/position.ts';
import type { CommittedMembership, Greeting } from '../wire/greeting.ts';

/** Whether who says hello knows that the cluster goes on without a member that knows only `own`. */
export function isStray(
  id: NodeId,
  clusterId: string,
  own: CommittedMembership,
  { clusterId: theirs, committed }: Greeting,
) {
  if (theirs !== clusterId || committed === undefined || committed.applied < own.applied) return false;
  const members = allMembers(committed.membership);
  return members.length > 0 && !members.includes(id) && allMembers(own.membership).includes(id);
}
