import { Metadata } from '@grpc/grpc-js';
import fc from 'fast-check';
import { describe, expect, test, vi } from 'vitest';
import { SluiceError } from '../../src/model/errors.ts';
import { MUTATIONS, type OperationName, type RequestId } from '../../src/model/operations.ts';
import { OPERATION_CODECS, OPERATION_NAMES } from '../../src/wire/codec/operation.ts';
import { ProtoWriter } from '../../src/wire/codec/proto-writer.ts';
import { decodeSessionRequest, type SessionRequest, writeReply } from '../../src/wire/codec/session-frame.ts';
import { MetadataServiceService } from '../../src/wire/gen/sluice/v1/metadata.ts';
import type { GrpcServer, StreamMethod } from '../../src/wire/grpc-server.ts';
import type { OperationContext, OperationHandlers } from '../../src/wire/operation-handlers.ts';
import { own } from '../support/owned.ts';
import { operations } from './arbitraries.ts';
import { Gate, MemoryLogger, openChannel, PRINCIPAL, STATUS, serve, startMaster } from './cluster.ts';

const DIRECTORY = { path: '/d', mode: 0o755, recursive: false, allowExists: false };

function notLeader(leader?: string): () => Promise<never> {
  return () =>
    Promise.reject(new SluiceError('NOT_LEADER', 'standby', leader === undefined ? {} : { details: { leader } }));
}

/** A handler that answers and keeps what it saw. */
function recorder(answer: (nth: number) => Promise<unknown> = async () => STATUS) {
  const seen: OperationContext[] = [];
  const handler = async (_request: unknown, context: OperationContext): Promise<never> => {
    seen.push(context);
    return (await answer(seen.length)) as never;
  };
  return { seen, handler, ids: () => seen.map((context) => context.requestId as RequestId) };
}

/** Refuses connections: a port that was free a moment ago. */
async function closedAddress(): Promise<string> {
  const server = await serve({ streams: new Map([['/none', () => {}]]) });
  await server.close();
  return server.address;
}

/** A master whose sessions are served by `method`. */
async function scripted(method: StreamMethod): Promise<GrpcServer> {
  const server = await serve({ streams: new Map([[MetadataServiceService.session.path, method]]) });
  return own(server);
}

function answerExists(ids: readonly number[]): Buffer {
  const writer = new ProtoWriter(0);
  for (const id of ids) writeReply(writer, id, 'exists', OPERATION_CODECS.exists.reply.encode({ exists: true }));
  return writer.finish();
}

