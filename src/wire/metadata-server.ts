import type { ServerUnaryCall } from '@grpc/grpc-js';
import { must } from '../base/assert.ts';
import type { Clock, Timers } from '../base/clock.ts';
import type { Logger } from '../host/logger.ts';
import type { Metrics } from '../host/metrics.ts';
import { SluiceError } from '../model/errors.ts';
import { OPERATION_NAMES } from './codec/operation.ts';
import { readAnyMaster, readPrincipal, readRequestId } from './credentials.ts';
import { MetadataServiceService } from './gen/sluice/v1/metadata.ts';
import type { GrpcService, UnaryMethod } from './grpc-server.ts';
import { toGrpcStatus } from './grpc-status.ts';
import type { MasterDirectory } from './master-directory.ts';
import { OperationCall } from './operation-call.ts';
import { type Dispatch, dispatchTable } from './operation-dispatch.ts';
import type { OperationHandlers } from './operation-handlers.ts';
import { type SessionLoad, SessionServer } from './session-server.ts';

export interface MetadataServerOptions {
  readonly handlers: OperationHandlers;
  /** What clients are told of the masters. */
  readonly masters?: MasterDirectory;
  /** Tells the cluster and its epoch from all others; empty as long as it is not known. */
  cluster?(): string;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** Sessions open at a time; 10,000 unless said otherwise. */
  readonly sessionsMax?: number;
}

const SESSIONS_MAX = 10_000;
const UNARY_REQUEST_BYTES_MAX = 4 * 2 ** 20;

/**
 * Serves the operations of the namespace, each as a unary method and all of them in sessions, from one handler table.
 */
export class MetadataServer {
  readonly #table: ReturnType<typeof dispatchTable>;
  readonly #options: MetadataServerOptions;
  readonly #sessions = new Set<SessionServer>();
  readonly #unlisten: () => void;
  #closed = false;

  constructor(options: MetadataServerOptions) {
    this.#options = options;
    this.#table = dispatchTable(options.handlers, options.logger);
    this.#expose(options.metrics);
    const { masters } = options;
    const tell = () => {
      for (const session of this.#sessions) session.tellMasters(this.#masters);
    };
    this.#unlisten = masters?.listen(tell) ?? (() => undefined);
  }

  get #masters(): readonly string[] {
    return this.#options.masters?.addresses ?? [];
  }

  /** What a GrpcServer serves. */
  get service(): GrpcService {
    const unary = OPERATION_NAMES.map((name): [string, UnaryMethod] => {
      const dispatch = must(this.#table.get(name), 'the table has every operation');
      return [MetadataServiceService[name].path, (request, call) => this.#unary(dispatch, request, call)];
    });
    return {
      unary: new Map(unary),
      streams: new Map([[MetadataServiceService.session.path, (call) => this.#open(call)]]),
    };
  }

  /** Refuses new operations, ends every session once its running operations are answered. */
  close(): void {
    this.#closed = true;
    this.#unlisten();
    for (const session of this.#sessions) session.drain();
  }

  #expose(metrics: Metrics): void {
    const sum = (read: (load: SessionLoad) => number) => () => {
      let total = 0;
      for (const session of this.#sessions) total += read(session.load);
      return total;
    };
    const gauge = (noun: string, doc: string, read: () => number) =>
      metrics.gaugeOf(`sluice_wire_session_${noun}`, doc, read);
    gauge('streams', 'Open sessions of clients', () => this.#sessions.size);
    gauge(
      'waiting_operations',
      'Operations of sessions that are not begun',
      sum(({ waiting }) => waiting),
    );
    gauge(
      'running_operations',
      'Operations of sessions that run',
      sum(({ running }) => running),
    );
    gauge(
      'unread_bytes',
      'Bytes of answers that clients have not read',
      sum(({ unreadBytes }) => unreadBytes),
    );
  }

  async #unary(dispatch: Dispatch, request: Buffer, call: ServerUnaryCall<Buffer, Buffer>): Promise<Uint8Array> {
    if (this.#closed) throw new SluiceError('NOT_LEADER', 'This master is stopping: ask another one');
    if (request.length > UNARY_REQUEST_BYTES_MAX)
      throw new SluiceError(
        'INVALID_ARGUMENT',
        `A request may have ${UNARY_REQUEST_BYTES_MAX} bytes, this one has ${request.length}`,
      );
    const { metadata } = call;
    const anyMaster = readAnyMaster(metadata);
    const context = new OperationCall(readPrincipal(metadata), readRequestId(metadata), anyMaster, Infinity, 1);
    // grpc-js cancels a call when its deadline passes, too.
    call.on('cancelled', () => context.abort(new SluiceError('CANCELLED', 'The caller gave up')));
    return dispatch(request, context);
  }

  #open(call: ConstructorParameters<typeof SessionServer>[0]): void {
    const limit = this.#options.sessionsMax ?? SESSIONS_MAX;
    const refused = this.#closed
      ? new SluiceError('UNAVAILABLE', 'This master is stopping: ask another one')
      : this.#sessions.size >= limit
        ? new SluiceError('EXHAUSTED', `This master has ${limit} sessions open: close some clients`)
        : undefined;
    if (refused !== undefined) {
      call.emit('error', toGrpcStatus(refused));
      return;
    }
    const known = { masters: this.#masters, cluster: this.#options.cluster?.() ?? '' };
    const session = new SessionServer(call, this.#table, this.#options, known, () => this.#sessions.delete(session));
    this.#sessions.add(session);
  }
}
