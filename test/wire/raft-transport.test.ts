import fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import { Metrics } from '../../src/host/metrics.ts';
import type { Entry } from '../../src/raft/entry.ts';
import type { Message } from '../../src/raft/message.ts';
import type { TransportListener } from '../../src/raft/transport.ts';
import { decodeRaftFrames, encodeRaftFrames, raftFrameBytes } from '../../src/wire/codec/raft-frame.ts';
import type { GrpcServer } from '../../src/wire/grpc-server.ts';
import { RaftTransport, type RaftTransportOptions } from '../../src/wire/raft-transport.ts';
import { ManualTime } from '../support/manual-time.ts';
import { count } from './arbitraries.ts';
import { host, MemoryLogger, serve } from './cluster.ts';

const open: { close(): Promise<void> }[] = [];

afterEach(async () => {
  for (const thing of open.splice(0).reverse()) await thing.close();
});

/** Keeps what was heard, and lets tests wait for it. */
class Ear implements TransportListener {
  readonly heard: [string, Message][] = [];
  readonly events: string[] = [];
  #waiting: [() => boolean, () => void][] = [];

  receive(from: string, message: Message): void {
    this.heard.push([from, message]);
    this.#wake();
  }

  peerReachable(peer: string): void {
    this.events.push(`+${peer}`);
    this.#wake();
  }

  peerUnreachable(peer: string): void {
    this.events.push(`-${peer}`);
    this.#wake();
  }

  until(condition: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push([condition, resolve]);
      this.#wake();
    });
  }

  #wake(): void {
    this.#waiting = this.#waiting.filter(([condition, resolve]) => {
      if (!condition()) return true;
      resolve();
      return false;
    });
  }
}

interface Member {
  readonly transport: RaftTransport;
  readonly ear: Ear;
  readonly server: GrpcServer;
  readonly logger: MemoryLogger;
}

async function member(self: string, given: Partial<RaftTransportOptions> & { readonly port?: number } = {}) {
  const logger = new MemoryLogger();
  const { port, ...options } = given;
  const metrics = new Metrics();
  const named = { self, address: '', clusterId: 'c', incarnation: `${self}-1`, ...host, logger, metrics };
  const made = { ...named, ...options };
  const transport = new RaftTransport(made);
  const server = await serve(transport.service, given.token, port);
  made.address = server.address;
  open.push(server, transport);
  return { transport, ear: new Ear(), server, logger };
}

function start(...members: readonly (readonly [string, Member])[]): void {
  const addresses = new Map(members.map(([id, { server }]) => [id, server.address]));
  for (const [, { transport, ear }] of members) transport.start(ear, addresses);
}

function append(first: number, sizes: readonly number[]): Message & { readonly kind: 'append' } {
  const entries = sizes.map((size, i): Entry => {
    const kind = i === 0 ? 'noop' : i === 1 ? 'config' : 'command';
    return { term: 2 + i, index: first + i, kind, bytes: Buffer.alloc(size, i) };
  });
  const previous = { term: 1, index: first - 1 };
  return { kind: 'append', term: 9, previous, last: first + sizes.length - 1, entries, commit: 3, readPosition: 4 };
}

function plain(message: Message): unknown {
  if (message.kind !== 'append') return message;
  return { ...message, entries: message.entries.map((entry) => ({ ...entry, bytes: [...entry.bytes] })) };
}

