import { Client, type ClientDuplexStream, credentials, type ServiceError } from '@grpc/grpc-js';
import type { CancelTimer, Timers } from '../base/clock.ts';
import { type Random, randomInt } from '../base/random.ts';
import type { Logger } from '../host/logger.ts';
import { SluiceError } from '../model/errors.ts';
import type { WorkerRegistration } from '../model/worker.ts';
import { LEADER_MESSAGE, WORKER_MESSAGE } from './codec/registry.ts';
import { callMetadata } from './credentials.ts';
import { RegistryServiceService } from './gen/sluice/v1/registry.ts';
import { CLIENT_OPTIONS, KEEPALIVE_OPTIONS, sameBytes } from './grpc-options.ts';
import { fromGrpcStatus } from './grpc-status.ts';
import { MasterList } from './master-list.ts';
import type { LeaderMessage, WorkerMessage } from './registry-messages.ts';

export interface RegistryLinkOptions {
  /** `host:port` of every master. */
  readonly masters: readonly string[];
  readonly token?: string;
  readonly worker: WorkerRegistration;
  /** Asked before each heartbeat. */
  readonly usage: () => { readonly usedBytes: number; readonly pageCount: number };
  readonly heartbeatMs: number;
  readonly timers: Timers;
  readonly random: Random;
  readonly logger: Logger;
}

/** What a worker does with its link. Must not throw. */
export interface RegistryLinkListener {
  /** `registered` is the first on each stream: after it the worker says again what the leader must know. */
  message(message: Exclude<LeaderMessage, { kind: 'masters' }>): void;
  /** The leader that had registered the worker is gone; another one is looked for. */
  lost(): void;
}

type Stream = ClientDuplexStream<Buffer, Buffer>;

const CONNECT_TIMEOUT_MS = 1000;
/** Waits for `registered`: the leader must replicate the registration. */
const REGISTER_TIMEOUT_MS = 10_000;
const QUEUED_BYTES_MAX = 16 * 2 ** 20;
const REFUSED_WAIT_MS = 1000;
/** A new leader serves the clients that wait for it first: all workers would come at that moment. */
const REJOIN_MIN_MS = 50;
const REJOIN_MAX_MS = 150;

/** A worker's stream to the leader, whoever that is: opened anew, with a registration, whenever it breaks. */
export class RegistryLink {
  readonly #options: RegistryLinkOptions;
  readonly #listener: RegistryLinkListener;
  readonly #masters: MasterList;
  #client: Client | undefined;
  #stream: Stream | undefined;
  #registered = false;
  #queuedBytes = 0;
  #lastError = '';
  #refusal = '';
  #cancelTimer: CancelTimer | undefined;
  #cancelHeartbeat: CancelTimer | undefined;
  #closed = false;

  /** Begins at once. @throws SluiceError INVALID_ARGUMENT when no master is configured. */
  constructor(options: RegistryLinkOptions, listener: RegistryLinkListener) {
    this.#options = options;
    this.#listener = listener;
    this.#masters = new MasterList(options.masters, options.random);
    this.#dial();
  }

  /** Why masters do not take this worker, and would not if they were asked again; empty when they may. */
  get refusal(): string {
    return this.#refusal;
  }

  /** @returns false when it was dropped: the worker is not registered, or the leader does not read. */
  send(message: WorkerMessage): boolean {
    return this.#registered && this.#write(message);
  }

  close(): Promise<void> {
    this.#closed = true;
    this.#drop();
    return Promise.resolve();
  }

