import { getEventListeners } from 'node:events';
import { expect, test } from 'vitest';
import { seededRandom } from '../../src/base/random.ts';
import { checkExposure, isLoopback } from '../../src/host/exposure.ts';
import { nodeTimers } from '../../src/host/node-timers.ts';
import { SluiceError } from '../../src/model/errors.ts';
import type { ClusterReport, QuorumInfo } from '../../src/model/report.ts';
import { AdminChannel } from '../../src/wire/admin-channel.ts';
import { adminService } from '../../src/wire/admin-server.ts';
import { GrpcServer, joinAddress } from '../../src/wire/grpc-server.ts';
import { MasterList } from '../../src/wire/master-list.ts';
import { host, MemoryLogger, serve } from './cluster.ts';

const QUORUM: QuorumInfo = {
  clusterId: 'c',
  self: 'a',
  leader: '',
  term: 3,
  commitIndex: 9,
  appliedIndex: 8,
  lastIndex: 10,
  changing: true,
  members: [
    {
      id: 'a',
      identity: 'a@1',
      address: '127.0.0.1:1',
      clientAddress: '127.0.0.1:2',
      role: 'preCandidate',
      vote: 'joining',
      priority: -1,
      matchIndex: -1,
      lastContactMs: 0,
    },
  ],
};

const REPORT: ClusterReport = {
  quorum: QUORUM,
  version: '0.1.0',
  uptimeMs: 5,
  inodeCount: 7,
  mountCount: 1,
  workers: [
    {
      id: 'w',
      address: 'h:1',
      host: 'h',
      capacityBytes: 2 ** 40,
      state: 'lost',
      lastHeardMs: -1,
      usedBytes: 0,
      pageCount: 0,
      registeredMs: 4,
    },
  ],
};

const service = adminService({
  report: async () => REPORT,
  quorum: () => QUORUM,
  transfer: async (to) => to ?? 'anybody',
});

test('a taken port is named with the way out', async () => {
  const server = await serve(service);
  const second = serve(service, undefined, server.port);
  await expect(second).rejects.toMatchObject({
    code: 'UNAVAILABLE',
    message: expect.stringMatching(`127.0.0.1:${server.port}: another process listens there: stop it, or choose`),
  });
  await server.close();
});

test.each(['0.0.0.0', '::', '10.1.2.3', 'example.org', '127.example.org'])(
  'listening on %s without a token is refused',
  async (address) => {
    const options = { host: address, port: 0, services: [service], timers: nodeTimers };
    await expect(GrpcServer.start({ ...options, token: undefined })).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringContaining('security.token'),
    });
    await expect(GrpcServer.start({ ...options, token: '' })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    expect(() => checkExposure(address, 'secret')).not.toThrow();
  },
);

test.each(['127.0.0.1', '127.1.2.3', '::1', 'localhost'])('%s is loopback', (address) => {
  expect(isLoopback(address)).toBe(true);
});

test('IPv6 addresses have brackets before a port', () => {
  expect(joinAddress('::1', 5)).toBe('[::1]:5');
  expect(joinAddress('h', 5)).toBe('h:5');
});

test('close may be called twice', async () => {
  const server = await serve(service);
  await Promise.all([server.close(), server.close()]);
});

test('reports come through, with the token', async () => {
  const server = await serve(service, 'secret');
  const masters = [server.address];
  const admin = new AdminChannel({ masters, token: 'secret', ...host });
  await expect(admin.report()).resolves.toEqual(REPORT);
  await expect(admin.quorum()).resolves.toEqual(QUORUM);
  const stranger = new AdminChannel({ masters, token: 'secreT', ...host });
  await expect(stranger.quorum()).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });
  await server.close();
});

test('a report and a transfer are asked of the leader, a quorum of whoever answers', async () => {
  const leader = await serve(service);
  const standby = await serve(
    adminService({
      report: () => Promise.reject(new SluiceError('NOT_LEADER', 'no', { details: { leader: leader.address } })),
      quorum: () => ({ ...QUORUM, self: 'standby' }),
      transfer: () => Promise.reject(new SluiceError('NOT_LEADER', 'no', { details: { leader: leader.address } })),
    }),
  );
  const admin = new AdminChannel({ masters: ['127.0.0.1:1', standby.address], ...host });
  await expect(admin.report()).resolves.toEqual(REPORT);
  await expect(admin.quorum()).resolves.toMatchObject({ self: 'standby' });
  await expect(admin.transfer('m2')).resolves.toBe('m2');
  await expect(admin.transfer(undefined)).resolves.toBe('anybody');
  await Promise.all([leader.close(), standby.close()]);
});