describe('frames', () => {
  const position = fc.record({ term: count, index: count });
  const term = count;
  const entries = fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 8 });
  const message: fc.Arbitrary<Message> = fc.oneof(
    fc.record({ kind: fc.constant('preVote'), term, last: position }),
    fc.record({ kind: fc.constant('preVoteReply'), term, granted: fc.boolean(), commit: count }),
    fc.record({ kind: fc.constant('vote'), term, last: position, transfer: fc.boolean() }),
    fc.record({ kind: fc.constant('voteReply'), term, granted: fc.boolean(), commit: count }),
    fc.tuple(fc.nat(), entries, count).map(([before, bodies, commit]) => ({
      ...append(before + 1, []),
      last: before + bodies.length,
      entries: bodies.map((bytes, i): Entry => ({ term: i, index: before + 1 + i, kind: 'command', bytes })),
      commit,
    })),
    fc.record({ kind: fc.constant('appendReply'), term, match: count, readPosition: count }),
    fc.record({ kind: fc.constant('appendReject'), term, rejected: count, hint: position, readPosition: count }),
    fc.record({ kind: fc.constant('heartbeat'), term, commit: count, readPosition: count }),
    fc.record({ kind: fc.constant('heartbeatReply'), term, readPosition: count }),
    fc.record({ kind: fc.constant('readIndex'), term, token: count }),
    fc.record({ kind: fc.constant('readIndexReply'), term, token: count, index: count, ok: fc.boolean() }),
    fc.record({ kind: fc.constant('timeoutNow'), term }),
  ) as fc.Arbitrary<Message>;

  test('messages come back as they were', () => {
    fc.assert(
      fc.property(fc.array(message, { maxLength: 4 }), (messages) => {
        const bytes = encodeRaftFrames(messages);
        expect(bytes.length).toBeLessThanOrEqual(messages.reduce((sum, one) => sum + raftFrameBytes(one) + 16, 0));
        expect(decodeRaftFrames(bytes).map(plain)).toEqual(messages.map(plain));
      }),
    );
  });

  test('damaged bytes are refused or are another message, never half of one', () => {
    const good = encodeRaftFrames([append(5, [3, 200, 0])]);
    fc.assert(
      fc.property(
        fc.nat(good.length - 1),
        fc.integer({ min: 1, max: 255 }),
        fc.nat(good.length),
        (at, flip, length) => {
          const bad = Buffer.from(good.subarray(0, length));
          if (at < bad.length) bad[at] = (bad[at] ?? 0) ^ flip;
          try {
            for (const one of decodeRaftFrames(bad))
              if (one.kind === 'append')
                for (const entry of one.entries) expect(entry.kind).toMatch(/noop|config|command/);
          } catch (thrown) {
            expect(thrown).toMatchObject({ name: 'SluiceError', code: 'INVALID_ARGUMENT' });
          }
        },
      ),
    );
  });
});

test('messages arrive in order, also those with megabytes of entries', async () => {
  const a = await member('a');
  const b = await member('ü b');
  start(['a', a], ['ü b', b]);
  await a.ear.until(() => a.ear.events.includes('+ü b'));
  await b.ear.until(() => b.ear.events.includes('+a'));
  const messages: Message[] = [
    { kind: 'vote', term: 1, last: { term: 0, index: 0 }, transfer: false },
    append(1, [0, 10, 3 * 2 ** 20]),
    append(4, [1, 2, 8 * 2 ** 20]),
    { kind: 'timeoutNow', term: 4 },
  ];
  for (const message of messages) expect(a.transport.send('ü b', message)).toBe(true);
  expect(b.transport.send('a', { kind: 'heartbeatReply', term: 1, readPosition: 0 })).toBe(true);
  await b.ear.until(() => b.ear.heard.length === messages.length);
  expect(b.ear.heard.map(([from]) => from)).toEqual(['a', 'a', 'a', 'a']);
  for (const [i, [, message]] of b.ear.heard.entries()) {
    const sent = messages[i]!;
    expect(message.kind).toBe(sent.kind);
    if (message.kind === 'append' && sent.kind === 'append') {
      expect(message.entries.map(({ bytes, ...rest }) => [rest, bytes.length])).toEqual(
        sent.entries.map(({ bytes, ...rest }) => [rest, bytes.length]),
      );
      expect(message.entries.every((entry, at) => Buffer.compare(entry.bytes, sent.entries[at]!.bytes) === 0)).toBe(
        true,
      );
    } else expect(message).toEqual(sent);
  }
  await a.ear.until(() => a.ear.heard.length === 1);
});

