import { Client, type ClientDuplexStream, credentials, type Metadata, type ServiceError } from '@grpc/grpc-js';
import type { CancelTimer, Clock, Timers } from '../base/clock.ts';
import { SluiceError } from '../model/errors.ts';
import type { Principal } from '../model/principal.ts';
import type { ClientSession } from './client-session.ts';
import {
  decodeSessionResponse,
  encodeSessionRequest,
  OPERATIONS_PER_MESSAGE_MAX,
  operationBytesMax,
  type SessionHello,
  type SessionOperation,
  type SessionReply,
} from './codec/session-frame.ts';
import { callMetadata, readCluster } from './credentials.ts';
import { MetadataServiceService } from './gen/sluice/v1/metadata.ts';
import { CLIENT_OPTIONS, IDLE_KEEPALIVE_OPTIONS, sameBytes } from './grpc-options.ts';
import { fromGrpcStatus } from './grpc-status.ts';
import {
  CallsInFlight,
  type MasterCall,
  type MasterLink,
  type MasterLinkListener,
  type MasterLinkOptions,
} from './master-link.ts';

const MESSAGE_BYTES = 2 ** 20;
const LIVENESS_PERIOD_MS = 100;
/** Names no session: a stream that only read so far. */
const READER = '00000000-0000-0000-0000-000000000000';

/** Carries many operations in each message of one stream. */
export class StreamLink implements MasterLink {
  readonly address: string;
  readonly inFlight = new CallsInFlight();
  /** Weights of what was cancelled, by id, until the master answers it. */
  readonly #abandoned = new Map<number, number>();
  #abandonedWeight = 0;
  readonly #options: MasterLinkOptions;
  readonly #listener: MasterLinkListener;
  readonly #clock: Clock;
  readonly #timers: Timers;
  readonly #client: Client;
  readonly #stream: ClientDuplexStream<Buffer, Buffer>;
  readonly #cancelConnectTimer: CancelTimer;
  /** Named in the hello; operations of others name theirs. */
  readonly #principal: Principal;
  /** The session that the last hello named. */
  #session: string | undefined;
  #connected = false;
  #blocked = false;
  #closed = false;
  #cancelled: number[] = [];
  #pings = 0;
  #heardMs: number;
  #tickMs: number;
  #pingedMs: number | undefined;
  #cancelLiveness: CancelTimer | undefined;