describe.each(['stream', 'unary'] as const)('%s', (protocol) => {
  test.each(OPERATION_NAMES)('%s reaches its handler and its reply comes back', async (name) => {
    const [requests, replies] = operations[name];
    const samples = fc.sample(fc.tuple(requests, replies) as fc.Arbitrary<[never, never]>, { numRuns: 10, seed: 1 });
    const asked: unknown[] = [];
    const master = own(
      await startMaster({
        [name]: async (request: unknown) => {
          asked.push(request);
          return samples[asked.length - 1]?.[1];
        },
      } as Partial<OperationHandlers>),
    );
    const channel = own(openChannel([master.address], { protocol }));
    for (const [request, reply] of samples) expect(await channel.call(name, request)).toEqual(reply);
    expect(asked).toEqual(samples.map(([request]) => request));
  });

  test('a refusal comes back with code, message and details', async () => {
    const error = new SluiceError('NOT_EMPTY', 'Größe', { details: { count: 3, text: 'x', flag: true } });
    const master = own(await startMaster({ delete: () => Promise.reject(error) }));
    const channel = own(openChannel([master.address], { protocol }));
    const request = { path: '/a', recursive: false, keepUfs: false, id: 0 };
    const { code, message, details } = error;
    await expect(channel.call('delete', request)).rejects.toMatchObject({ code, message, details });
  });

  test('a defect of a handler is logged there and INTERNAL here', async () => {
    const master = own(await startMaster({ exists: () => Promise.reject(new TypeError('oops')) }));
    const channel = own(openChannel([master.address], { protocol }));
    await expect(channel.call('exists', { path: '/a' })).rejects.toMatchObject({ code: 'INTERNAL', message: 'oops' });
    expect(master.logger.lines).toMatchObject([{ level: 'error', fields: { operation: 'exists' } }]);
  });

  test('handlers see who asks, and mutations carry a growing request id', async () => {
    const { seen, handler, ids } = recorder();
    const master = own(await startMaster({ makeDirectory: handler, getStatus: handler }));
    const channel = own(openChannel([master.address], { protocol }));
    await channel.call('makeDirectory', DIRECTORY);
    await channel.call('makeDirectory', DIRECTORY, { principal: { user: 'bob', groups: [] } });
    await channel.call('makeDirectory', DIRECTORY);
    await channel.call('getStatus', { path: '/d' });
    expect(seen.map((context) => context.principal)).toEqual([
      PRINCIPAL,
      { user: 'bob', groups: [] },
      PRINCIPAL,
      PRINCIPAL,
    ]);
    const client = ids()[0]?.client;
    expect(client).toMatch(/^[0-9a-f-]{36}$/);
    expect(ids()).toEqual([
      { client, sequence: 1, acknowledgedBelow: 1 },
      { client, sequence: 2, acknowledgedBelow: 2 },
      { client, sequence: 3, acknowledgedBelow: 3 },
      undefined,
    ]);
  });

  test('only mutations have request ids', async () => {
    const seen = new Map<OperationName, RequestId | undefined>();
    const handlers = Object.fromEntries(
      OPERATION_NAMES.map((name) => [
        name,
        async (_request: unknown, context: OperationContext) => {
          seen.set(name, context.requestId);
          return fc.sample(operations[name][1] as fc.Arbitrary<unknown>, 1)[0];
        },
      ]),
    ) as unknown as OperationHandlers;
    const master = own(await startMaster(handlers));
    const channel = own(openChannel([master.address], { protocol }));
    for (const name of OPERATION_NAMES)
      await channel.call(name, fc.sample(operations[name][0] as fc.Arbitrary<never>, 1)[0] as never);
    const withId = OPERATION_NAMES.filter((name) => seen.get(name) !== undefined);
    expect(withId.sort()).toEqual([...MUTATIONS].sort());
  });

  test('the hint to the leader is followed, also beyond the configured masters', async () => {
    const leader = own(await startMaster({ makeDirectory: async () => STATUS }));
    const standby = own(await startMaster({ makeDirectory: notLeader(leader.address) }));
    const channel = own(openChannel([standby.address], { protocol }));
    await expect(channel.call('makeDirectory', DIRECTORY)).resolves.toEqual(STATUS);
  });

  test('without a hint the others are asked, again and again while there is no leader', async () => {
    let leads = false;
    const { ids, handler } = recorder();
    const maybe = (_request: unknown, context: OperationContext): Promise<never> =>
      leads ? handler(_request, context) : notLeader()();
    let refused = 0;
    const standby = (): Promise<never> => {
      refused += 1;
      leads = refused >= 5;
      return notLeader()();
    };
    const one = own(await startMaster({ makeDirectory: standby }));
    const two = own(await startMaster({ makeDirectory: maybe }));
    const channel = own(openChannel([one.address, two.address], { protocol }));
    await expect(channel.call('makeDirectory', DIRECTORY)).resolves.toEqual(STATUS);
    expect(ids()).toMatchObject([{ sequence: 1 }]);
  });

  test('an unreachable master is passed over', async () => {
    const master = own(await startMaster({ exists: async () => ({ exists: true }) }));
    const channel = own(openChannel([await closedAddress(), master.address], { protocol }));
    await expect(channel.call('exists', { path: '/' })).resolves.toEqual({ exists: true });
  });

  test('what was not answered when the connection broke is sent again under the same id', async () => {
    const began = new Gate<void>();
    const first = recorder(async (nth) => {
      if (nth === 1) return STATUS;
      if (nth === 4) began.open();
      return new Promise(() => {});
    });
    const second = recorder();
    const one = await startMaster({ makeDirectory: first.handler });
    const two = own(await startMaster({ makeDirectory: second.handler }));
    const channel = own(openChannel([one.address, two.address], { protocol }));
    await channel.call('makeDirectory', DIRECTORY);
    const waiting = [1, 2, 3].map(() => channel.call('makeDirectory', DIRECTORY));
    await began.promise;
    await one.server.close();
    await expect(Promise.all(waiting)).resolves.toEqual([STATUS, STATUS, STATUS]);
    const sequences = (ids: readonly RequestId[]) => ids.map((id) => `${id.client}/${id.sequence}`).sort();
    expect(sequences(second.ids())).toEqual(sequences(first.ids().slice(1)));
  });

  test('a mutation of unknown fate is asked for again under the same id', async () => {
    const { ids, handler } = recorder(async (nth) => {
      if (nth < 3) throw new SluiceError('UNAVAILABLE', 'lost leadership', { details: { fate: 'unknown' } });
      return STATUS;
    });
    const master = own(await startMaster({ makeDirectory: handler }));
    const channel = own(openChannel([master.address], { protocol }));
    await expect(channel.call('makeDirectory', DIRECTORY)).resolves.toEqual(STATUS);
    expect(ids()).toHaveLength(3);
    expect(new Set(ids().map((id) => `${id.client}/${id.sequence}`)).size).toBe(1);
  });

  test('a read that a UFS refused is refused, and not asked for again', async () => {
    let asked = 0;
    const master = own(
      await startMaster({
        getStatus: async () => {
          asked += 1;
          throw new SluiceError('UNAVAILABLE', 'its disk is away', { details: { ufs: 'file:///data' } });
        },
      }),
    );
    const channel = own(openChannel([master.address], { protocol }));
    await expect(channel.call('getStatus', { path: '/d' })).rejects.toMatchObject({ message: 'its disk is away' });
    expect(asked).toBe(1);
  });

  test('the first mutation of a session goes alone', async () => {
    const gate = new Gate<void>();
    const began = new Gate<void>();
    const { ids, handler } = recorder(async (nth) => {
      if (nth === 1) {
        began.open();
        await gate.promise;
      }
      return STATUS;
    });
    const master = own(await startMaster({ makeDirectory: handler, exists: async () => ({ exists: true }) }));
    const channel = own(openChannel([master.address], { protocol }));
    const all = [1, 2, 3].map(() => channel.call('makeDirectory', DIRECTORY));
    await began.promise;
    await channel.call('exists', { path: '/' });
    expect(ids().map((id) => id.sequence)).toEqual([1]);
    gate.open();
    await Promise.all(all);
    expect(ids().map((id) => id.sequence)).toEqual([1, 2, 3]);
  });

  test('a session whose first mutation was refused is not used', async () => {
    const { ids, handler } = recorder(async (nth) => {
      if (nth === 1) throw new SluiceError('ALREADY_EXISTS', 'there');
      return STATUS;
    });
    const master = own(await startMaster({ makeDirectory: handler }));
    const channel = own(openChannel([master.address], { protocol }));
    const [one, two, three] = [1, 2, 3].map(() => channel.call('makeDirectory', DIRECTORY));
    await expect(one).rejects.toMatchObject({ code: 'ALREADY_EXISTS' });
    await expect(Promise.all([two, three])).resolves.toEqual([STATUS, STATUS]);
    const [a, b, c] = ids();
    expect(b?.client).not.toBe(a?.client);
    expect([b?.sequence, c?.sequence, c?.client]).toEqual([1, 2, b?.client]);
  });

  test('when a session has expired, what nobody has seen before is done in a new one', async () => {
    const { ids, handler } = recorder(async (nth) => {
      if (nth === 2) throw new SluiceError('SESSION_EXPIRED', 'unknown session');
      return STATUS;
    });
    const master = own(await startMaster({ makeDirectory: handler }));
    const channel = own(openChannel([master.address], { protocol }));
    for (let i = 0; i < 3; i += 1) await channel.call('makeDirectory', DIRECTORY);
    const [a, expired, b, c] = ids();
    expect(expired?.client).toBe(a?.client);
    expect(b?.client).not.toBe(a?.client);
    expect([b?.sequence, c?.sequence, c?.client]).toEqual([1, 2, b?.client]);
  });

  test('an expired session fails what may have been done in it; later calls use a new one', async () => {
    const { ids, handler } = recorder(async (nth) => {
      if (nth === 2) throw new SluiceError('UNAVAILABLE', 'the answer is lost', { details: { fate: 'unknown' } });
      if (nth === 3) throw new SluiceError('SESSION_EXPIRED', 'unknown session');
      return STATUS;
    });
    const master = own(await startMaster({ makeDirectory: handler }));
    const channel = own(openChannel([master.address], { protocol }));
    await channel.call('makeDirectory', DIRECTORY);
    await expect(channel.call('makeDirectory', DIRECTORY)).rejects.toMatchObject({ code: 'SESSION_EXPIRED' });
    await channel.call('makeDirectory', DIRECTORY);
    const [a, b, again, c] = ids();
    expect([b?.client, again?.client, again?.sequence]).toEqual([a?.client, a?.client, b?.sequence]);
    expect(c?.client).not.toBe(a?.client);
    expect(c?.sequence).toBe(1);
  });

  test('at its deadline a call fails, and the handler is told', async () => {
    const aborted = new Gate<unknown>();
    const hang = (_request: unknown, context: OperationContext): Promise<never> => {
      context.signal.addEventListener('abort', () => aborted.open(context.signal.reason));
      return new Promise(() => {});
    };
    const master = own(await startMaster({ makeDirectory: hang }));
    const channel = own(openChannel([master.address], { protocol }));
    await expect(channel.call('makeDirectory', DIRECTORY, { timeoutMs: 500 })).rejects.toMatchObject({
      code: 'TIMED_OUT',
      details: { fate: 'unknown' },
      message: expect.stringContaining(master.address),
    });
    await expect(aborted.promise).resolves.toMatchObject({ code: expect.stringMatching(/TIMED_OUT|CANCELLED/) });
  });

  test('a call that no master took fails by its deadline and names the last error', async () => {
    const address = await closedAddress();
    const channel = own(openChannel([address], { protocol }));
    const failed = channel.call('exists', { path: '/' }, { timeoutMs: 100 });
    await expect(failed).rejects.toMatchObject({
      code: 'TIMED_OUT',
      details: {},
      message: expect.stringMatching(/could not be sent.*the last error was.*cannot be reached/),
    });
  });

  test('a wrong token is fatal at once', async () => {
    const master = own(await startMaster({ exists: async () => ({ exists: true }) }, { token: 'right' }));
    for (const token of ['wrong', '']) {
      const channel = own(openChannel([master.address], { protocol, token }));
      await expect(channel.call('exists', { path: '/' })).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });
    }
    const channel = own(openChannel([master.address], { protocol, token: 'right' }));
    await expect(channel.call('exists', { path: '/' })).resolves.toEqual({ exists: true });
  });

  test('close fails what waits', async () => {
    const began = new Gate<void>();
    const hang = (): Promise<never> => {
      began.open();
      return new Promise(() => {});
    };
    const master = own(await startMaster({ exists: hang }));
    const channel = openChannel([master.address], { protocol });
    const waiting = expect(channel.call('exists', { path: '/' })).rejects.toMatchObject({ code: 'CANCELLED' });
    await began.promise;
    await channel.close();
    await waiting;
    await expect(channel.call('exists', { path: '/' })).rejects.toMatchObject({ code: 'CANCELLED' });
  });

  test('close says of a mutation that was sent that its fate is unknown, and of one that was not nothing', async () => {
    const began = new Gate<void>();
    const hang = (): Promise<never> => {
      began.open();
      return new Promise(() => {});
    };
    const master = own(await startMaster({ makeDirectory: hang }));
    const channel = openChannel([master.address], { protocol });
    const calls = [channel.call('makeDirectory', DIRECTORY), channel.call('makeDirectory', DIRECTORY)];
    const errors = calls.map((call) => call.catch((error: SluiceError) => [error.code, error.details]));
    await began.promise;
    await channel.close();
    expect(await Promise.all(errors)).toEqual([
      ['CANCELLED', { fate: 'unknown' }],
      ['CANCELLED', {}],
    ]);
  });

  test('too large a request is refused before it is sent', async () => {
    const channel = own(openChannel(['127.0.0.1:1'], { protocol }));
    const request = { path: 'x'.repeat(3 * 2 ** 20) };
    await expect(channel.call('exists', request)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  });

  test('calls beyond the bound are refused, not queued', async () => {
    const channel = openChannel(['127.0.0.1:1'], { protocol });
    const calls = Array.from({ length: 16_385 }, () => channel.call('exists', { path: '/' }).catch((error) => error));
    await expect(calls[16_384]).resolves.toMatchObject({ code: 'EXHAUSTED' });
    await channel.close();
    await expect(calls[0]).resolves.toMatchObject({ code: 'CANCELLED' });
  });

  test('no more than 1,024 operations run at a time', async () => {
    let running = 0;
    let most = 0;
    const handler = async (): Promise<{ exists: boolean }> => {
      running += 1;
      most = Math.max(most, running);
      await new Promise((resolve) => setImmediate(resolve));
      running -= 1;
      return { exists: true };
    };
    const master = own(await startMaster({ exists: handler }));
    const channel = own(openChannel([master.address], { protocol, timeoutMs: 60_000 }));
    const all = await Promise.all(Array.from({ length: 1500 }, () => channel.call('exists', { path: '/' })));
    expect(all).toHaveLength(1500);
    expect(most).toBeLessThanOrEqual(1024);
  });
});

