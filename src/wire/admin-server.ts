import type { ClusterReport, QuorumInfo } from '../model/report.ts';
import { QUORUM_REPLY, REPORT_REPLY, TRANSFER_REPLY, TRANSFER_REQUEST } from './codec/report.ts';
import { AdminServiceService } from './gen/sluice/v1/admin.ts';
import { JournalServiceService } from './gen/sluice/v1/journal.ts';
import type { GrpcService, UnaryMethod } from './grpc-server.ts';

/** What operators may ask a master. */
export interface AdminHandlers {
  /** @throws SluiceError NOT_LEADER with details `leader`. */
  report(): Promise<ClusterReport>;
  /** Raft's state as this master sees it, leader or not. */
  quorum(): QuorumInfo;
  /** Hands leadership to `to`, or to whom this master chooses. @returns who leads then. @throws NOT_LEADER */
  transfer(to: string | undefined): Promise<string>;
}

/** Serves `handlers` to operators. */
export function adminService(handlers: AdminHandlers): GrpcService {
  return {
    unary: new Map<string, UnaryMethod>([
      [AdminServiceService.getReport.path, async () => REPORT_REPLY.encode(await handlers.report())],
      [JournalServiceService.getQuorum.path, async () => QUORUM_REPLY.encode(handlers.quorum())],
      [
        JournalServiceService.transferLeadership.path,
        async (request) => TRANSFER_REPLY.encode(await handlers.transfer(TRANSFER_REQUEST.decode(request))),
      ],
    ]),
  };
}
