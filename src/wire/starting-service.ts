import { SluiceError } from '../model/errors.ts';
import { AdminServiceService } from './gen/sluice/v1/admin.ts';
import { JournalServiceService } from './gen/sluice/v1/journal.ts';
import { MetadataServiceService } from './gen/sluice/v1/metadata.ts';
import { RaftServiceService } from './gen/sluice/v1/raft.ts';
import { RegistryServiceService } from './gen/sluice/v1/registry.ts';
import type { GrpcService, StreamMethod, UnaryMethod } from './grpc-server.ts';
import { toGrpcStatus } from './grpc-status.ts';

/** Tells clients, workers and masters that this master cannot serve them yet, and `why`. */
export function startingService(why: () => string): GrpcService {
  // Who asks goes on with the next master.
  const refusal = () => new SluiceError('NOT_LEADER', why());
  const refuse: UnaryMethod = () => Promise.reject(refusal());
  const end: StreamMethod = (call) => call.emit('error', toGrpcStatus(refusal()));
  const services = [AdminServiceService, JournalServiceService, MetadataServiceService, RegistryServiceService];
  const methods = services.flatMap((service) => Object.values(service));
  return {
    unary: new Map(methods.filter((each) => !each.requestStream).map(({ path }) => [path, refuse])),
    streams: new Map(methods.filter((each) => each.requestStream).map(({ path }) => [path, end])),
    inputs: new Map([[RaftServiceService.exchange.path, (_, done) => done(toGrpcStatus(refusal()))]]),
  };
}
