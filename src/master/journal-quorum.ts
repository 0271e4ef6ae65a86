import type { QuorumInfo, QuorumMember } from '../model/report.ts';
import { allMembers, isJoint, type Membership, memberName } from '../raft/membership.ts';
import type { LogIndex, NodeId } from '../raft/position.ts';
import type { RaftStatus } from '../raft/raft.ts';

export interface QuorumFacts {
  readonly clusterId: string;
  readonly status: RaftStatus;
  readonly appliedIndex: LogIndex;
  /** Since something came from the peer; -1 when nothing ever did. */
  sinceHeardMs(peer: NodeId): number;
}

/** What one master knows about all. */
export function quorumInfo(facts: QuorumFacts): QuorumInfo {
  const { clusterId, status, appliedIndex } = facts;
  const { membership, leader } = status;
  return {
    clusterId,
    self: memberName(status.id),
    leader: leader === undefined ? '' : memberName(leader),
    term: status.term,
    commitIndex: status.commit,
    appliedIndex,
    lastIndex: status.last.index,
    changing: isJoint(membership) || !status.membershipCommitted,
    members: allMembers(membership).map((id) => member(facts, id)),
  };
}

/** Where clients reach a member; undefined when it is not known. */
export function clientAddressIn({ members }: Membership, id: NodeId | undefined): string | undefined {
  const address = members.find((info) => info.id === id)?.clientAddress;
  return address === '' ? undefined : address;
}

/** Where clients reach the members, as far as it is known. */
export function clientAddressesIn({ members }: Membership): readonly string[] {
  return members.map(({ clientAddress }) => clientAddress).filter((address) => address !== '');
}

/** Where the members reach each other, as far as it is known. */
export function addressesIn({ members }: Membership): ReadonlyMap<NodeId, string> {
  return new Map(members.map(({ id, address }) => [id, address]));
}

function member({ status, sinceHeardMs }: QuorumFacts, id: NodeId): QuorumMember {
  const { membership } = status;
  const info = membership.members.find((each) => each.id === id);
  const fixed = {
    id: memberName(id),
    identity: id,
    address: info?.address ?? '',
    clientAddress: info?.clientAddress ?? '',
    vote: voteOf(membership, id),
    priority: info?.priority ?? 0,
  };
  if (id === status.id) return { ...fixed, role: ownRole(status), matchIndex: status.durable, lastContactMs: 0 };
  const matchIndex = status.peers.get(id)?.match ?? -1;
  return { ...fixed, role: roleOf(status, id), matchIndex, lastContactMs: sinceHeardMs(id) };
}

function ownRole({ role, membership, id }: RaftStatus): QuorumMember['role'] {
  return role === 'follower' && membership.learners.includes(id) ? 'learner' : role;
}

/** What another one does is known of the leader, and to the leader. */
function roleOf({ leader, role, membership }: RaftStatus, id: NodeId): QuorumMember['role'] {
  if (id === leader) return 'leader';
  if (role !== 'leader') return 'unknown';
  return voteOf(membership, id) === 'learner' ? 'learner' : 'follower';
}

function voteOf(membership: Membership, id: NodeId): QuorumMember['vote'] {
  const { voters, outgoing } = membership;
  if (!isJoint(membership)) return voters.includes(id) ? 'voter' : 'learner';
  if (!voters.includes(id)) return outgoing.includes(id) ? 'leaving' : 'learner';
  return outgoing.includes(id) ? 'voter' : 'joining';
}