test.each(['UNAVAILABLE', 'TIMED_OUT', 'INVALID_ARGUMENT'] as const)(
  'a transfer that the leader refuses with %s is refused at once, with its words',
  async (code) => {
    let asked = 0;
    const transfer = () => {
      asked += 1;
      return Promise.reject(new SluiceError(code, 'm2 is asleep'));
    };
    const leader = await serve(adminService({ report: async () => REPORT, quorum: () => QUORUM, transfer }));
    const admin = new AdminChannel({ masters: [leader.address], ...host });
    await expect(admin.transfer('m2')).rejects.toMatchObject({ code, message: 'm2 is asleep' });
    expect(asked).toBe(1);
    await leader.close();
  },
);

test('a transfer may take longer than other answers, and is asked once', async () => {
  let asked = 0;
  let answer = (_: string): void => undefined;
  const transfer = () => {
    asked += 1;
    return new Promise<string>((resolve) => {
      answer = resolve;
    });
  };
  const leader = await serve(
    adminService({ report: () => new Promise(() => undefined), quorum: () => QUORUM, transfer }),
  );
  const options = { masters: [leader.address], attemptMs: 1500, ...host };
  const transferred = new AdminChannel(options).transfer('m2');
  // Another call of the same kind has met its limit by then.
  await expect(new AdminChannel({ ...options, timeoutMs: 1 }).report()).rejects.toMatchObject({ code: 'TIMED_OUT' });
  answer('m2');
  await expect(transferred).resolves.toBe('m2');
  expect(asked).toBe(1);
  await leader.close();
});

test('an admin channel says that masters are silent, not that one is at work, and leaves no timer or listener', async () => {
  const notLeader = () => Promise.reject(new SluiceError('NOT_LEADER', 'm1 does not lead'));
  const standby = await serve(adminService({ report: notLeader, quorum: () => QUORUM, transfer: notLeader }));
  let answer: (leader: string) => void = () => undefined;
  const transfer = () =>
    new Promise<string>((resolve) => {
      answer = resolve;
    });
  const leader = await serve(adminService({ report: notLeader, quorum: () => QUORUM, transfer }));
  const logger = new MemoryLogger();
  const stop = new AbortController();
  const options = { ...host, logger, signal: stop.signal };
  const at = new AdminChannel({ ...options, masters: [standby.address, leader.address] }).transfer('m2');
  setTimeout(() => answer('m2'), 2_500);
  await expect(at).resolves.toBe('m2');
  expect(logger.lines).toEqual([]);
  const nobody = new AdminChannel({ ...options, masters: [standby.address], timeoutMs: 2_500 });
  await expect(nobody.report()).rejects.toMatchObject({ code: 'TIMED_OUT' });
  expect(logger.lines).toMatchObject([{ level: 'warn', message: 'no master answers, still trying' }]);
  expect(getEventListeners(stop.signal, 'abort')).toEqual([]);
  await standby.close();
  await leader.close();
});

test('who gives up waiting for a master need not wait for it', async () => {
  const leader = await serve(
    adminService({
      report: () => new Promise(() => undefined),
      quorum: () => QUORUM,
      transfer: () => new Promise(() => undefined),
    }),
  );
  const stop = new AbortController();
  const channel = new AdminChannel({ masters: [leader.address], ...host, signal: stop.signal });
  const asked = [channel.report(), channel.transfer('m2')];
  setTimeout(() => stop.abort(), 50);
  for (const each of asked) await expect(each).rejects.toMatchObject({ code: 'CANCELLED' });
  await expect(channel.quorum()).rejects.toMatchObject({ code: 'CANCELLED' });
  await leader.close();
});

test.each([
  ['nobody', 'm2', []],
  ['m2', 'm2', []],
  ['m3', 'm3', ['m3']],
])(
  'a leader dies over a transfer to %s: the next one is asked only when it should not lead',
  async (to, led, again) => {
    const dying = await serve(
      adminService({
        report: async () => REPORT,
        quorum: () => ({ ...QUORUM, leader: 'm1' }),
        transfer: () => {
          // What is left of the process is the reset of its connections.
          void dying.close();
          return new Promise(() => undefined);
        },
      }),
    );
    const asked: (string | undefined)[] = [];
    const next = await serve(
      adminService({
        report: async () => REPORT,
        quorum: () => ({ ...QUORUM, self: 'm2', leader: 'm2', term: QUORUM.term + 1 }),
        transfer: async (successor) => {
          asked.push(successor);
          return successor ?? 'anybody';
        },
      }),
    );
    const admin = new AdminChannel({ masters: [dying.address, next.address], ...host });
    await expect(admin.transfer(to === 'nobody' ? undefined : to)).resolves.toBe(led);
    expect(asked).toEqual(again);
    await Promise.all([dying.close(), next.close()]);
  },
);

