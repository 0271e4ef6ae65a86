import type { Metadata, ServerReadableStream, ServerUnaryCall, sendUnaryData } from '@grpc/grpc-js';
import { Server, ServerCredentials, type ServerDuplexStream, type ServiceDefinition } from '@grpc/grpc-js';
import { must } from '../base/assert.ts';
import type { Timers } from '../base/clock.ts';
import { BearerGuard } from '../host/bearer-guard.ts';
import { checkExposure } from '../host/exposure.ts';
import { SluiceError } from '../model/errors.ts';
import { authorizationOf } from './credentials.ts';
import { SERVER_OPTIONS, sameBytes } from './grpc-options.ts';
import { refusalOf, toGrpcStatus } from './grpc-status.ts';

/** Answers one message with one message. A thrown SluiceError becomes the call's status. */
export type UnaryMethod = (request: Buffer, call: ServerUnaryCall<Buffer, Buffer>) => Promise<Uint8Array>;

/** Takes over a stream of messages; ends it itself. */
export type StreamMethod = (call: ServerDuplexStream<Buffer, Buffer>) => void;

/** Takes over a stream of messages that is answered only by its end. */
type InputMethod = (call: ServerReadableStream<Buffer, Buffer>, done: sendUnaryData<Buffer>) => void;

/** The methods of a gRPC service by path, such as `/sluice.v1.AdminService/GetQuorum`; messages are bytes. */
export interface GrpcService {
  readonly unary?: ReadonlyMap<string, UnaryMethod>;
  readonly streams?: ReadonlyMap<string, StreamMethod>;
  readonly inputs?: ReadonlyMap<string, InputMethod>;
}

export interface GrpcServerOptions {
  /** Name or address to bind. Beyond loopback a token is required. */
  readonly host: string;
  /** 0 takes any free one. */
  readonly port: number;
  /** Shared secret that every call must show; empty or undefined lets everybody in. */
  readonly token: string | undefined;
  readonly services: readonly GrpcService[];
  readonly timers: Timers;
}

const CLOSE_GRACE_MS = 2000;

/** What is served now, by path. */
interface Methods {
  readonly unary: Map<string, UnaryMethod>;
  readonly inputs: Map<string, InputMethod>;
  readonly streams: Map<string, StreamMethod>;
}

interface Bound {
  readonly host: string;
  readonly port: number;
  readonly timers: Timers;
}

/** A gRPC server that is bound and serving. Every call is checked for the token before a method sees it. */
export class GrpcServer {
  /** The bound port. */
  readonly port: number;
  /** Host and port as it was asked for. */
  readonly address: string;
  readonly #server: Server;
  readonly #methods: Methods;
  readonly #guard: BearerGuard;
  readonly #timers: Timers;
  #closing: Promise<void> | undefined;

  private constructor(server: Server, methods: Methods, guard: BearerGuard, { host, port, timers }: Bound) {
    this.#server = server;
    this.#methods = methods;
    this.#guard = guard;
    this.#timers = timers;
    this.port = port;
    this.address = joinAddress(host, port);
  }

  /** @throws SluiceError INVALID_ARGUMENT without a token beyond loopback; UNAVAILABLE when the address is taken. */
  static async start(options: GrpcServerOptions): Promise<GrpcServer> {
    const { host, token } = options;
    checkExposure(host, token);
    const server = new Server(SERVER_OPTIONS);
    const guard = new BearerGuard(token);
    const methods: Methods = { unary: new Map(), inputs: new Map(), streams: new Map() };
    for (const service of options.services) addService(server, service, guard, methods);
    const port = await new Promise<number>((resolve, reject) => {
      const target = joinAddress(host, options.port);
      server.bindAsync(target, ServerCredentials.createInsecure(), (error, bound) => {
        if (error === null) resolve(bound);
        else reject(bindError(target, error));
      });
    });
    return new GrpcServer(server, methods, guard, { host, port, timers: options.timers });
  }

