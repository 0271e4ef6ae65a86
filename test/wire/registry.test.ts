import { afterEach, expect, test } from 'vitest';
import { SluiceError } from '../../src/model/errors.ts';
import type { GrpcServer } from '../../src/wire/grpc-server.ts';
import { RegistryLink } from '../../src/wire/registry-link.ts';
import type { LeaderMessage, WorkerMessage } from '../../src/wire/registry-messages.ts';
import { registryService, type WorkerStream } from '../../src/wire/registry-server.ts';
import { host, MemoryLogger, serve } from './cluster.ts';

const open: { close(): Promise<void> }[] = [];

afterEach(async () => {
  for (const thing of open.splice(0).reverse()) await thing.close();
});

const WORKER = { id: 'w', address: 'h:1', host: 'h', capacityBytes: 2 ** 40 };

/** A list that tests can wait for. */
class Log<T> {
  readonly items: T[] = [];
  #waiting: [(items: readonly T[]) => boolean, () => void][] = [];

  push(item: T): void {
    this.items.push(item);
    this.#waiting = this.#waiting.filter(([condition, resolve]) => {
      if (!condition(this.items)) return true;
      resolve();
      return false;
    });
  }

  until(condition: (items: readonly T[]) => boolean): Promise<void> {
    if (condition(this.items)) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push([condition, resolve]));
  }
}

interface Leader {
  readonly server: GrpcServer;
  readonly said: Log<WorkerMessage>;
  readonly streams: WorkerStream[];
  readonly closed: Log<number>;
}

/** A registry that answers each registration as told. */
async function leader(onRegister: (stream: WorkerStream) => void, token?: string): Promise<Leader> {
  const said = new Log<WorkerMessage>();
  const closed = new Log<number>();
  const streams: WorkerStream[] = [];
  const service = registryService((stream) => {
    const nth = streams.push(stream);
    return {
      message(message) {
        said.push(message);
        if (message.kind === 'register') onRegister(stream);
      },
      closed: () => closed.push(nth),
    };
  });
  const server = await serve(service, token);
  open.push(server);
  return { server, said, streams, closed };
}

function link(masters: readonly string[], token?: string) {
  const heard = new Log<LeaderMessage | 'lost'>();
  const logger = new MemoryLogger();
  const worker = new RegistryLink(
    {
      masters,
      worker: WORKER,
      usage: () => ({ usedBytes: 5, pageCount: 2 }),
      heartbeatMs: 5,
      ...host,
      logger,
      ...(token === undefined ? {} : { token }),
    },
    { message: (message) => heard.push(message), lost: () => heard.push('lost') },
  );
  open.push(worker);
  return { worker, heard, logger };
}

const register = (stream: WorkerStream): void => stream.send({ kind: 'registered' });

test('a worker registers, hears the leader, and sends heartbeats', async () => {
  const one = await leader(register);
  const { worker, heard } = link([one.server.address]);
  expect(worker.send({ kind: 'protectedFiles', fileIds: [1] })).toBe(false);
  await heard.until((items) => items.length === 1);
  expect(worker.send({ kind: 'protectedFiles', fileIds: [1, 2 ** 50] })).toBe(true);
  await one.said.until((items) => items.filter((message) => message.kind === 'heartbeat').length >= 2);
  one.streams[0]?.send({ kind: 'forget', fileIds: [2 ** 50] });
  one.streams[0]?.send({ kind: 'workers', list: { version: 1, workers: [] } });
  await heard.until((items) => items.length === 3);
  expect(heard.items).toEqual([
    { kind: 'registered' },
    { kind: 'forget', fileIds: [2 ** 50] },
    { kind: 'workers', list: { version: 1, workers: [] } },
  ]);
  expect(one.said.items[0]).toEqual({ kind: 'register', worker: WORKER });
  expect(one.said.items).toContainEqual({ kind: 'heartbeat', usedBytes: 5, pageCount: 2 });
  expect(one.said.items).toContainEqual({ kind: 'protectedFiles', fileIds: [1, 2 ** 50] });
});

test('a standby sends the worker to the leader', async () => {
  const two = await leader(register);
  const error = new SluiceError('NOT_LEADER', 'standby', { details: { leader: two.server.address } });
  const one = await leader((stream) => stream.end(error));
  const { heard } = link([one.server.address]);
  await heard.until((items) => items.length === 1);
  await one.closed.until((items) => items.length === 1);
  expect(two.said.items[0]).toEqual({ kind: 'register', worker: WORKER });
});

test('a registry may refuse a stream at once', async () => {
  const service = registryService((stream) => {
    stream.end(new SluiceError('NOT_LEADER', 'standby'));
    return { message: () => {}, closed: () => closed.push(1) };
  });
  const closed = new Log<number>();
  const server = await serve(service);
  open.push(server);
  const two = await leader(register);
  const { heard } = link([server.address, two.server.address]);
  await heard.until((items) => items.length === 1);
  expect(closed.items).toEqual([1]);
});

test('when leadership changes, the worker registers with the new leader', async () => {
  const two = await leader(register);
  const one = await leader(register);
  const { heard, logger } = link([one.server.address]);
  await heard.until((items) => items.length === 1);
  one.streams[0]?.end(new SluiceError('NOT_LEADER', 'stepped down', { details: { leader: two.server.address } }));
  await heard.until((items) => items.length === 3);
  expect(heard.items).toEqual([{ kind: 'registered' }, 'lost', { kind: 'registered' }]);
  expect(logger.lines.filter((line) => line.level === 'warn')).toMatchObject([{ message: 'lost the leader' }]);
});

test('when the leader dies, the worker finds the next one', async () => {
  const one = await leader(register);
  const two = await leader(register);
  const { heard } = link(['127.0.0.1:1', one.server.address, two.server.address]);
  await heard.until((items) => items.length === 1);
  await one.server.close();
  await heard.until((items) => items.length === 3);
  expect(heard.items).toEqual([{ kind: 'registered' }, 'lost', { kind: 'registered' }]);
  expect(one.closed.items).toEqual([1]);
});

test('a closed link ends its stream', async () => {
  const one = await leader(register);
  const { worker, heard } = link([one.server.address]);
  await heard.until((items) => items.length === 1);
  await worker.close();
  await one.closed.until((items) => items.length === 1);
  expect(worker.send({ kind: 'heartbeat', usedBytes: 0, pageCount: 0 })).toBe(false);
  expect(heard.items).toEqual([{ kind: 'registered' }]);
});

test('a wrong token is an error in the log', async () => {
  const one = await leader(register, 'right');
  const two = await leader(register);
  const { worker, logger, heard } = link([one.server.address, two.server.address], 'wrong');
  await expect
    .poll(() => worker.refusal)
    .toBe(`master ${one.server.address} refuses it: The token is not the one of this cluster: check security.token`);
  await heard.until((items) => items.length === 1);
  expect(logger.lines.filter((line) => line.level === 'error')).toMatchObject([
    { fields: { err: { code: 'UNAUTHENTICATED' } } },
  ]);
  expect(worker.refusal).toBe('');
});
