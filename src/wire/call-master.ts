import { Client, type ClientUnaryCall, credentials, type ServiceError } from '@grpc/grpc-js';
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
  /** The master was reached, and has been asked; said of calls that last as long as their connection. */
  connected?(): void;
  /** Gives the call up. */
  readonly signal?: AbortSignal | undefined;
}

/** As errors of gRPC are marked: the master did not say it. */
const UNREACHED = { details: { transport: true } };

/**
 * One rare call to a master, over a connection of its own. @throws SluiceError as the master said, or as gRPC did;
 * CANCELLED
 */
export function callMaster(call: MasterCall): Promise<Uint8Array> {
  const { address, token, path, request, deadlineMs, whileConnected = false, signal } = call;
  const client = new Client(address, credentials.createInsecure(), { ...CLIENT_OPTIONS, ...KEEPALIVE_OPTIONS });
  const options = whileConnected ? {} : { deadline: deadlineMs };
  return new Promise((resolve, reject) => {
    let asked: ClientUnaryCall | undefined;
    const end = (): void => {
      signal?.removeEventListener('abort', giveUp);
      client.close();
    };
    const giveUp = (): void => {
      asked?.cancel();
      end();
      reject(new SluiceError('CANCELLED', `The caller gave up waiting for master ${address}`));
    };
    if (signal?.aborted) return giveUp();
    signal?.addEventListener('abort', giveUp, { once: true });
    const done = (error: ServiceError | null, answer?: Buffer): void => {
      end();
      if (error === null && answer !== undefined) resolve(answer);
      else if (error !== null) reject(fromGrpcStatus(error, `Master ${address}`));
      else reject(new SluiceError('INTERNAL', `Master ${address} answered nothing`));
    };
    const ask = (): void => {
      const bytes = Buffer.from(request);
      asked = client.makeUnaryRequest(path, sameBytes, sameBytes, bytes, callMetadata(token), options, done);
    };
    if (!whileConnected) ask();
    else
      client.waitForReady(deadlineMs, (error) => {
        if (error === undefined) {
          call.connected?.();
          ask();
        } else {
          end();
          reject(new SluiceError('UNAVAILABLE', `Master ${address} cannot be reached: ${error.message}`, UNREACHED));
        }
      });
  });
}