test('a peer that went away is reported, and again when it is back under another process', async () => {
  const a = await member('a');
  const b = await member('b');
  start(['a', a], ['b', b]);
  await a.ear.until(() => a.ear.events.length === 1);
  await b.transport.close();
  await b.server.close();
  await a.ear.until(() => a.ear.events.length === 2);
  expect(a.transport.send('b', { kind: 'timeoutNow', term: 1 })).toBe(false);
  const again = await member('b', { port: b.server.port, incarnation: 'b-2' });
  again.transport.start(again.ear, new Map([['a', a.server.address]]));
  await a.ear.until(() => a.ear.events.length === 3);
  expect(a.ear.events).toEqual(['+b', '-b', '+b']);
  expect(a.transport.send('b', { kind: 'timeoutNow', term: 2 })).toBe(true);
  await again.ear.until(() => again.ear.heard.length === 1);
});

test('a peer that cannot be dialled is reported once', async () => {
  const a = await member('a');
  a.transport.start(a.ear, new Map([['b', '127.0.0.1:1']]));
  await a.ear.until(() => a.ear.events.length === 1);
  expect(a.ear.events).toEqual(['-b']);
  expect(a.transport.send('b', { kind: 'timeoutNow', term: 1 })).toBe(false);
  expect(a.transport.send('nobody', { kind: 'timeoutNow', term: 1 })).toBe(false);
});

test.each([
  ['another cluster', { clusterId: 'other' }, 'b', /belongs to cluster other.*check the addresses/],
  ['another member', {}, 'c', /looked for c, but reached master b/],
])('a stream meant for %s is refused and logged at both ends', async (_name, options, id, said) => {
  const a = await member('a', options);
  const b = await member('b');
  b.transport.start(b.ear, new Map());
  a.transport.start(a.ear, new Map([[id, b.server.address]]));
  await a.ear.until(() => a.ear.events.length === 1);
  expect(a.ear.events).toEqual([`-${id}`]);
  const errors = [...a.logger.lines, ...b.logger.lines].filter((line) => line.level === 'error');
  expect(errors.map((line) => line.fields['err'])).toEqual([
    expect.objectContaining({ message: expect.stringMatching(said) }),
    expect.objectContaining({ message: expect.stringMatching(said) }),
  ]);
});

test('a wrong token is refused', async () => {
  const a = await member('a', { token: 'wrong' });
  const b = await member('b', { token: 'right' });
  b.transport.start(b.ear, new Map());
  a.transport.start(a.ear, new Map([['b', b.server.address]]));
  await a.ear.until(() => a.ear.events.length === 1);
  expect(a.ear.events).toEqual(['-b']);
  expect([...a.transport.refusals]).toEqual([['b', expect.stringMatching(/^The token is not the one/)]]);
  expect(a.logger.lines).toContainEqual(
    expect.objectContaining({ level: 'error', message: 'peer refuses our stream' }),
  );
});

test('the queue to a peer is bounded in messages and bytes', async () => {
  const a = await member('a');
  const b = await member('b');
  start(['a', a], ['b', b]);
  await a.ear.until(() => a.ear.events.length === 1);
  const heartbeat: Message = { kind: 'heartbeat', term: 1, commit: 0, readPosition: 0 };
  const taken = Array.from({ length: 2000 }, () => a.transport.send('b', heartbeat)).filter((sent) => sent).length;
  expect(taken).toBe(1024);
  await b.ear.until(() => b.ear.heard.length === taken);
  const large = append(1, [0, 0, 5 * 2 ** 20]);
  const largeTaken = Array.from({ length: 10 }, () => a.transport.send('b', large)).filter((sent) => sent).length;
  expect(largeTaken).toBe(3);
  await b.ear.until(() => b.ear.heard.length === taken + largeTaken);
  expect(a.transport.send('b', append(1, [40 * 2 ** 20]))).toBe(false);
});