  constructor(
    options: MasterLinkOptions,
    principal: Principal,
    host: { readonly clock: Clock; readonly timers: Timers },
    listener: MasterLinkListener,
  ) {
    this.address = options.address;
    this.#options = options;
    this.#principal = principal;
    this.#listener = listener;
    this.#clock = host.clock;
    this.#timers = host.timers;
    this.#heardMs = this.#clock.monotonicMs();
    this.#tickMs = this.#heardMs;
    this.#client = new Client(this.address, credentials.createInsecure(), {
      ...CLIENT_OPTIONS,
      ...IDLE_KEEPALIVE_OPTIONS,
    });
    const path = MetadataServiceService.session.path;
    this.#stream = this.#client.makeBidiStreamRequest(path, sameBytes, sameBytes, callMetadata(options.token));
    this.#stream.on('metadata', (metadata: Metadata) => this.#connect(readCluster(metadata)));
    this.#stream.on('data', (frame: Buffer) => this.#receive(frame));
    this.#stream.on('drain', () => this.#unblock());
    this.#stream.on('error', (error: ServiceError) => this.#fail(fromGrpcStatus(error, `Master ${this.address}`)));
    this.#stream.on('end', () => this.#fail(this.#gone('ended the session')));
    this.#cancelConnectTimer = this.#timers.after(options.connectTimeoutMs, () =>
      this.#fail(this.#gone(`was not reached in ${options.connectTimeoutMs} ms`)),
    );
  }

  get usable(): boolean {
    return this.#connected && !this.#blocked && !this.#closed;
  }

  send(calls: readonly MasterCall[]): void {
    const nowMs = this.#clock.monotonicMs();
    if (this.inFlight.size === 0) this.#heardMs = nowMs;
    if (this.#cancelLiveness === undefined) {
      this.#tickMs = nowMs;
      this.#cancelLiveness = this.#timers.every(LIVENESS_PERIOD_MS, () => this.#checkLife());
    }
    let batch: SessionOperation[] = [];
    let bytes = 0;
    let session: ClientSession | undefined;
    for (const call of calls) {
      const principal = call.principal === this.#principal ? undefined : call.principal;
      const size = operationBytesMax(call.body, principal);
      const otherSession = session !== undefined && call.session !== undefined && call.session !== session;
      const full = batch.length >= OPERATIONS_PER_MESSAGE_MAX || bytes + size > MESSAGE_BYTES;
      if (otherSession || (full && batch.length > 0)) {
        this.#write(batch, session);
        batch = [];
        bytes = 0;
        session = undefined;
      }
      session = call.session ?? session;
      bytes += size;
      this.inFlight.add(call);
      call.sent = true;
      batch.push({
        id: call.id,
        sequence: call.sequence,
        timeoutMs: Math.max(1, Math.min(Math.ceil(call.deadlineMs - nowMs), 0x7fffffff)),
        principal,
        anyMaster: call.anyMaster,
        name: call.name,
        body: call.body,
      });
    }
    this.#write(batch, session);
  }

  get abandonedWeight(): number {
    return this.#abandonedWeight;
  }

  cancel(call: MasterCall): void {
    this.#abandoned.set(call.id, call.weight);
    this.#abandonedWeight += call.weight;
    this.#cancelled.push(call.id);
    if (this.#cancelled.length > 1) return;
    setImmediate(() => {
      if (this.#cancelled.length > 0 && !this.#closed) this.#write([], undefined);
    });
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#cancelConnectTimer();
    this.#cancelLiveness?.();
    this.#stream.cancel();
    this.#client.close();
  }

  #write(operations: readonly SessionOperation[], session: ClientSession | undefined, ping = 0): void {
    const hello = this.#hello(session);
    const cancelled = this.#cancelled;
    this.#cancelled = [];
    const acknowledgedBelow = session?.acknowledgedBelow ?? 0;
    const frame = encodeSessionRequest({ hello, operations, cancelled, acknowledgedBelow, ping });
    if (!this.#stream.write(frame)) this.#blocked = true;
  }

  /** A hello when the stream has not had one that names this session. */
  #hello(session: ClientSession | undefined): SessionHello | undefined {
    const client = session?.client ?? this.#session ?? READER;
    if (client === this.#session) return undefined;
    this.#session = client;
    return { client, principal: this.#principal };
  }

  #connect(cluster: string): void {
    this.#connected = true;
    this.#cancelConnectTimer();
    if (this.#closed) return;
    this.#listener.linkOpened(cluster);
    this.#listener.linkUsable(this);
  }

  #unblock(): void {
    this.#blocked = false;
    if (this.usable) this.#listener.linkUsable(this);
  }

  #receive(frame: Buffer): void {
    if (this.#closed) return;
    this.#heardMs = this.#clock.monotonicMs();
    this.#pingedMs = undefined;
    try {
      const { replies, masters } = decodeSessionResponse(frame);
      if (masters.length > 0) this.#listener.linkLearned(masters);
      if (this.#abandoned.size > 0) this.#forget(replies);
      if (replies.length > 0) this.#listener.linkReplied(this, replies);
    } catch (thrown) {
      this.#fail(SluiceError.from(thrown, 'INTERNAL', `Master ${this.address}`));
    }
  }

  /** What was cancelled and is answered now is no longer at work. */
  #forget(replies: readonly SessionReply[]): void {
    for (const { id } of replies) {
      this.#abandonedWeight -= this.#abandoned.get(id) ?? 0;
      this.#abandoned.delete(id);
    }
  }

  /** Asks a silent master for a sign of life, and gives it up when none comes. */
  #checkLife(): void {
    const now = this.#clock.monotonicMs();
    const stalled = now - this.#tickMs > 3 * LIVENESS_PERIOD_MS;
    this.#tickMs = now;
    if (this.inFlight.size === 0) {
      this.#cancelLiveness?.();
      this.#cancelLiveness = undefined;
      this.#pingedMs = undefined;
      return;
    }
    // This process itself stood still: answers may lie unread, so that silence proves nothing.
    if (stalled) {
      this.#heardMs = now;
      this.#pingedMs = undefined;
      return;
    }
    if (this.#pingedMs === undefined) {
      if (now - this.#heardMs < LIVENESS_PERIOD_MS) return;
      this.#pingedMs = now;
      this.#pings += 1;
      this.#write([], undefined, this.#pings);
    } else if (now - this.#pingedMs > this.#options.silenceMs)
      this.#fail(this.#gone(`has not answered a ping for ${this.#options.silenceMs} ms`));
  }

  #gone(what: string): SluiceError {
    return new SluiceError('UNAVAILABLE', `Master ${this.address} ${what}`, { details: { transport: true } });
  }

  #fail(error: SluiceError): void {
    if (this.#closed) return;
    this.close();
    this.#listener.linkClosed(this, error);
  }
}
