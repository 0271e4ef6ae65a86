import type { QuorumInfo, QuorumMember } from '../model/report.ts';
import type { LogIndex, NodeId } from '../raft/position.ts';
import type { RaftStatus } from '../raft/raft.ts';

export interface QuorumFacts {
  readonly clusterId: string;
  readonly status: RaftStatus;
  readonly appliedIndex: LogIndex;
  readonly members: ReadonlyMap<NodeId, string>;
  /** Since something came from the peer; -1 when nothing ever did. */
  sinceHeardMs(peer: NodeId): number;
}

/** What one master knows about all. */
export function quorumInfo(facts: QuorumFacts): QuorumInfo {
  const { clusterId, status, appliedIndex, members } = facts;
  const rows = [...members].map(([id, address]): QuorumMember => {
    if (id === status.id) return { id, address, role: status.role, matchIndex: status.durable, lastContactMs: 0 };
    const peer = status.peers.get(id);
    const role = id === status.leader ? 'leader' : status.role === 'leader' ? 'follower' : 'unknown';
    return { id, address, role, matchIndex: peer?.match ?? -1, lastContactMs: facts.sinceHeardMs(id) };
  });
  return {
    clusterId,
    self: status.id,
    leader: status.leader ?? '',
    term: status.term,
    commitIndex: status.commit,
    appliedIndex,
    lastIndex: status.last.index,
    members: rows,
  };
}