test('peers may change, and who leaves is answered until it hangs up, or nothing is to be said', async () => {
  const time = new ManualTime();
  const a = await member('a', { timers: time });
  const b = await member('b', { timers: time });
  const c = await member('c');
  start(['a', a], ['b', b]);
  c.transport.start(c.ear, new Map());
  await a.ear.until(() => a.ear.events.length === 1);
  await b.ear.until(() => b.ear.events.length === 1);
  a.transport.setPeers(new Map([['c', c.server.address]]));
  await a.ear.until(() => a.ear.events.includes('+c'));
  expect(a.transport.send('b', { kind: 'timeoutNow', term: 1 })).toBe(true);
  expect(a.transport.send('c', { kind: 'timeoutNow', term: 1 })).toBe(true);
  await c.ear.until(() => c.ear.heard.length === 1);
  await b.ear.until(() => b.ear.heard.length === 1);
  b.transport.setPeers(new Map());
  a.transport.setPeers(new Map());
  // Both are strangers now, each of whom is connected.
  for (let i = 0; i < 3; i += 1) await time.advance(10_000);
  await expect.poll(() => a.transport.send('b', { kind: 'timeoutNow', term: 1 })).toBe(false);
});

test('a member that is not known is dialled back as long as it is connected', async () => {
  const a = await member('a');
  const b = await member('b');
  b.transport.start(b.ear, new Map());
  a.transport.start(a.ear, new Map([['b', b.server.address]]));
  await a.ear.until(() => a.ear.events.includes('+b'));
  await b.ear.until(() => b.ear.events.includes('+a'));
  expect(a.transport.send('b', { kind: 'timeoutNow', term: 1 })).toBe(true);
  expect(b.transport.send('a', { kind: 'timeoutNow', term: 2 })).toBe(true);
  await a.ear.until(() => a.ear.heard.length === 1);
  await b.ear.until(() => b.ear.heard.length === 1);
  // It becomes a member, at the same address: the link stays.
  b.transport.setPeers(new Map([['a', a.server.address]]));
  expect(b.transport.send('a', { kind: 'timeoutNow', term: 3 })).toBe(true);
  await a.ear.until(() => a.ear.heard.length === 2);
  expect(b.ear.events).toEqual(['+a']);
  await a.transport.close();
  await b.ear.until(() => b.ear.events.includes('-a'));
});

test('who accepts a stream says with each where it is reached, whatever name it was dialled by', async () => {
  const met: string[][] = [];
  const a = await member('a', { met: (...said) => void met.push(said) });
  const b = await member('b');
  const port = b.server.address.slice(b.server.address.lastIndexOf(':') + 1);
  b.transport.start(b.ear, new Map());
  a.transport.start(a.ear, new Map([['b', `localhost:${port}`]]));
  await a.ear.until(() => a.ear.events.includes('+b'));
  expect(met).toEqual([['b', `localhost:${port}`, b.server.address]]);
});

test('members that are not known and dial us are dialled back in a bounded number', async () => {
  const b = await member('b');
  b.transport.start(b.ear, new Map());
  const guests = await Promise.all(Array.from({ length: 18 }, (_, i) => member(`g${i}`)));
  for (const { transport, ear } of guests) transport.start(ear, new Map([['b', b.server.address]]));
  for (const { ear } of guests) await ear.until(() => ear.events.includes('+b'));
  await b.ear.until(() => b.ear.events.length === 16);
  const sent = guests.filter((_, i) => b.transport.send(`g${i}`, { kind: 'timeoutNow', term: 1 }));
  expect(sent).toHaveLength(16);
  expect(b.logger.lines.filter(({ message }) => message.startsWith('too many masters'))).toHaveLength(2);
});
