import { Client, credentials, type ServiceError } from '@grpc/grpc-js';
import type { Clock } from '../base/clock.ts';
import { SluiceError } from '../model/errors.ts';
import { CLOSE_REQUEST, OPEN_REPLY, OPEN_REQUEST, READ_REPLY, READ_REQUEST } from './codec/snapshot.ts';
import { callMetadata } from './credentials.ts';
import { SnapshotServiceService } from './gen/sluice/v1/snapshot.ts';
import { CLIENT_OPTIONS, KEEPALIVE_OPTIONS, sameBytes } from './grpc-options.ts';
import { fromGrpcStatus } from './grpc-status.ts';
import type { SnapshotChunk, SnapshotHeader, SnapshotOrder, SnapshotReader } from './snapshot-reader.ts';

export interface SnapshotChannelOptions {
  /** `host:port` of the master whose snapshots these are. */
  readonly address: string;
  /** The cluster that it must belong to; empty: any. */
  readonly clusterId: string;
  readonly token?: string;
  /** How long one call may take; a hundredth of it would do. */
  readonly callMs?: number;
  readonly clock: Clock;
}

const CALL_MS = 20_000;

/** Another master's snapshots, over a connection of their own, so that nothing waits behind their bytes. */
export class SnapshotChannel implements SnapshotReader {
  readonly #options: SnapshotChannelOptions;
  readonly #client: Client;

  constructor(options: SnapshotChannelOptions) {
    this.#options = options;
    this.#client = new Client(options.address, credentials.createInsecure(), {
      ...CLIENT_OPTIONS,
      ...KEEPALIVE_OPTIONS,
    });
  }

  async open(order: SnapshotOrder): Promise<SnapshotHeader> {
    const { clusterId } = this.#options;
    const request = OPEN_REQUEST.encode({ resume: '', latest: false, ...order, clusterId });
    return OPEN_REPLY.decode(await this.#call(SnapshotServiceService.openSnapshot.path, request));
  }

  async read(id: string, after: string): Promise<SnapshotChunk> {
    const request = READ_REQUEST.encode({ id, after });
    return READ_REPLY.decode(await this.#call(SnapshotServiceService.readSnapshot.path, request));
  }

  async close(id: string): Promise<void> {
    await this.#call(SnapshotServiceService.closeSnapshot.path, CLOSE_REQUEST.encode(id));
  }

  /** Ends the connection; calls that wait are refused. */
  end(): void {
    this.#client.close();
  }

  #call(path: string, request: Uint8Array): Promise<Buffer> {
    const { address, token, clock, callMs = CALL_MS } = this.#options;
    const deadline = clock.wallMs() + callMs;
    return new Promise((resolve, reject) => {
      const done = (error: ServiceError | null, answer?: Buffer): void => {
        if (error === null && answer !== undefined) resolve(answer);
        else if (error !== null) reject(fromGrpcStatus(error, `Master ${address}`));
        else reject(new SluiceError('INTERNAL', `Master ${address} answered nothing`));
      };
      const body = Buffer.from(request.buffer, request.byteOffset, request.length);
      this.#client.makeUnaryRequest(path, sameBytes, sameBytes, body, callMetadata(token), { deadline }, done);
    });
  }
}
