import { SluiceError } from '../../model/errors.ts';
import type { ClusterReport, QuorumInfo, QuorumMember } from '../../model/report.ts';
import { GetReportResponse } from '../gen/sluice/v1/admin.ts';
import {
  GetQuorumResponse,
  type QuorumInfo as QuorumInfoMessage,
  QuorumRole as QuorumRoleNumber,
  QuorumVote as QuorumVoteNumber,
  TransferLeadershipRequest,
  TransferLeadershipResponse,
} from '../gen/sluice/v1/journal.ts';
import { messageCodec } from './codec.ts';
import { WordTable } from './word-table.ts';
import { fromWorkerStatusMessage, toWorkerStatusMessage } from './worker.ts';

const ROLES = new WordTable<QuorumMember['role'], QuorumRoleNumber>('role', {
  leader: QuorumRoleNumber.QUORUM_ROLE_LEADER,
  follower: QuorumRoleNumber.QUORUM_ROLE_FOLLOWER,
  candidate: QuorumRoleNumber.QUORUM_ROLE_CANDIDATE,
  preCandidate: QuorumRoleNumber.QUORUM_ROLE_PRE_CANDIDATE,
  learner: QuorumRoleNumber.QUORUM_ROLE_LEARNER,
  unknown: QuorumRoleNumber.QUORUM_ROLE_UNKNOWN,
});

const VOTES = new WordTable<QuorumMember['vote'], QuorumVoteNumber>('vote', {
  voter: QuorumVoteNumber.QUORUM_VOTE_VOTER,
  learner: QuorumVoteNumber.QUORUM_VOTE_LEARNER,
  joining: QuorumVoteNumber.QUORUM_VOTE_JOINING,
  leaving: QuorumVoteNumber.QUORUM_VOTE_LEAVING,
});

function toQuorum(info: QuorumInfo): QuorumInfoMessage {
  const members = info.members.map((member) => {
    return { ...member, role: ROLES.number(member.role), vote: VOTES.number(member.vote) };
  });
  return { ...info, members };
}

function fromQuorum(message: QuorumInfoMessage | undefined): QuorumInfo {
  if (message === undefined) throw new SluiceError('INVALID_ARGUMENT', 'Missing: the quorum in the reply');
  const members = message.members.map((member) => {
    return { ...member, role: ROLES.word(member.role), vote: VOTES.word(member.vote) };
  });
  return { ...message, members };
}

export const QUORUM_REPLY = messageCodec(
  GetQuorumResponse,
  (info: QuorumInfo) => ({ quorum: toQuorum(info) }),
  (message) => fromQuorum(message.quorum),
);

/** Who shall lead; undefined leaves the choice to the leader. */
export const TRANSFER_REQUEST = messageCodec(
  TransferLeadershipRequest,
  (to: string | undefined) => ({ to: to ?? '' }),
  ({ to }) => (to === '' ? undefined : to),
);

/** Who leads now. */
export const TRANSFER_REPLY = messageCodec(
  TransferLeadershipResponse,
  (leader: string) => ({ leader }),
  ({ leader }) => leader,
);

export const REPORT_REPLY = messageCodec(
  GetReportResponse,
  (report: ClusterReport) => ({
    ...report,
    quorum: toQuorum(report.quorum),
    workers: report.workers.map(toWorkerStatusMessage),
  }),
  (message): ClusterReport => ({
    ...message,
    quorum: fromQuorum(message.quorum),
    workers: message.workers.map(fromWorkerStatusMessage),
  }),
);
