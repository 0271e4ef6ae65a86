import type { ServerDuplexStream } from '@grpc/grpc-js';
import { must } from '../base/assert.ts';
import type { CancelTimer, Clock, Timers } from '../base/clock.ts';
import { SluiceError } from '../model/errors.ts';
import type { OperationName } from '../model/operations.ts';
import { ProtoWriter } from './codec/proto-writer.ts';
import {
  decodeSessionRequest,
  type ReceivedSessionRequest,
  type SessionHello,
  type SessionOperation,
  writeMasters,
  writePong,
  writeRefusal,
  writeReply,
} from './codec/session-frame.ts';
import { checkPrincipal, checkRequestId, clusterMetadata } from './credentials.ts';
import { MESSAGE_BYTES_MAX } from './grpc-options.ts';
import { refusalOf, toGrpcStatus } from './grpc-status.ts';
import { OperationCall } from './operation-call.ts';
import type { Dispatch } from './operation-dispatch.ts';
import { operationWeight, SERVER_WEIGHT_MAX } from './operation-weight.ts';

export interface SessionLoad {
  /** Operations that are not begun. */
  readonly waiting: number;
  readonly running: number;
  /** Bytes of answers that the client has not read. */
  readonly unreadBytes: number;
}

interface Waiting {
  readonly operation: SessionOperation;
  readonly hello: SessionHello;
  readonly acknowledgedBelow: number;
  /** Monotonic time; Infinity never. */
  readonly deadlineMs: number;
}

const REQUEST_BYTES_MAX = 4 * 2 ** 20;
/** Operations that begin in one turn, so that the first are answered while the last wait: client and server overlap. */
const TURN_OPERATIONS = 128;
const REPLY_BYTES_MAX = MESSAGE_BYTES_MAX - 1024;
/** A message is closed when it is this large; the next reply begins another one. */
const FRAME_BYTES = 2 ** 20;
/** While more than this waits for the client to read, no further operation is begun. */
const QUEUED_BYTES_MAX = 4 * 2 ** 20;
const SWEEP_MS = 100;

/**
 * One client's stream. Operations of a message run beside each other; what is answered in one turn of the event loop
 * leaves in one message. Reading stops while too much runs, waits, or is not read by the client.
 */
export class SessionServer {
  readonly #call: ServerDuplexStream<Buffer, Buffer>;
  readonly #table: ReadonlyMap<OperationName, Dispatch>;
  readonly #clock: Clock;
  readonly #timers: Timers;
  readonly #closed: () => void;
  readonly #running = new Map<number, OperationCall>();
  #waiting: Waiting[] = [];
  #hello: SessionHello | undefined;
  /** Sum over `#running`. */
  #weight = 0;
  /** Of messages that HTTP/2 has not taken yet, because the client does not read. */
  #queuedBytes = 0;
  #writer: ProtoWriter | undefined;
  #flushing = false;
  #draining = false;
  #over = false;
  #cancelSweep: CancelTimer | undefined;