test('the caller may give up, and the handler is told', async () => {
  const aborted = new Gate<unknown>();
  const began = new Gate<void>();
  const hang = (_request: unknown, context: OperationContext): Promise<never> => {
    context.signal.addEventListener('abort', () => aborted.open(context.signal.reason));
    began.open();
    return new Promise(() => {});
  };
  const master = own(await startMaster({ makeDirectory: hang }));
  const channel = own(openChannel([master.address]));
  const controller = new AbortController();
  const call = channel.call('makeDirectory', DIRECTORY, { signal: controller.signal });
  const failed = expect(call).rejects.toMatchObject({ code: 'CANCELLED', details: { fate: 'unknown' } });
  await began.promise;
  controller.abort();
  await failed;
  await expect(aborted.promise).resolves.toMatchObject({ code: 'CANCELLED' });
  await expect(channel.call('exists', { path: '/' }, { signal: controller.signal })).rejects.toMatchObject({
    code: 'CANCELLED',
  });
});

test('operations of one turn travel in one message, and its replies in one', async () => {
  const frames: SessionRequest[] = [];
  const server = await scripted((call) => {
    call.sendMetadata(new Metadata());
    call.on('data', (bytes: Buffer) => {
      const frame = decodeSessionRequest(bytes);
      frames.push(frame);
      call.write(answerExists(frame.operations.map((operation) => operation.id)));
    });
  });
  const channel = own(openChannel([server.address]));
  await channel.call('exists', { path: '/' });
  await Promise.all(Array.from({ length: 64 }, () => channel.call('exists', { path: '/' })));
  expect(frames.map((frame) => frame.operations.length)).toEqual([1, 64]);
  expect(frames.map((frame) => frame.hello?.principal)).toEqual([PRINCIPAL, undefined]);
});

