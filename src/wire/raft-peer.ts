import { Client, type ClientWritableStream, credentials, type Metadata, type ServiceError } from '@grpc/grpc-js';
import type { CancelTimer, Timers } from '../base/clock.ts';
import type { Random } from '../base/random.ts';
import type { Logger } from '../host/logger.ts';
import { SluiceError } from '../model/errors.ts';
import type { Message } from '../raft/message.ts';
import { encodeRaftFrames, raftFrameBytes } from './codec/raft-frame.ts';
import { RaftServiceService } from './gen/sluice/v1/raft.ts';
import { CLIENT_OPTIONS, KEEPALIVE_OPTIONS, MESSAGE_BYTES_MAX, sameBytes } from './grpc-options.ts';
import { fromGrpcStatus } from './grpc-status.ts';

export interface RaftPeerOptions {
  readonly address: string;
  /** Names the ends of the stream. */
  readonly metadata: Metadata;
  readonly timers: Timers;
  readonly random: Random;
  readonly logger: Logger;
  /** The peer accepted a stream, and said this with it. Called for each stream. */
  accepted(metadata: Metadata): void;
  reachable(): void;
  unreachable(): void;
}

const QUEUE_MESSAGES_MAX = 1024;
const QUEUE_BYTES_MAX = 16 * 2 ** 20;
/** Messages are joined up to this size. */
const WRITE_BYTES = 2 ** 20;
/** Writes handed to gRPC and not yet taken by the kernel. */
const WRITES_MAX = 2;
const CONNECT_TIMEOUT_MS = 1000;
const REDIAL_FIRST_MS = 20;
const REDIAL_MAX_MS = 150;
const REFUSED_REDIAL_MS = 1000;

/** The stream to one other member: dials at once, again and again until it is closed. */
export class RaftPeer {
  readonly #options: RaftPeerOptions;
  #client: Client | undefined;
  #stream: ClientWritableStream<Buffer> | undefined;
  /** The peer accepted the stream. */
  #connected = false;
  /** What was said last: nothing at first. */
  #said: 'reachable' | 'unreachable' | undefined;
  #queue: Message[] = [];
  #queueBytes = 0;
  #writes = 0;
  #flushing = false;
  #failures = 0;
  #lastRefusal = '';
  #cancelTimer: CancelTimer | undefined;
  #closed = false;

  constructor(options: RaftPeerOptions) {
    this.#options = options;
    this.#dial();
  }

  /** What waits to be handed to gRPC. */
  get queued(): { readonly messages: number; readonly bytes: number } {
    return { messages: this.#queue.length, bytes: this.#queueBytes };
  }

  get address(): string {
    return this.#options.address;
  }

  /** The member there has accepted the stream. */
  get connected(): boolean {
    return this.#connected;
  }

  /** Why the member there does not take our stream, and would not if it were asked again; empty when it may. */
  get refusal(): string {
    return this.#lastRefusal;
  }

  /** @returns false when it was dropped. */
  send(message: Message): boolean {
    const bytes = raftFrameBytes(message);
    if (!this.#connected || bytes > MESSAGE_BYTES_MAX) return false;
    const full = this.#queue.length >= QUEUE_MESSAGES_MAX || this.#queueBytes + bytes > QUEUE_BYTES_MAX;
    if (full && this.#queue.length > 0) return false;
    this.#queue.push(message);
    this.#queueBytes += bytes;
    if (!this.#flushing) {
      this.#flushing = true;
      queueMicrotask(() => {
        this.#flushing = false;
        this.#flush();
      });
    }
    return true;
  }

  /** The peer showed that it lives: dial now instead of later. */
  hurry(): void {
    if (this.#client !== undefined || this.#closed) return;
    this.#cancelTimer?.();
    this.#dial();
  }

  close(): void {
    this.#closed = true;
    this.#drop();
  }

  #dial(): void {
    const client = new Client(this.address, credentials.createInsecure(), { ...CLIENT_OPTIONS, ...KEEPALIVE_OPTIONS });
    this.#client = client;
    const path = RaftServiceService.exchange.path;
    const metadata = this.#options.metadata.clone();
    const stream = client.makeClientStreamRequest<Buffer, Buffer>(path, sameBytes, sameBytes, metadata, (error) =>
      this.#broke(client, error),
    );
    this.#stream = stream;
    stream.on('metadata', (said) => this.#accepted(client, said));
    this.#cancelTimer = this.#options.timers.after(CONNECT_TIMEOUT_MS, () => this.#broke(client, null));
  }

  #accepted(client: Client, said: Metadata): void {
    if (this.#client !== client) return;
    this.#connected = true;
    this.#failures = 0;
    this.#lastRefusal = '';
    this.#cancelTimer?.();
    this.#options.accepted(said);
    this.#say('reachable');
  }

  #broke(client: Client, error: ServiceError | null): void {
    if (this.#client !== client) return;
    this.#drop();
    const refusal =
      error === null
        ? new SluiceError('UNAVAILABLE', `Master ${this.address} ended the stream, or did not accept it in time`)
        : fromGrpcStatus(error, `Master ${this.address}`);
    const refused = refusal.code === 'INVALID_ARGUMENT' || refusal.code === 'UNAUTHENTICATED';
    if (refused && refusal.message !== this.#lastRefusal)
      this.#options.logger.error({ peer: this.address, err: refusal }, 'peer refuses our stream');
    else this.#options.logger.debug({ peer: this.address, err: refusal }, 'no stream to peer');
    this.#lastRefusal = refused ? refusal.message : '';
    const waitMs = Math.min(REDIAL_MAX_MS, REDIAL_FIRST_MS * 2 ** Math.min(this.#failures, 10));
    const jitteredMs = waitMs * (0.5 + this.#options.random.next() / 2);
    this.#failures += 1;
    this.#cancelTimer = this.#options.timers.after(refused ? REFUSED_REDIAL_MS : jitteredMs, () => this.#dial());
    this.#say('unreachable');
  }

  #say(what: 'reachable' | 'unreachable'): void {
    if (this.#said === what) return;
    this.#said = what;
    this.#options[what]();
  }

  #drop(): void {
    const client = this.#client;
    const stream = this.#stream;
    this.#client = undefined;
    this.#stream = undefined;
    this.#connected = false;
    this.#queue = [];
    this.#queueBytes = 0;
    this.#writes = 0;
    this.#cancelTimer?.();
    stream?.cancel();
    client?.close();
  }

  #flush(): void {
    const stream = this.#stream;
    while (stream !== undefined && this.#connected && this.#queue.length > 0 && this.#writes < WRITES_MAX) {
      let count = 0;
      let bytes = 0;
      for (const message of this.#queue) {
        const size = raftFrameBytes(message);
        if (count > 0 && bytes + size > WRITE_BYTES) break;
        bytes += size;
        count += 1;
      }
      const frame = encodeRaftFrames(this.#queue.splice(0, count));
      this.#queueBytes -= bytes;
      this.#writes += 1;
      stream.write(frame, () => {
        if (this.#stream !== stream) return;
        this.#writes -= 1;
        this.#flush();
      });
    }
  }
}
