import {
  Client,
  type ClientUnaryCall,
  connectivityState,
  credentials,
  type Metadata,
  type ServiceError,
} from '@grpc/grpc-js';
import type { Clock } from '../base/clock.ts';
import { SluiceError } from '../model/errors.ts';
import { callMetadata, setAnyMaster, setPrincipal, setRequestId } from './credentials.ts';
import { MetadataServiceService } from './gen/sluice/v1/metadata.ts';
import { CLIENT_OPTIONS, KEEPALIVE_OPTIONS, sameBytes } from './grpc-options.ts';
import { fromGrpcStatus, isTransportError } from './grpc-status.ts';
import {
  CallsInFlight,
  type MasterCall,
  type MasterLink,
  type MasterLinkListener,
  type MasterLinkOptions,
} from './master-link.ts';

/** Carries each operation in a call of its own, as a foreign gRPC client would. */
export class UnaryLink implements MasterLink {
  readonly address: string;
  readonly inFlight = new CallsInFlight();
  /** A call that is cancelled is over: gRPC tells nobody when its server has ended it. */
  readonly abandonedWeight = 0;
  readonly #options: MasterLinkOptions;
  readonly #listener: MasterLinkListener;
  readonly #clock: Clock;
  readonly #client: Client;
  readonly #calls = new Map<number, ClientUnaryCall>();
  #connected = false;
  #closed = false;

  constructor(options: MasterLinkOptions, host: { readonly clock: Clock }, listener: MasterLinkListener) {
    this.address = options.address;
    this.#options = options;
    this.#listener = listener;
    this.#clock = host.clock;
    this.#client = new Client(this.address, credentials.createInsecure(), { ...CLIENT_OPTIONS, ...KEEPALIVE_OPTIONS });
    this.#watch(host.clock.wallMs() + options.connectTimeoutMs);
  }

  get usable(): boolean {
    return this.#connected && !this.#closed;
  }

  send(calls: readonly MasterCall[]): void {
    for (const call of calls) this.#send(call);
  }

  cancel(call: MasterCall): void {
    this.#calls.get(call.id)?.cancel();
  }

  close(): void {
    this.#closed = true;
    for (const call of this.#calls.values()) call.cancel();
    this.#client.close();
  }

  #send(call: MasterCall): void {
    this.inFlight.add(call);
    call.sent = true;
    const leftMs = Math.min(call.deadlineMs - this.#clock.monotonicMs(), 0x7fffffff);
    const deadline = this.#clock.wallMs() + Math.max(1, leftMs);
    const path = MetadataServiceService[call.name].path;
    const body = Buffer.from(call.body.buffer, call.body.byteOffset, call.body.length);
    const done = (error: ServiceError | null, reply?: Buffer) => this.#done(call, error, reply);
    const metadata = this.#metadata(call);
    const running = this.#client.makeUnaryRequest(path, sameBytes, sameBytes, body, metadata, { deadline }, done);
    this.#calls.set(call.id, running);
  }

  #metadata(call: MasterCall): Metadata {
    const metadata = callMetadata(this.#options.token);
    setPrincipal(metadata, call.principal);
    if (call.anyMaster) setAnyMaster(metadata);
    if (call.session !== undefined) {
      const { client, acknowledgedBelow } = call.session;
      setRequestId(metadata, {
        client,
        sequence: call.sequence,
        acknowledgedBelow: Math.min(acknowledgedBelow, call.sequence),
      });
    }
    return metadata;
  }

  #done(call: MasterCall, error: ServiceError | null, reply: Buffer | undefined): void {
    this.#calls.delete(call.id);
    if (this.#closed) return;
    if (error === null && reply !== undefined) {
      this.#listener.linkReplied(this, [{ id: call.id, name: call.name, body: reply }]);
      return;
    }
    const refusal =
      error === null
        ? new SluiceError('INTERNAL', `Master ${this.address} answered nothing`)
        : fromGrpcStatus(error, `Master ${this.address}`);
    if (isTransportError(refusal) && refusal.code === 'UNAVAILABLE') this.#fail(refusal);
    // Our own deadline, which the channel keeps, too: it says the rest.
    else if (isTransportError(refusal) && refusal.code === 'TIMED_OUT') return;
    else this.#listener.linkReplied(this, [{ id: call.id, name: 'refusal', refusal }]);
  }

  #watch(untilMs: number): void {
    const channel = this.#client.getChannel();
    const state = channel.getConnectivityState(true);
    if (state === connectivityState.READY) {
      this.#connected = true;
      // Not from within the constructor: the listener does not know this link yet.
      setImmediate(() => {
        if (!this.#closed) this.#listener.linkUsable(this);
      });
      return;
    }
    if (state === connectivityState.TRANSIENT_FAILURE) {
      this.#fail(this.#unreached('cannot be reached'));
      return;
    }
    channel.watchConnectivityState(state, untilMs, (error) => {
      if (this.#closed) return;
      if (error === undefined) this.#watch(untilMs);
      else this.#fail(this.#unreached(`was not reached in ${this.#options.connectTimeoutMs} ms`));
    });
  }

  #unreached(what: string): SluiceError {
    return new SluiceError('UNAVAILABLE', `Master ${this.address} ${what}`, { details: { transport: true } });
  }

  #fail(error: SluiceError): void {
    if (this.#closed) return;
    this.close();
    this.#listener.linkClosed(this, error);
  }
}