test('without any master the search ends', async () => {
  const admin = new AdminChannel({ masters: ['127.0.0.1:1'], timeoutMs: 50, ...host });
  await expect(admin.quorum()).rejects.toMatchObject({
    code: 'TIMED_OUT',
    message: expect.stringContaining('127.0.0.1:1'),
  });
});

test.each([[[]], [['nowhere']], [['a:1', 'b']]])('masters %j are refused', (masters) => {
  expect(() => new MasterList(masters, seededRandom(1))).toThrow(SluiceError);
});

test('the master to ask', () => {
  const list = new MasterList(['a:1', 'b:1', 'c:1'], { next: () => 1 });
  expect(list.current).toBe('a:1');
  expect(list.redirected('a:1', { leader: 'c:1' })).toBe(0);
  expect(list.current).toBe('c:1');
  // What another connection learnt of a former master changes nothing.
  expect(list.redirected('a:1', { leader: 'b:1' })).toBeUndefined();
  expect(list.failed('c:1')).toBe(0);
  expect(list.current).toBe('a:1');
  // A hint to the one that just failed is not followed.
  expect(list.redirected('a:1', { leader: 'c:1' })).toBe(10);
  expect(list.current).toBe('b:1');
  // Nor is that one the next in turn.
  expect(list.redirected('b:1', {})).toBe(20);
  expect(list.current).toBe('a:1');
  expect(list.redirected('a:1', { leader: 'x:9' })).toBe(40);
  expect(list.current).toBe('x:9');
  expect(list.failed('x:9')).toBe(50);
  expect(list.current).toBe('a:1');
  expect(list.redirected('a:1', {})).toBe(50);
  list.answered('b:1');
  expect(list.redirected('b:1', { leader: 'c:1' })).toBe(0);
  expect(list.current).toBe('c:1');
});

test('a master that failed is passed over for a while, and then tried again', () => {
  const list = new MasterList(['a:1', 'b:1', 'c:1'], { next: () => 1 });
  list.failed('a:1');
  const asked: string[] = [];
  for (let i = 0; i < 12; i += 1) {
    asked.push(list.current);
    list.redirected(list.current, { leader: 'a:1' });
  }
  expect(asked.slice(0, 8)).not.toContain('a:1');
  expect(asked).toContain('a:1');
});

test('when all failed, hints are followed again', () => {
  const list = new MasterList(['a:1', 'b:1'], seededRandom(1));
  list.failed('a:1');
  list.failed('b:1');
  expect(list.current).toBe('a:1');
  list.redirected('a:1', { leader: 'b:1' });
  expect(list.current).toBe('b:1');
});

test('masters that are learned are asked after those that were configured, and not forgotten at once', () => {
  const list = new MasterList(['a:1', 'b:1'], { next: () => 1 });
  list.learn(['b:1', 'c:1', 'nowhere']);
  expect(list.names).toBe('a:1, b:1, c:1');
  list.redirected('a:1', { leader: 'd:1', masters: 'd:1,e:1' });
  expect([list.current, list.names]).toEqual(['d:1', 'a:1, b:1, c:1, d:1, e:1']);
  list.learn(Array.from({ length: 100 }, (_, i) => `m:${i}`));
  expect(list.names.split(', ')).toHaveLength(2 + 3 + 64);
  list.learn(['z:1']);
  expect(list.names.split(', ')).toEqual(['a:1', 'b:1', ...Array.from({ length: 16 }, (_, i) => `m:${48 + i}`), 'z:1']);
});

test('masters that say different things do not send to and fro between them', () => {
  const list = new MasterList(['a:1', 'b:1', 'c:1'], { next: () => 1 });
  const said: Record<string, string> = { 'a:1': 'b:1,c:1,d:1', 'b:1': 'd:1,a:1,c:1' };
  const asked = new Set<string>();
  for (let i = 0; i < 8; i += 1) {
    asked.add(list.current);
    const masters = said[list.current];
    if (masters === undefined) list.failed(list.current);
    else list.redirected(list.current, { masters });
  }
  expect([...asked].sort()).toEqual(['a:1', 'b:1', 'c:1', 'd:1']);
});