test('a master that went silent is given up for another', async () => {
  const silent = await scripted((call) => {
    call.sendMetadata(new Metadata());
    call.on('data', () => {});
  });
  const master = own(await startMaster({ exists: async () => ({ exists: true }) }));
  const channel = own(openChannel([silent.address, master.address], { silenceMs: 50 }));
  await expect(channel.call('exists', { path: '/' })).resolves.toEqual({ exists: true });
});

test('when a master breaks off, all others are dialed beside each other', async () => {
  const dialed = new Gate<void>();
  const dying = await scripted((call) => {
    call.sendMetadata(new Metadata());
    call.on('data', () => call.end());
  });
  // Answers only when the third was reached, too.
  const second = own(await startMaster({ exists: () => dialed.promise.then(() => ({ exists: true })) }));
  const third = await scripted((call) => {
    call.sendMetadata(new Metadata());
    dialed.open();
  });
  const channel = own(openChannel([dying.address, second.address, third.address]));
  await expect(channel.call('exists', { path: '/' })).resolves.toEqual({ exists: true });
});

test('a master that is slow but alive is waited for', async () => {
  let pings = 0;
  const gate = new Gate<void>();
  const server = await scripted((call) => {
    call.sendMetadata(new Metadata());
    call.on('data', (bytes: Buffer) => {
      const { operations: asked, ping } = decodeSessionRequest(bytes);
      if (ping !== 0) {
        pings += 1;
        const writer = new ProtoWriter(0);
        writer.uint(16, ping);
        call.write(writer.finish());
        if (pings === 3) gate.open();
      }
      if (asked.length > 0) void gate.promise.then(() => call.write(answerExists(asked.map(({ id }) => id))));
    });
  });
  const channel = own(openChannel([server.address], { silenceMs: 1000 }));
  await expect(channel.call('exists', { path: '/' })).resolves.toEqual({ exists: true });
  expect(pings).toBe(3);
});

