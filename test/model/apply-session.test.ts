import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { RequestId } from '../../src/model/operations.ts';
import { codeOf, command, dump, effects, ROOT, World } from './world.ts';

function ask(world: World, sequence: number, acknowledgedBelow = 1, path = `/d${sequence}`, client = 'c1') {
  const requestId: RequestId = { client, sequence, acknowledgedBelow };
  return world.apply(command('makeDirectory', { path }), ROOT, requestId).outcome;
}

describe('a session', () => {
  test('answers a request that comes again as it did, and does nothing', () => {
    const world = new World();
    const first = ask(world, 1);
    world.must('delete', { path: '/d1' });
    const before = effects(world.store);
    expect(ask(world, 1)).toEqual(first);
    expect(effects(world.store)).toEqual(before);
    expect(world.exists('/d1')).toBe(false);
  });

  test('remembers refusals too', () => {
    const world = new World();
    ask(world, 1);
    const refused = ask(world, 2, 1, '/d1');
    expect(codeOf(refused)).toBe('ALREADY_EXISTS');
    world.must('delete', { path: '/d1' });
    expect(ask(world, 2, 1, '/d1')).toEqual(refused);
    expect(world.exists('/d1')).toBe(false);
  });

  test('runs requests that overtook each other', () => {
    const world = new World();
    for (const sequence of [1, 5, 3, 2, 4]) expect(codeOf(ask(world, sequence))).toBe('ok');
    expect(world.store.get('session', 'c1')).toMatchObject({ lastSequence: 5, acknowledgedBelow: 1 });
    expect(world.store.rows('reply')).toHaveLength(5);
  });

  test('forgets what is acknowledged, and says so', () => {
    const world = new World();
    for (const sequence of [1, 2, 3]) ask(world, sequence);
    ask(world, 4, 4);
    expect(world.store.rows('reply').map(({ key }) => key)).toEqual(['c1/00000000004']);
    const before = dump(world.store)['inode'];
    const outcome = ask(world, 2, 1);
    expect(outcome).toMatchObject({ refusal: { code: 'STALE', message: expect.stringMatching(/was acknowledged/) } });
    expect(dump(world.store)['inode']).toEqual(before);
  });

  test('is opened by sequence 1 only', () => {
    const world = new World();
    const before = { ...dump(world.store), counters: 0 };
    expect(ask(world, 2)).toMatchObject({
      refusal: { code: 'SESSION_EXPIRED', message: expect.stringMatching(/Session c1/) },
    });
    expect({ ...dump(world.store), counters: 0 }).toEqual(before);
    expect(codeOf(ask(world, 1))).toBe('ok');
  });

  test('has a window', () => {
    const world = new World();
    ask(world, 1);
    const before = effects(world.store);
    expect(ask(world, 4097)).toMatchObject({ refusal: { code: 'EXHAUSTED', message: expect.stringMatching(/4096/) } });
    expect(effects(world.store)).toEqual(before);
    expect(codeOf(ask(world, 4096))).toBe('ok');
    expect(codeOf(ask(world, 4097, 2))).toBe('ok');
    expect(codeOf(ask(world, 1_000_000, 999_999))).toBe('ok');
    expect(world.store.rows('reply')).toHaveLength(1);
  });

  test.each([
    ['an empty name', { client: '', sequence: 1, acknowledgedBelow: 1 }],
    ['a name with a slash', { client: 'a/b', sequence: 1, acknowledgedBelow: 1 }],
    ['a long name', { client: 'a'.repeat(65), sequence: 1, acknowledgedBelow: 1 }],
    ['sequence 0', { client: 'a', sequence: 0, acknowledgedBelow: 0 }],
    ['half a sequence', { client: 'a', sequence: 1.5, acknowledgedBelow: 1 }],
    ['an acknowledgement of what was not sent', { client: 'a', sequence: 1, acknowledgedBelow: 2 }],
  ])('refuses %s', (_name, requestId) => {
    const world = new World();
    const { outcome } = world.apply(command('makeDirectory', { path: '/a' }), ROOT, requestId);
    expect(codeOf(outcome)).toBe('INVALID_ARGUMENT');
    expect(world.store.rows('session')).toEqual([]);
  });
});

describe('expireSessions', () => {
  test('removes idle sessions with their answers, and no others', () => {
    const world = new World();
    ask(world, 1, 1, '/a', 'idle');
    ask(world, 3, 1, '/b', 'idle');
    const idleSinceMs = world.nowMs + 1;
    ask(world, 1, 1, '/c', 'busy');
    world.must('expireSessions', { clients: ['idle', 'busy', 'unknown'], idleSinceMs });
    expect(world.store.rows('session').map(({ key }) => key)).toEqual(['busy']);
    expect(world.store.rows('reply').map(({ key }) => key)).toEqual(['busy/00000000001']);
    expect(codeOf(ask(world, 4, 1, '/d', 'idle'))).toBe('SESSION_EXPIRED');
  });

  test('does a bounded part at a time', () => {
    const world = new World();
    for (const client of ['a', 'b', 'c']) {
      ask(world, 1, 1, `/${client}1`, client);
      ask(world, 4096, 1, `/${client}2`, client);
    }
    const expire = () => world.must('expireSessions', { clients: ['a', 'b', 'c'], idleSinceMs: world.nowMs + 1 });
    expire();
    expect(world.store.rows('session').map(({ key }) => key)).toEqual(['c']);
    expire();
    expect(world.store.rows('session')).toEqual([]);
    expect(world.store.rows('reply')).toEqual([]);
  });

  test('refuses too many at once', () => {
    const clients = Array.from({ length: 1001 }, (_, index) => `c${index}`);
    expect(codeOf(new World().run('expireSessions', { clients, idleSinceMs: 0 }))).toBe('INVALID_ARGUMENT');
  });
});

test('a lossy, repeating, reordering network never makes a request take effect twice', () => {
  const delivery = fc.record({ pick: fc.nat(7), acknowledge: fc.boolean() });
  fc.assert(
    fc.property(fc.array(delivery, { maxLength: 60 }), (deliveries) => {
      const world = new World();
      const effectsOf = new Map<number, number>();
      const answers = new Map<number, unknown>();
      let next = 1;
      let acknowledgedBelow = 1;
      const send = (sequence: number) => {
        const before = world.store.get('counters', '')!.nextInodeId;
        const outcome = ask(world, sequence, Math.min(acknowledgedBelow, sequence));
        const made = world.store.get('counters', '')!.nextInodeId - before;
        effectsOf.set(sequence, (effectsOf.get(sequence) ?? 0) + made);
        if (answers.has(sequence) && codeOf(outcome) !== 'STALE') expect(outcome).toEqual(answers.get(sequence));
        if (!answers.has(sequence)) expect(codeOf(outcome)).toBe('ok');
        if (codeOf(outcome) === 'ok') answers.set(sequence, outcome);
      };
      send(next++);
      for (const { pick, acknowledge } of deliveries) {
        send(Math.max(1, next + 1 - pick));
        next = Math.max(next, next + 2 - pick);
        while (acknowledge && answers.has(acknowledgedBelow)) acknowledgedBelow++;
      }
      for (const [sequence, count] of effectsOf) expect(count, `request ${sequence}`).toBe(1);
    }),
  );
});

test('log time never runs backwards', () => {
  const world = new World();
  world.nowMs = 5000;
  world.directory('/a');
  world.nowMs = 10;
  world.directory('/b');
  expect(world.status('/b').createdMs).toBe(5001);
  expect(world.store.get('counters', '')?.logTimeMs).toBe(5001);
});
