import type { Clock } from '../base/clock.ts';
import { SluiceError } from '../model/errors.ts';
import type { StateDigest } from '../model/report.ts';
import { callMaster } from './call-master.ts';
import { DIGEST_REPLY, DIGEST_REQUEST } from './codec/comparison.ts';
import { RaftServiceService } from './gen/sluice/v1/raft.ts';
import type { GrpcService } from './grpc-server.ts';

export interface DigestExchangeOptions {
  readonly clusterId: string;
  readonly token: string;
  readonly clock: Clock;
}

const CONNECT_MS = 3_000;

/** How masters tell each other the digests of their states. */
export class DigestExchange {
  readonly #options: DigestExchangeOptions;

  constructor(options: DigestExchangeOptions) {
    this.#options = options;
  }

  /** @param digestAt the digest as entry `index` left the state, when it is there. @throws SluiceError */
  service(digestAt: (index: number) => Promise<StateDigest>): GrpcService {
    const answer = async (bytes: Buffer): Promise<Uint8Array> => {
      const { clusterId, index } = DIGEST_REQUEST.decode(bytes);
      if (clusterId !== this.#options.clusterId)
        throw new SluiceError('INVALID_ARGUMENT', `A master of cluster ${clusterId} asks: check its addresses`);
      return DIGEST_REPLY.encode(await digestAt(index));
    };
    return { unary: new Map([[RaftServiceService.getDigest.path, answer]]) };
  }

  /** Asks the master at `address` and waits as long as it lives. @throws SluiceError */
  async ask(address: string, index: number): Promise<StateDigest> {
    const { clusterId, token, clock } = this.#options;
    const request = DIGEST_REQUEST.encode({ clusterId, index });
    const deadlineMs = clock.wallMs() + CONNECT_MS;
    const path = RaftServiceService.getDigest.path;
    return DIGEST_REPLY.decode(await callMaster({ address, token, path, request, deadlineMs, whileConnected: true }));
  }
}
