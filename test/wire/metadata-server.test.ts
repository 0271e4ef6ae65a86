import { Client, type ClientDuplexStream, credentials, type ServiceError } from '@grpc/grpc-js';
import { expect, test } from 'vitest';
import { Metrics } from '../../src/host/metrics.ts';
import type { SluiceError } from '../../src/model/errors.ts';
import { OPERATION_CODECS } from '../../src/wire/codec/operation.ts';
import {
  decodeSessionResponse,
  encodeSessionRequest,
  type SessionOperation,
  type SessionReply,
  type SessionRequest,
} from '../../src/wire/codec/session-frame.ts';
import { callMetadata, setPrincipal } from '../../src/wire/credentials.ts';
import { MetadataServiceService } from '../../src/wire/gen/sluice/v1/metadata.ts';
import { CLIENT_OPTIONS, sameBytes } from '../../src/wire/grpc-options.ts';
import { fromGrpcStatus } from '../../src/wire/grpc-status.ts';
import { MetadataServer } from '../../src/wire/metadata-server.ts';
import { own } from '../support/owned.ts';
import { Gate, handlersOf, host, MemoryLogger, PRINCIPAL, STATUS, serve, startMaster } from './cluster.ts';

const CLIENT = '11111111-2222-3333-4444-555555555555';
const HELLO = { client: CLIENT, principal: PRINCIPAL };

/** A session as a foreign program would hold it. */
class RawSession {
  readonly stream: ClientDuplexStream<Buffer, Buffer>;
  readonly replies: SessionReply[] = [];
  readonly ended = new Gate<SluiceError | undefined>();
  readonly #client: Client;
  #wanted = 0;
  #arrived = new Gate<void>();

  constructor(address: string) {
    this.#client = new Client(address, credentials.createInsecure(), CLIENT_OPTIONS);
    const path = MetadataServiceService.session.path;
    this.stream = this.#client.makeBidiStreamRequest(path, sameBytes, sameBytes);
    this.stream.on('error', (error: ServiceError) => this.ended.open(fromGrpcStatus(error, 'raw')));
    this.stream.on('end', () => this.ended.open(undefined));
    own(this);
  }

