import type { DigestRound } from '../model/report.ts';
import { COMPARISON_REPLY } from './codec/comparison.ts';
import { AdminServiceService } from './gen/sluice/v1/admin.ts';
import type { GrpcService } from './grpc-server.ts';

/** Lets operators have the states of all masters compared. @param compare throws NOT_LEADER, UNAVAILABLE */
export function comparisonService(compare: () => Promise<DigestRound>): GrpcService {
  return {
    unary: new Map([[AdminServiceService.compareStates.path, async () => COMPARISON_REPLY.encode(await compare())]]),
  };
}