test('room that abandoned operations leave is used at once, although the master still works on them', async () => {
  const begun = new Gate<void>();
  const over = new Gate<void>();
  let running = 0;
  const handler = async ({ path }: { readonly path: string }): Promise<{ exists: boolean }> => {
    if (path === '/after') return { exists: true };
    running += 1;
    if (running === 1024) begun.open();
    await over.promise;
    return { exists: false };
  };
  const master = own(await startMaster({ exists: handler }));
  const channel = own(openChannel([master.address]));
  const { signal, abort } = abortable();
  const abandoned = Array.from({ length: 1024 }, () => channel.call('exists', { path: '/slow' }, { signal }));
  const after = channel.call('exists', { path: '/after' }, { timeoutMs: 5_000 });
  const given = Promise.allSettled(abandoned);
  await begun.promise;
  abort();
  await given;
  await expect(after).resolves.toEqual({ exists: true });
  over.open();
});

test('a master that still works on thousands of abandoned operations is not taken for hung', async () => {
  const over = new Gate<void>();
  const begun = [new Gate<void>(), new Gate<void>()];
  let running = 0;
  const handler = async ({ path }: { readonly path: string }): Promise<{ exists: boolean }> => {
    if (path === '/after') return { exists: true };
    running += 1;
    if (running === 1024) begun[0]?.open();
    if (running === 1500) begun[1]?.open();
    await over.promise;
    return { exists: false };
  };
  const master = own(await startMaster({ exists: handler }));
  const logger = new MemoryLogger();
  const channel = own(openChannel([master.address], { silenceMs: 200, logger }));
  for (const gate of begun) {
    const { signal, abort } = abortable();
    const calls = Array.from({ length: 1024 }, () => channel.call('exists', { path: '/slow' }, { signal }));
    const given = Promise.allSettled(calls);
    await gate.promise;
    abort();
    await given;
  }
  // The master has no room now; it is asked whether it lives while these wait.
  const waiting = Array.from({ length: 100 }, () => channel.call('exists', { path: '/after' }, { timeoutMs: 1000 }));
  expect((await Promise.allSettled(waiting)).map(({ status }) => status)).toEqual(waiting.map(() => 'rejected'));
  over.open();
  await expect(channel.call('exists', { path: '/after' })).resolves.toEqual({ exists: true });
  expect(logger.lines.map(({ message }) => message)).not.toContain('connection to a master broke');
  expect(running).toBeLessThan(2048);
});