  listen(): void {
    this.stream.on('data', (bytes: Buffer) => {
      this.replies.push(...decodeSessionResponse(bytes).replies);
      if (this.replies.length >= this.#wanted) this.#arrived.open();
    });
  }

  send(request: Partial<SessionRequest>): void {
    const empty = { hello: undefined, operations: [], cancelled: [], acknowledgedBelow: 0, ping: 0 };
    this.stream.write(encodeSessionRequest({ ...empty, ...request }));
  }

  async expectReplies(count: number): Promise<readonly SessionReply[]> {
    this.#wanted = count;
    this.#arrived = new Gate();
    if (this.replies.length < count) await this.#arrived.promise;
    return this.replies;
  }

  close(): Promise<void> {
    this.stream.cancel();
    this.#client.close();
    return Promise.resolve();
  }
}

function exists(id: number, given: Partial<SessionOperation> = {}): SessionOperation {
  const body = OPERATION_CODECS.exists.request.encode({ path: '/' });
  return { id, sequence: 0, timeoutMs: 0, principal: undefined, anyMaster: false, name: 'exists', body, ...given };
}

const answer = { exists: async () => ({ exists: true }) };

test('a session without hello is refused', async () => {
  const master = own(await startMaster(answer));
  const session = new RawSession(master.address);
  session.listen();
  session.send({ operations: [exists(1)] });
  await expect(session.ended.promise).resolves.toMatchObject({ code: 'UNAUTHENTICATED' });
});

test.each([
  ['no user', { client: CLIENT, principal: { user: '', groups: [] } }, 'UNAUTHENTICATED'],
  ['a client that is no UUID', { client: 'a/b', principal: PRINCIPAL }, 'INVALID_ARGUMENT'],
  ['endless names', { client: CLIENT, principal: { user: 'x'.repeat(300), groups: [] } }, 'UNAUTHENTICATED'],
])('a hello with %s is refused', async (_name, hello, code) => {
  const master = own(await startMaster(answer));
  const session = new RawSession(master.address);
  session.listen();
  session.send({ hello });
  await expect(session.ended.promise).resolves.toMatchObject({ code });
});

test('a message above 4 MiB and bytes that are no message end the session', async () => {
  const master = own(await startMaster(answer));
  for (const bytes of [Buffer.alloc(5 * 2 ** 20), Buffer.from([0x0a, 0x7f, 1])]) {
    const session = new RawSession(master.address);
    session.listen();
    session.stream.write(bytes);
    await expect(session.ended.promise).resolves.toMatchObject({ code: 'INVALID_ARGUMENT' });
  }
});

test('a malformed request refuses its operation, not the session', async () => {
  const master = own(await startMaster(answer));
  const session = new RawSession(master.address);
  session.listen();
  session.send({ hello: HELLO, operations: [exists(1, { body: Buffer.from([0x0a, 9]) }), exists(2)] });
  const replies = await session.expectReplies(2);
  expect(replies.find(({ id }) => id === 1)).toMatchObject({ refusal: { code: 'INVALID_ARGUMENT' } });
  expect(replies.find(({ id }) => id === 2)).toMatchObject({ name: 'exists' });
});

test('an id that runs already is refused, and may be used again later', async () => {
  const gate = new Gate<{ exists: boolean }>();
  const master = own(await startMaster({ exists: () => gate.promise }));
  const session = new RawSession(master.address);
  session.listen();
  session.send({ hello: HELLO, operations: [exists(1), exists(1)] });
  expect(await session.expectReplies(1)).toMatchObject([{ id: 1, refusal: { code: 'INVALID_ARGUMENT' } }]);
  gate.open({ exists: true });
  expect(await session.expectReplies(2)).toMatchObject([{}, { id: 1, name: 'exists' }]);
  session.send({ operations: [exists(1)] });
  expect(await session.expectReplies(3)).toMatchObject([{}, {}, { id: 1, name: 'exists' }]);
});

test('a hello may change who asks', async () => {
  const seen: unknown[] = [];
  const master = own(
    await startMaster({
      exists: async (_request, { principal, requestId }) => {
        seen.push([principal.user, requestId?.client, requestId?.sequence, requestId?.acknowledgedBelow]);
        return { exists: true };
      },
    }),
  );
  const session = new RawSession(master.address);
  session.listen();
  session.send({ hello: HELLO, operations: [exists(1, { sequence: 7 })], acknowledgedBelow: 5 });
  const other = { client: CLIENT.replace('1', '2'), principal: { user: 'bob', groups: [] } };
  session.send({ hello: other, operations: [exists(2, { sequence: 1 })], acknowledgedBelow: 5 });
  await session.expectReplies(2);
  expect(seen).toEqual([
    ['alice', CLIENT, 7, 5],
    ['bob', other.client, 1, 1],
  ]);
});

test('a client that does not read stops being served, and gets all answers when it reads', async () => {
  let served = 0;
  const entries = new Array(60).fill({ ...STATUS, path: 'x'.repeat(10_000) });
  const master = own(
    await startMaster({
      listStatus: async () => {
        served += 1;
        return { entries, cursor: '' };
      },
    }),
  );
  const session = new RawSession(master.address);
  const total = 200;
  const body = OPERATION_CODECS.listStatus.request.encode({ path: '/', recursive: false, cursor: '', limit: 0 });
  for (let id = 1; id <= total; id += 1)
    session.send({ hello: HELLO, operations: [exists(id, { name: 'listStatus', body })] });
  // It reads once: a grpc-js client that never did buffers without bound itself.
  session.listen();
  session.stream.once('data', () => session.stream.pause());
  // Not read for many turns of the event loop, in which it would otherwise have served all of it.
  for (let quiet = 0, last = -1; quiet < 200; quiet = last === served ? quiet + 1 : 0) {
    last = served;
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect(served).toBeGreaterThan(0);
  // 64 run at a time; 4 MiB wait here, 4 in each window of HTTP/2, and a few with the client.
  expect(served).toBeLessThan(150);
  session.stream.resume();
  expect(await session.expectReplies(total)).toHaveLength(total);
});

test('an answer that does not fit is refused with a way out', async () => {
  const entries = new Array(600).fill({ ...STATUS, path: 'x'.repeat(60_000) });
  const master = own(await startMaster({ listStatus: async () => ({ entries, cursor: '' }) }));
  const session = new RawSession(master.address);
  session.listen();
  const body = OPERATION_CODECS.listStatus.request.encode({ path: '/', recursive: false, cursor: '', limit: 0 });
  session.send({ hello: HELLO, operations: [exists(1, { name: 'listStatus', body })] });
  expect(await session.expectReplies(1)).toMatchObject([
    { refusal: { code: 'EXHAUSTED', message: expect.stringContaining('fewer entries') } },
  ]);
});

test('when the stream breaks, what runs is told', async () => {
  const began = new Gate<void>();
  const aborted = new Gate<unknown>();
  const master = own(
    await startMaster({
      exists: (_request, { signal }) => {
        signal.addEventListener('abort', () => aborted.open(signal.reason));
        began.open();
        return new Promise(() => {});
      },
    }),
  );
  const session = new RawSession(master.address);
  session.send({ hello: HELLO, operations: [exists(1)] });
  await began.promise;
  await session.close();
  await expect(aborted.promise).resolves.toMatchObject({ code: 'CANCELLED' });
});

test('a server that closes answers what runs, sends others away, and ends the session', async () => {
  const gate = new Gate<{ exists: boolean }>();
  const began = new Gate<void>();
  const metadata = new MetadataServer({
    handlers: handlersOf({
      exists: () => {
        began.open();
        return gate.promise;
      },
    }),
    ...host,
    logger: new MemoryLogger(),
    metrics: new Metrics(),
  });
  const server = own(await serve(metadata.service));
  const session = new RawSession(server.address);
  session.listen();
  session.send({ hello: HELLO, operations: [exists(1)] });
  await began.promise;
  metadata.close();
  session.send({ operations: [exists(2)] });
  expect(await session.expectReplies(1)).toMatchObject([{ id: 2, refusal: { code: 'NOT_LEADER' } }]);
  gate.open({ exists: true });
  expect(await session.expectReplies(2)).toMatchObject([{}, { id: 1, name: 'exists' }]);
  await expect(session.ended.promise).resolves.toBeUndefined();
});

test('sessions beyond the bound are refused', async () => {
  const metadata = new MetadataServer({
    handlers: handlersOf(answer),
    ...host,
    logger: new MemoryLogger(),
    metrics: new Metrics(),
    sessionsMax: 1,
  });
  const server = own(await serve(metadata.service));
  const first = new RawSession(server.address);
  first.listen();
  first.send({ hello: HELLO, operations: [exists(1)] });
  await first.expectReplies(1);
  const second = new RawSession(server.address);
  second.listen();
  await expect(second.ended.promise).resolves.toMatchObject({ code: 'EXHAUSTED' });
});

test.each([
  ['no user', {}, 'UNAUTHENTICATED'],
  ['a malformed request id', { 'sluice-user': 'alice', 'sluice-request-id': 'x' }, 'INVALID_ARGUMENT'],
  ['a name that is not encoded', { 'sluice-user': '%ff' }, 'UNAUTHENTICATED'],
])('a unary call with %s is refused', async (_name, headers, code) => {
  const master = own(await startMaster(answer));
  const client = new Client(master.address, credentials.createInsecure(), CLIENT_OPTIONS);
  const metadata = callMetadata(undefined);
  for (const [key, value] of Object.entries(headers)) metadata.set(key, value);
  const path = MetadataServiceService.exists.path;
  const error = await new Promise<ServiceError | null>((resolve) =>
    client.makeUnaryRequest(path, sameBytes, sameBytes, Buffer.alloc(0), metadata, (failed) => resolve(failed)),
  );
  client.close();
  expect(error).not.toBeNull();
  expect(fromGrpcStatus(error!, 'raw')).toMatchObject({ code });
});

test('a unary call above 4 MiB is refused', async () => {
  const master = own(await startMaster(answer));
  const client = new Client(master.address, credentials.createInsecure(), CLIENT_OPTIONS);
  const metadata = callMetadata(undefined);
  setPrincipal(metadata, PRINCIPAL);
  const path = MetadataServiceService.exists.path;
  const error = await new Promise<ServiceError | null>((resolve) =>
    client.makeUnaryRequest(path, sameBytes, sameBytes, Buffer.alloc(5 * 2 ** 20), metadata, (failed) =>
      resolve(failed),
    ),
  );
  client.close();
  expect(fromGrpcStatus(error!, 'raw')).toMatchObject({ code: 'INVALID_ARGUMENT' });
});