  #dial(): void {
    const { token, timers, worker } = this.#options;
    const address = this.#masters.current;
    const client = new Client(address, credentials.createInsecure(), { ...CLIENT_OPTIONS, ...KEEPALIVE_OPTIONS });
    const path = RegistryServiceService.connect.path;
    const stream: Stream = client.makeBidiStreamRequest(path, sameBytes, sameBytes, callMetadata(token));
    this.#client = client;
    this.#stream = stream;
    const fail = (what: string): void =>
      this.#broke(stream, address, new SluiceError('UNAVAILABLE', `Master ${address} ${what}`));
    this.#cancelTimer = timers.after(CONNECT_TIMEOUT_MS, () => fail('was not reached in time'));
    stream.on('metadata', () => {
      if (this.#stream !== stream || this.#registered) return;
      this.#cancelTimer?.();
      this.#cancelTimer = timers.after(REGISTER_TIMEOUT_MS, () => fail('did not register the worker in time'));
    });
    stream.on('data', (bytes: Buffer) => this.#receive(stream, address, bytes));
    stream.on('error', (error: ServiceError) =>
      this.#broke(stream, address, fromGrpcStatus(error, `Master ${address}`)),
    );
    stream.on('end', () => fail('ended the stream'));
    this.#write({ kind: 'register', worker });
  }

  #receive(stream: Stream, address: string, bytes: Buffer): void {
    if (this.#stream !== stream) return;
    let message: LeaderMessage;
    try {
      message = LEADER_MESSAGE.decode(bytes);
    } catch (thrown) {
      this.#broke(stream, address, SluiceError.from(thrown));
      return;
    }
    if (message.kind === 'masters') {
      this.#masters.learn(message.addresses);
      return;
    }
    if (message.kind === 'registered' && !this.#registered) {
      this.#registered = true;
      this.#lastError = '';
      this.#refusal = '';
      this.#cancelTimer?.();
      this.#masters.answered(address);
      this.#options.logger.info({ master: address }, 'registered with the leader');
      this.#cancelHeartbeat = this.#options.timers.every(this.#options.heartbeatMs, () => this.#beat());
    }
    this.#listener.message(message);
  }

  #beat(): void {
    this.#write({ kind: 'heartbeat', ...this.#options.usage() });
  }

  #write(message: WorkerMessage): boolean {
    const stream = this.#stream;
    const encoded = WORKER_MESSAGE.encode(message);
    const bytes = Buffer.from(encoded.buffer, encoded.byteOffset, encoded.length);
    if (stream === undefined || this.#queuedBytes + bytes.length > QUEUED_BYTES_MAX) return false;
    this.#queuedBytes += bytes.length;
    stream.write(bytes, () => {
      if (this.#stream === stream) this.#queuedBytes -= bytes.length;
    });
    return true;
  }

  #broke(stream: Stream, address: string, error: SluiceError): void {
    if (this.#stream !== stream || this.#closed) return;
    const wasRegistered = this.#registered;
    this.#drop();
    const waitMs =
      error.code === 'NOT_LEADER' ? this.#masters.redirected(address, error.details) : this.#masters.failed(address);
    const refused = error.code === 'UNAUTHENTICATED' || error.code === 'INVALID_ARGUMENT';
    this.#say(error, address, wasRegistered, refused);
    this.#refusal = refused ? `master ${address} refuses it: ${error.message}` : '';
    const pauseMs = wasRegistered ? randomInt(this.#options.random, REJOIN_MIN_MS, REJOIN_MAX_MS) : (waitMs ?? 0);
    this.#cancelTimer = this.#options.timers.after(refused ? REFUSED_WAIT_MS : pauseMs, () => this.#dial());
    if (wasRegistered) this.#listener.lost();
  }

  #say(error: SluiceError, master: string, wasRegistered: boolean, refused: boolean): void {
    const { logger } = this.#options;
    if (refused && error.message !== this.#lastError)
      logger.error({ master, err: error }, 'a master refuses this worker');
    else if (wasRegistered) logger.warn({ master, err: error }, 'lost the leader');
    else logger.debug({ master, err: error }, 'not registered');
    this.#lastError = error.message;
  }

  #drop(): void {
    const stream = this.#stream;
    const client = this.#client;
    this.#stream = undefined;
    this.#client = undefined;
    this.#registered = false;
    this.#queuedBytes = 0;
    this.#cancelTimer?.();
    this.#cancelHeartbeat?.();
    stream?.cancel();
    client?.close();
  }
}