function abortable() {
  const controller = new AbortController();
  return { signal: controller.signal, abort: () => controller.abort() };
}

test('users in many groups share messages only as far as these stay within their limit', async () => {
  const handler = async (_request: unknown, { principal }: OperationContext): Promise<{ exists: boolean }> => ({
    exists: principal.groups.length === 200,
  });
  const master = own(await startMaster({ exists: handler }));
  const channel = own(openChannel([master.address]));
  const principal = { user: 'bob', groups: Array.from({ length: 200 }, (_, i) => `department ${i} of the company`) };
  const calls = Array.from({ length: 1024 }, () => channel.call('exists', { path: '/' }, { principal }));
  expect(new Set((await Promise.all(calls)).map(({ exists }) => exists))).toEqual(new Set([true]));
});

test('another cluster at the same address is noticed: what was known is dropped, and a new session begins', async () => {
  const { ids, handler } = recorder(async () => STATUS);
  let changes = 0;
  const clusterChanged = () => {
    changes += 1;
  };
  const port = Number((await closedAddress()).split(':')[1]);
  const start = (cluster: string) => startMaster({ makeDirectory: handler }, { port, cluster });
  const first = await start('one/0');
  const channel = own(openChannel([first.address], { clusterChanged }));
  await channel.call('makeDirectory', DIRECTORY);
  await first.close();
  const second = await start('one/0');
  await channel.call('makeDirectory', DIRECTORY);
  expect(changes).toBe(0);
  await second.close();
  const unknown = await start('');
  await channel.call('makeDirectory', DIRECTORY);
  await unknown.close();
  own(await start('one/1'));
  await vi.waitFor(async () => {
    await channel.call('makeDirectory', DIRECTORY);
    expect(changes).toBe(1);
  });
  const clients = ids().map(({ client }) => client);
  expect(clients.slice(0, 3)).toEqual([clients[0], clients[0], clients[0]]);
  await channel.call('makeDirectory', DIRECTORY);
  expect(ids().at(-1)).toMatchObject({ sequence: expect.any(Number) });
  expect(ids().at(-1)?.client).not.toBe(clients[0]);
  expect(changes).toBe(1);
});