  /** Serves these too; a method that was served before is another one from now on. */
  offer(services: readonly GrpcService[]): void {
    for (const service of services) addService(this.#server, service, this.#guard, this.#methods);
  }

  /** Accepts no more calls, waits two seconds for the running ones, then breaks them. */
  close(): Promise<void> {
    this.#closing ??= new Promise<void>((resolve) => {
      const cancel = this.#timers.after(CLOSE_GRACE_MS, () => this.#server.forceShutdown());
      this.#server.tryShutdown(() => {
        cancel();
        resolve();
      });
    });
    return this.#closing;
  }
}

/** `host:port`, with brackets around an IPv6 address. */
export function joinAddress(host: string, port: number): string {
  return host.includes(':') && !host.startsWith('[') ? `[${host}]:${port}` : `${host}:${port}`;
}

function bindError(target: string, cause: Error): SluiceError {
  const taken = cause.message.includes('EADDRINUSE');
  const way = taken
    ? 'another process listens there: stop it, or choose another port'
    : 'choose an address of this machine and a port that it may open';
  return new SluiceError('UNAVAILABLE', `Cannot listen on ${target}: ${way} (${cause.message})`, { cause });
}

function addService(server: Server, service: GrpcService, guard: BearerGuard, methods: Methods): void {
  const definition: Record<string, ServiceDefinition[string]> = {};
  const added: Record<string, (...args: never[]) => void> = {};
  const add = (path: string, requestStream: boolean, responseStream: boolean, method: (...args: never[]) => void) => {
    definition[path] = {
      path,
      requestStream,
      responseStream,
      requestSerialize: sameBytes,
      requestDeserialize: sameBytes,
      responseSerialize: sameBytes,
      responseDeserialize: sameBytes,
    };
    added[path] = method;
  };
  for (const path of newIn(methods.unary, service.unary))
    add(path, false, false, (call: ServerUnaryCall<Buffer, Buffer>, done: sendUnaryData<Buffer>) =>
      answer(guard, methodAt(methods.unary, path), call, done),
    );
  for (const path of newIn(methods.inputs, service.inputs))
    add(path, true, false, (call: ServerReadableStream<Buffer, Buffer>, done: sendUnaryData<Buffer>) => {
      const refused = refusalBy(guard, call);
      if (refused === undefined) methodAt(methods.inputs, path)(call, done);
      else done(toGrpcStatus(refused));
    });
  for (const path of newIn(methods.streams, service.streams))
    add(path, true, true, (call: ServerDuplexStream<Buffer, Buffer>) => {
      const refused = refusalBy(guard, call);
      if (refused === undefined) methodAt(methods.streams, path)(call);
      else call.emit('error', toGrpcStatus(refused));
    });
  if (Object.keys(definition).length > 0) server.addService(definition, added as never);
}

/** Adds what is served to what is known. @returns the paths that were not known before */
function newIn<M>(known: Map<string, M>, served: ReadonlyMap<string, M> = new Map()): string[] {
  const fresh = [...served.keys()].filter((path) => !known.has(path));
  for (const [path, method] of served) known.set(path, method);
  return fresh;
}

function methodAt<M>(methods: ReadonlyMap<string, M>, path: string): M {
  return must(methods.get(path), 'what is served is known');
}

function refusalBy(guard: BearerGuard, call: { readonly metadata: Metadata }) {
  try {
    guard.check(authorizationOf(call.metadata));
    return undefined;
  } catch (thrown) {
    return refusalOf(thrown);
  }
}

function answer(
  guard: BearerGuard,
  method: UnaryMethod,
  call: ServerUnaryCall<Buffer, Buffer>,
  done: sendUnaryData<Buffer>,
): void {
  const refused = refusalBy(guard, call);
  if (refused !== undefined) {
    done(toGrpcStatus(refused));
    return;
  }
  method(call.request, call).then(
    (reply) => done(null, Buffer.from(reply.buffer, reply.byteOffset, reply.length)),
    (thrown: unknown) => done(toGrpcStatus(refusalOf(thrown))),
  );
}
