import { SluiceError } from '../model/errors.ts';
import { CLOSE_REQUEST, OPEN_REPLY, OPEN_REQUEST, READ_REPLY, READ_REQUEST } from './codec/snapshot.ts';
import { SnapshotServiceService } from './gen/sluice/v1/snapshot.ts';
import type { GrpcService, UnaryMethod } from './grpc-server.ts';
import type { SnapshotReader } from './snapshot-reader.ts';

/**
 * Serves the snapshots of a master of the cluster `clusterId` to other masters, and to operators for backups.
 * @param snapshots undefined while it starts
 */
export function snapshotService(snapshots: () => SnapshotReader | undefined, clusterId: string): GrpcService {
  const source = (): SnapshotReader => {
    const ready = snapshots();
    if (ready !== undefined) return ready;
    throw new SluiceError('UNAVAILABLE', 'This master is starting: try again soon');
  };
  return {
    unary: new Map<string, UnaryMethod>([
      [
        SnapshotServiceService.openSnapshot.path,
        async (request) => {
          const { clusterId: wanted, ...order } = OPEN_REQUEST.decode(request);
          if (wanted !== '' && wanted !== clusterId) throw otherCluster(wanted, clusterId);
          return OPEN_REPLY.encode(await source().open(order));
        },
      ],
      [
        SnapshotServiceService.readSnapshot.path,
        async (request) => {
          const { id, after } = READ_REQUEST.decode(request);
          return READ_REPLY.encode(await source().read(id, after));
        },
      ],
      [
        SnapshotServiceService.closeSnapshot.path,
        async (request) => {
          await source().close(CLOSE_REQUEST.decode(request));
          return new Uint8Array(0);
        },
      ],
    ]),
  };
}

function otherCluster(wanted: string, clusterId: string): SluiceError {
  const message = `A snapshot of cluster ${wanted} was asked of a master of cluster ${clusterId}: check the addresses`;
  return new SluiceError('INVALID_ARGUMENT', message);
}