test('a master that is at work is not said to be silent, nor are old refusals the reason for anything', async () => {
  const slow = new Gate<void>();
  const exists = () => Promise.reject(new SluiceError('NOT_FOUND', '/foo does not exist'));
  const master = own(await startMaster({ exists, makeDirectory: () => slow.promise.then(() => STATUS) }));
  const logger = new MemoryLogger();
  const channel = own(openChannel([master.address], { logger }));
  await expect(channel.call('exists', { path: '/foo' })).rejects.toMatchObject({ code: 'NOT_FOUND' });
  const late = channel.call('makeDirectory', DIRECTORY, { timeoutMs: 2_600 });
  await expect(late).rejects.toMatchObject({ code: 'TIMED_OUT', message: expect.not.stringContaining('/foo') });
  expect(logger.lines.filter(({ level }) => level === 'warn')).toEqual([]);
  slow.open();
});

test('what a session that has expired held is done in the next one', async () => {
  const oldest = new Gate<void>();
  const { ids, handler } = recorder(async (nth) => {
    if (nth !== 2) return STATUS;
    await oldest.promise;
    throw new SluiceError('SESSION_EXPIRED', 'unknown session');
  });
  const master = own(await startMaster({ makeDirectory: handler }));
  const channel = own(openChannel([master.address]));
  await channel.call('makeDirectory', DIRECTORY);
  // More than may be begun before the oldest is answered, so that the session holds some.
  const all = Promise.all(Array.from({ length: 4_200 }, () => channel.call('makeDirectory', DIRECTORY)));
  await vi.waitFor(() => expect(ids().length).toBe(4_001), 10_000);
  oldest.open();
  expect((await all).every(({ id }) => id === STATUS.id)).toBe(true);
});