  /** @param closed Called once, when the stream is over for whatever reason. */
  constructor(
    call: ServerDuplexStream<Buffer, Buffer>,
    table: ReadonlyMap<OperationName, Dispatch>,
    host: { readonly clock: Clock; readonly timers: Timers },
    known: { readonly masters: readonly string[]; readonly cluster: string },
    closed: () => void,
  ) {
    this.#call = call;
    this.#table = table;
    this.#clock = host.clock;
    this.#timers = host.timers;
    this.#closed = closed;
    call.on('data', (frame: Buffer) => this.#receive(frame));
    call.on('end', () => this.drain());
    for (const event of ['cancelled', 'error', 'close']) call.on(event, () => this.#finish());
    // Tells the client that its stream is accepted.
    call.sendMetadata(clusterMetadata(known.cluster));
    this.tellMasters(known.masters);
  }

  /** Says where all masters are; nothing when that is not known. */
  tellMasters(addresses: readonly string[]): void {
    if (addresses.length === 0 || this.#over) return;
    writeMasters(this.#frame(), addresses);
    this.#scheduleFlush();
  }

  /** What it keeps for its client. */
  get load(): SessionLoad {
    return { waiting: this.#waiting.length, running: this.#running.size, unreadBytes: this.#queuedBytes };
  }

  /** Refuses further operations and ends the stream when all that run are answered. */
  drain(): void {
    this.#draining = true;
    this.#scheduleFlush();
  }

  #receive(frame: Buffer): void {
    if (this.#over) return;
    try {
      if (frame.length > REQUEST_BYTES_MAX)
        throw new SluiceError(
          'INVALID_ARGUMENT',
          `A session message may have ${REQUEST_BYTES_MAX} bytes, this one has ${frame.length}: send smaller ones`,
        );
      this.#accept(decodeSessionRequest(frame));
    } catch (thrown) {
      // The stream cannot be trusted after a message that is none: all of it ends.
      this.#call.emit('error', toGrpcStatus(refusalOf(thrown)));
      this.#finish();
    }
  }

  #accept(request: ReceivedSessionRequest): void {
    if (request.hello !== undefined) {
      checkPrincipal(request.hello.principal);
      checkRequestId({ client: request.hello.client, sequence: 1, acknowledgedBelow: 0 });
      this.#hello = request.hello;
    }
    const hello = this.#hello;
    if (hello === undefined) throw new SluiceError('UNAUTHENTICATED', 'The first message of a session must say hello');
    if (request.ping !== 0) {
      writePong(this.#frame(), request.ping);
      this.#scheduleFlush();
    }
    for (const id of request.unknown)
      this.#refuse(id, new SluiceError('UNSUPPORTED', 'This master does not know the operation: upgrade it'));
    // Nothing waits when a message arrives, because reading stops until all that waited has begun.
    for (const id of request.cancelled)
      this.#running.get(id)?.abort(new SluiceError('CANCELLED', 'The caller gave up'));
    const now = request.operations.length === 0 ? 0 : this.#clock.monotonicMs();
    for (const operation of request.operations) {
      const deadlineMs = operation.timeoutMs === 0 ? Infinity : now + operation.timeoutMs;
      this.#waiting.push({ operation, hello, acknowledgedBelow: request.acknowledgedBelow, deadlineMs });
    }
    this.#advance();
  }

  /** Begins what may run, then reads on or stops reading. */
  #advance(): void {
    let next = 0;
    for (; next < this.#waiting.length; next += 1) {
      if (next === TURN_OPERATIONS || this.#weight >= SERVER_WEIGHT_MAX || this.#queuedBytes > QUEUED_BYTES_MAX) break;
      const waiting = this.#waiting[next];
      if (waiting !== undefined) this.#begin(waiting);
    }
    if (next === this.#waiting.length) this.#waiting = [];
    else if (next > 0) this.#waiting.splice(0, next);
    if (next === TURN_OPERATIONS) this.#scheduleFlush();
    if (this.#waiting.length > 0 || this.#queuedBytes > QUEUED_BYTES_MAX) this.#call.pause();
    else if (this.#call.isPaused()) this.#call.resume();
  }

  #begin(waiting: Waiting): void {
    const { operation, hello } = waiting;
    const { id, name, sequence, anyMaster } = operation;
    try {
      if (this.#draining) throw new SluiceError('NOT_LEADER', 'This master is stopping: ask another one');
      if (this.#running.has(id)) throw new SluiceError('INVALID_ARGUMENT', `Operation ${id} runs already`);
      const principal = operation.principal === undefined ? hello.principal : checkPrincipal(operation.principal);
      const acknowledgedBelow = Math.min(waiting.acknowledgedBelow, sequence);
      const requestId = sequence === 0 ? undefined : { client: hello.client, sequence, acknowledgedBelow };
      const weight = operationWeight(name);
      const context = new OperationCall(principal, requestId, anyMaster, waiting.deadlineMs, weight);
      const dispatch = must(this.#table.get(name), 'the table has every operation');
      this.#running.set(id, context);
      this.#weight += context.weight;
      if (waiting.deadlineMs !== Infinity) this.#sweepLater();
      dispatch(operation.body, context).then(
        (body) => this.#answer(id, name, body),
        (thrown: unknown) => this.#settle(id, refusalOf(thrown)),
      );
    } catch (thrown) {
      this.#refuse(id, refusalOf(thrown));
    }
  }

  #answer(id: number, name: OperationName, body: Uint8Array): void {
    if (body.length > REPLY_BYTES_MAX) {
      const message = `The answer has ${body.length} bytes, ${REPLY_BYTES_MAX} fit: ask for fewer entries at a time`;
      this.#settle(id, new SluiceError('EXHAUSTED', message));
      return;
    }
    if (!this.#over) {
      if (this.#writer !== undefined && this.#writer.lengthBytes + body.length > REPLY_BYTES_MAX) this.#seal();
      writeReply(this.#frame(), id, name, body);
    }
    this.#settle(id, undefined);
  }

  #settle(id: number, refused: SluiceError | undefined): void {
    this.#weight -= this.#running.get(id)?.weight ?? 0;
    this.#running.delete(id);
    if (this.#over) return;
    if (refused !== undefined) this.#refuse(id, refused);
    if (this.#writer !== undefined && this.#writer.lengthBytes >= FRAME_BYTES) this.#seal();
    this.#scheduleFlush();
  }

  #refuse(id: number, error: SluiceError): void {
    writeRefusal(this.#frame(), id, error);
    this.#scheduleFlush();
  }

  #frame(): ProtoWriter {
    this.#writer ??= new ProtoWriter(4096);
    return this.#writer;
  }

  /** Sends the message that is being written. */
  #seal(): void {
    if (this.#writer === undefined) return;
    const frame = this.#writer.finish();
    this.#writer = undefined;
    this.#queuedBytes += frame.length;
    this.#call.write(frame, () => {
      const wasFull = this.#queuedBytes > QUEUED_BYTES_MAX;
      this.#queuedBytes -= frame.length;
      if (!this.#over && wasFull) this.#advance();
    });
  }

  #scheduleFlush(): void {
    if (this.#flushing || this.#over) return;
    this.#flushing = true;
    setImmediate(() => {
      this.#flushing = false;
      this.#flush();
    });
  }

  #flush(): void {
    if (this.#over) return;
    this.#seal();
    this.#advance();
    const busy = this.#running.size > 0 || this.#waiting.length > 0 || this.#writer !== undefined;
    if (!this.#draining || busy) return;
    this.#call.end();
    this.#finish();
  }

  #sweepLater(): void {
    this.#cancelSweep ??= this.#timers.every(SWEEP_MS, () => this.#sweep());
  }

  #sweep(): void {
    if (this.#running.size === 0) {
      this.#cancelSweep?.();
      this.#cancelSweep = undefined;
      return;
    }
    const now = this.#clock.monotonicMs();
    for (const call of this.#running.values())
      if (call.deadlineMs <= now) call.abort(new SluiceError('TIMED_OUT', 'The time that the caller gave is over'));
  }

  #finish(): void {
    if (this.#over) return;
    this.#over = true;
    this.#cancelSweep?.();
    this.#waiting = [];
    for (const call of this.#running.values())
      call.abort(new SluiceError('CANCELLED', 'The stream of the caller ended'));
    this.#closed();
  }
}
