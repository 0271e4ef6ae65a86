import { Client, credentials, type ServiceError } from '@grpc/grpc-js';
import { SluiceError } from '../model/errors.ts';
import { callMetadata } from './credentials.ts';
import { CLIENT_OPTIONS, KEEPALIVE_OPTIONS, sameBytes } from './grpc-options.ts';
import { fromGrpcStatus } from './grpc-status.ts';

export interface MasterCall {
  /** `host:port`. */
  readonly address: string;
  readonly token: string | undefined;
  /** Of the gRPC method. */
  readonly path: string;
  readonly request: Uint8Array;
  /** Wall-clock time by which the master must have answered. */
  readonly deadlineMs: number;
  /** By then there must be a connection only; from there on the call lasts as long as the master answers pings. */
  readonly whileConnected?: boolean;
}

/** As errors of gRPC are marked: the master did not say it. */
const UNREACHED = { details: { transport: true } };

/** One rare call to a master, over a connection of its own. @throws SluiceError as the master said, or as gRPC did. */
export function callMaster(call: MasterCall): Promise<Uint8Array> {
  const { address, token, path, request, deadlineMs, whileConnected = false } = call;
  const client = new Client(address, credentials.createInsecure(), { ...CLIENT_OPTIONS, ...KEEPALIVE_OPTIONS });
  const options = whileConnected ? {} : { deadline: deadlineMs };
  return new Promise((resolve, reject) => {
    const done = (error: ServiceError | null, answer?: Buffer): void => {
      client.close();
      if (error === null && answer !== undefined) resolve(answer);
      else if (error !== null) reject(fromGrpcStatus(error, `Master ${address}`));
      else reject(new SluiceError('INTERNAL', `Master ${address} answered nothing`));
    };
    const ask = () =>
      client.makeUnaryRequest(path, sameBytes, sameBytes, Buffer.from(request), callMetadata(token), options, done);
    if (!whileConnected) ask();
    else
      client.waitForReady(deadlineMs, (error) => {
        if (error === undefined) ask();
        else {
          client.close();
          reject(new SluiceError('UNAVAILABLE', `Master ${address} cannot be reached: ${error.message}`, UNREACHED));
        }
      });
  });
}
