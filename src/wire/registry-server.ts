import { Metadata, type ServerDuplexStream } from '@grpc/grpc-js';
import { SluiceError } from '../model/errors.ts';
import { LEADER_MESSAGE, WORKER_MESSAGE } from './codec/registry.ts';
import { RegistryServiceService } from './gen/sluice/v1/registry.ts';
import type { GrpcService } from './grpc-server.ts';
import { refusalOf, toGrpcStatus } from './grpc-status.ts';
import { MasterDirectory } from './master-directory.ts';
import type { LeaderMessage, WorkerMessage } from './registry-messages.ts';

/** The leader's end of a worker's stream. */
export interface WorkerStream {
  /** Says something; when the worker reads too slowly for it, its stream is ended, and it comes again for all of it. */
  send(message: LeaderMessage): void;
  /** Ends the stream; NOT_LEADER with details `leader` sends the worker there. Later calls do nothing. */
  end(error: SluiceError): void;
}

/** What a registry does with a worker's stream. Must not throw. */
export interface WorkerStreamListener {
  message(message: WorkerMessage): void;
  /** Said once, whoever ended it. */
  closed(): void;
}

type Call = ServerDuplexStream<Buffer, Buffer>;

const REQUEST_BYTES_MAX = 4 * 2 ** 20;
const QUEUED_BYTES_MAX = 16 * 2 ** 20;

/** Serves the streams of workers. `connected` is called for each and says who listens to it; all hear of `masters`. */
export function registryService(
  connected: (stream: WorkerStream) => WorkerStreamListener,
  masters: MasterDirectory = new MasterDirectory(),
): GrpcService {
  return { streams: new Map([[RegistryServiceService.connect.path, (call) => serve(call, connected, masters)]]) };
}

function serve(call: Call, connected: (stream: WorkerStream) => WorkerStreamListener, masters: MasterDirectory): void {
  let over = false;
  /** Handed to gRPC and not taken by the kernel yet. */
  let queuedBytes = 0;
  let listener: WorkerStreamListener | undefined;
  let stopTelling = (): void => undefined;
  const finish = (): void => {
    if (over) return;
    over = true;
    stopTelling();
    listener?.closed();
  };
  const end = (error: SluiceError): void => {
    if (over) return;
    call.emit('error', toGrpcStatus(error));
    finish();
  };
  const send = (message: LeaderMessage): void => {
    if (over) return;
    const encoded = LEADER_MESSAGE.encode(message);
    const bytes = Buffer.from(encoded.buffer, encoded.byteOffset, encoded.length);
    if (queuedBytes > 0 && queuedBytes + bytes.length > QUEUED_BYTES_MAX) {
      end(new SluiceError('EXHAUSTED', `The worker has not read ${queuedBytes} bytes: connect again`));
      return;
    }
    queuedBytes += bytes.length;
    call.write(bytes, () => {
      queuedBytes -= bytes.length;
    });
  };
  call.sendMetadata(new Metadata());
  const tell = () => {
    if (masters.addresses.length > 0) send({ kind: 'masters', addresses: masters.addresses });
  };
  tell();
  stopTelling = masters.listen(tell);
  listener = connected({ send, end });
  // It may have been ended by `connected` already, before there was anybody to tell.
  if (over) listener.closed();
  call.on('data', (bytes: Buffer) => {
    if (over) return;
    const message = decode(bytes);
    if (message instanceof SluiceError) end(message);
    else listener?.message(message);
  });
  call.on('end', () => {
    if (!over) call.end();
    finish();
  });
  for (const event of ['cancelled', 'error', 'close']) call.on(event, finish);
}

function decode(bytes: Buffer): WorkerMessage | SluiceError {
  if (bytes.length > REQUEST_BYTES_MAX)
    return new SluiceError('INVALID_ARGUMENT', `A worker's message may have ${REQUEST_BYTES_MAX} bytes: split it`);
  try {
    return WORKER_MESSAGE.decode(bytes);
  } catch (thrown) {
    return refusalOf(thrown);
  }
}
