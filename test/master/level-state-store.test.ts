import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { LevelDatabase } from '../../src/host/level-database.ts';
import { LevelRows } from '../../src/master/level-rows.ts';
import { LevelStateStore } from '../../src/master/level-state-store.ts';
import type { Inode } from '../../src/model/inode.ts';
import { dentryKey } from '../../src/model/state-store.ts';
import { directory, inode } from '../contract/state-store.contract.ts';
import { ManualTime } from '../support/manual-time.ts';

let root = '';
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'sluice-state-'));
});
afterAll(() => rm(root, { recursive: true, force: true }));

const time = new ManualTime();
const open = (folder: string, cacheBytes = 1 << 20) =>
  LevelStateStore.open({
    folder: join(root, folder),
    cacheBytes,
    timers: time,
    onFatal: (error) => {
      throw error;
    },
  });

test('a kill loses whole entries behind the flushed position only', async () => {
  const store = await open('live');
  for (let index = 1; index <= 10; index += 1) {
    store.put('inode', `1/${index}`, inode(index));
    store.put('counters', '', counters(index));
    store.finishEntry({ term: 1, index });
  }
  await store.flush();
  expect(store.flushed).toEqual({ term: 1, index: 10 });
  store.put('inode', '1/11', inode(11));
  store.finishEntry({ term: 2, index: 11 });
  await cp(join(root, 'live'), join(root, 'killed'), { recursive: true });
  const killed = await open('killed');
  expect(killed.applied).toEqual({ term: 1, index: 10 });
  expect(killed.get('counters', '')).toEqual(counters(10));
  expect(killed.get('inode', '1/11')).toBeUndefined();
  await killed.close();
  await store.close();
  const closed = await open('live');
  expect(closed.applied).toEqual({ term: 2, index: 11 });
  expect(closed.get('inode', '1/11')).toEqual(inode(11));
  await closed.close();
});

test('the membership is that of the position, and lands with it', async () => {
  const store = await open('members');
  expect(store.membership).toBeUndefined();
  const members = (id: string) => ({
    voters: [id],
    outgoing: ['b'],
    learners: ['l'],
    members: [{ id, address: 'host:1', clientAddress: '', priority: 2 }],
  });
  store.putMembership(members('a'));
  store.finishEntry({ term: 1, index: 1 });
  await store.flush();
  store.putMembership(members('c'));
  store.finishEntry({ term: 1, index: 2 });
  await cp(join(root, 'members'), join(root, 'members-killed'), { recursive: true });
  const killed = await open('members-killed');
  expect([killed.applied.index, killed.membership]).toEqual([1, members('a')]);
  await killed.close();
  await store.close();
  const closed = await open('members');
  expect([closed.applied.index, closed.membership]).toEqual([2, members('c')]);
  await closed.close();
});

test('while another state takes its place, what is on the disk is not to be had, and nothing looks damaged', async () => {
  const next = await open('replacement');
  next.put('inode', 'a', inode(2));
  next.finishEntry({ term: 3, index: 1 });
  await next.close();
  const store = await open('replaced');
  for (let index = 1; index <= 3000; index += 1) {
    store.put('place', `${index}`, { parentId: index, name: 'x' });
    store.put('inode', 'a', inode(1));
    store.finishEntry({ term: 1, index });
  }
  await store.flush();
  const view = store.view();
  const rows = view.rows()[Symbol.asyncIterator]();
  await rows.next();
  await store.replace(async () => {
    expect(store.clusterId).toBe('');
    expect(() => store.get('place', 'not in memory')).toThrow(expect.objectContaining({ code: 'UNAVAILABLE' }));
    expect(() => store.view()).toThrow(expect.objectContaining({ code: 'UNAVAILABLE' }));
    const range = { prefix: '', after: '', limit: 10 };
    await expect(store.scan('place', range)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    const drained = async () => {
      while ((await rows.next()).done !== true);
    };
    await expect(drained()).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    await rm(join(root, 'replaced'), { recursive: true });
    await cp(join(root, 'replacement'), join(root, 'replaced'), { recursive: true });
  });
  expect([store.applied, store.flushed]).toEqual([
    { term: 3, index: 1 },
    { term: 3, index: 1 },
  ]);
  expect([store.get('inode', 'a')?.id, store.get('place', '1')]).toEqual([2, undefined]);
  store.put('inode', 'a', inode(3));
  store.finishEntry({ term: 3, index: 2 });
  await store.close();
  const again = await open('replaced');
  expect([again.applied.index, again.get('inode', 'a')?.id]).toEqual([2, 3]);
  await again.close();
});

function counters(n: number) {
  return { nextInodeId: n, nextMountId: 1, inodeCount: n, logTimeMs: n, workersVersion: 0, mountsVersion: 0 };
}

test('many rows stop the applying until a flush has landed', async () => {
  const store = await open('room');
  let index = 0;
  const more = () => {
    index += 1;
    store.put('inode', `1/${index}`, inode(index));
    store.finishEntry({ term: 1, index });
    return store.pause();
  };
  while (more());
  expect(store.pendingRows).toBeGreaterThan(8192);
  await new Promise<void>((resolve) => store.whenRoom(resolve));
  expect(store.pause()).toBe(true);
  await store.close();
});

test('an entry whose applying broke off never reaches the disk', async () => {
  const store = await open('half');
  store.put('counters', '', counters(1));
  store.finishEntry({ term: 1, index: 1 });
  await store.flush();
  store.put('counters', '', counters(2));
  store.finishEntry({ term: 1, index: 2 });
  store.pause();
  store.put('counters', '', counters(3));
  store.insert('inode', '1/half', inode(3));
  await time.advance(1_000);
  await store.close();
  const again = await open('half');
  expect(again.get('inode', '1/half')).toBeUndefined();
  expect(again.get('counters', '')).toEqual(counters(again.applied.index));
  await again.close();
});

test('entries must be finished in order', async () => {
  const store = await open('order');
  expect(() => store.finishEntry({ term: 1, index: 2 })).toThrow(/does not follow/);
  await store.close();
});

test.each([
  ['row', 'i1/1', /checksum of a row of table inode/],
  ['position', '!applied', /checksum of a position/],
])('a damaged %s is CORRUPT', async (name, key, message) => {
  const store = await open(name);
  store.put('inode', '1/1', inode(1));
  store.finishEntry({ term: 1, index: 1 });
  await store.close();
  const level = await LevelDatabase.openText(join(root, name), { blockCacheBytes: 0, writeBufferBytes: 1 << 20 });
  const bytes = new Uint8Array(level.getSync(key)!);
  bytes[bytes.length - 1]! ^= 1;
  const batch = level.batch();
  batch.put(key, bytes);
  await batch.write({ sync: true });
  await level.close();
  const read = async () => {
    const damaged = await open(name);
    try {
      return damaged.get('inode', '1/1');
    } finally {
      await damaged.close();
    }
  };
  await expect(read()).rejects.toMatchObject({ code: 'CORRUPT', message: expect.stringMatching(message) });
});

test('what memory holds of clean rows stays in its bytes and is what was used', () => {
  const rows = new LevelRows(1_000_000);
  const row = { id: 1 };
  rows.keep('inode', 'hot', row, 10);
  for (let i = 0; i < 10_000; i += 1) {
    rows.keep('inode', `cold ${i}`, { id: i }, 10);
    expect(rows.find('inode', 'hot')?.row).toBe(row);
    expect(rows.bytes).toBeLessThan(1_001_000);
  }
  expect(rows.find('inode', 'cold 0')).toBeUndefined();
  expect(rows.find('inode', 'cold 9999')?.row).toEqual({ id: 9999 });
});

test('changed rows stay until they are on disk, those that are only written no longer', () => {
  const rows = new LevelRows(10_000);
  for (let i = 0; i < 1000; i += 1) {
    rows.put('inode', `${i}`, { i }, true);
    rows.put('place', `${i}`, { i }, true);
  }
  const changes = rows.beginFlush();
  expect(changes).toHaveLength(2000);
  for (let i = 0; i < 1000; i += 1) rows.keep('session', `${i}`, {}, 100);
  rows.put('inode', '7', { later: true }, false);
  rows.delete('inode', '8');
  expect(changes[14]).toEqual({ table: 'inode', key: '7', row: { i: 7 } });
  expect(rows.find('inode', '6')?.row).toEqual({ i: 6 });
  expect(rows.find('place', '999')?.row).toEqual({ i: 999 });
  rows.endFlush();
  for (let i = 0; i < 1000; i += 1) rows.keep('session', `${i}`, {}, 100);
  expect(rows.find('place', '999')).toBeUndefined();
  expect(rows.find('inode', '6')).toBeUndefined();
  expect(rows.find('inode', '7')?.row).toEqual({ later: true });
  expect(rows.find('inode', '8')).toEqual(expect.objectContaining({ row: undefined }));
  expect(rows.beginFlush().map(({ key, row }) => [key, row])).toEqual([
    ['7', { later: true }],
    ['8', undefined],
  ]);
});

test('a row that the disk did not have may come and go', async () => {
  const store = await open('absent');
  const entry = (change: () => void) => {
    change();
    store.finishEntry({ term: 1, index: store.applied.index + 1 });
  };
  for (const between of [() => Promise.resolve(), () => store.flush()]) {
    expect([store.get('trash', 'k'), store.get('trash', 'k')]).toEqual([undefined, undefined]);
    entry(() => store.insert('trash', 'k', { id: 1 }));
    expect(store.get('trash', 'k')).toEqual({ id: 1 });
    await between();
    entry(() => store.delete('trash', 'k'));
    expect(store.get('trash', 'k')).toBeUndefined();
    await between();
    expect(await store.scan('trash', { prefix: '', after: '', limit: 9 })).toEqual([]);
  }
  await store.close();
});

test('what a directory made here has is found after it has left memory, and what it has not is not', async () => {
  let folder = 0;
  const step = fc.record({
    kind: fc.constantFrom('make', 'file', 'file', 'file', 'delete', 'flush', 'others', 'others', 'restart'),
    parent: fc.nat(3),
    name: fc.nat(3),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
      folder += 1;
      const name = `whole-${folder}`;
      let store = await open(name, 20_000);
      const naive = new Map<string, Inode>();
      const made = [10];
      let next = 100;
      const change = (key: string, row: Inode | undefined) => {
        if (row === undefined) store.delete('inode', key);
        else if (naive.has(key)) store.put('inode', key, row);
        else store.insert('inode', key, row);
        if (row === undefined) naive.delete(key);
        else naive.set(key, row);
        store.finishEntry({ term: 1, index: store.applied.index + 1 });
      };
      for (const { kind, parent, name: child } of steps) {
        const key = dentryKey(made[parent % made.length] ?? 0, `n${child}`);
        next += 1;
        if (kind === 'make' && !naive.has(key)) {
          change(key, { ...directory(next), childCount: 0 });
          made.push(next);
        } else if (kind === 'file') change(key, inode(next));
        else if (kind === 'delete') change(key, undefined);
        else if (kind === 'others') {
          for (let i = 0; i < 200; i += 1) {
            change(dentryKey(9, `${next}-${i}`), inode(i));
            if (i % 100 === 99) await store.flush();
          }
        } else if (kind === 'flush') await store.flush();
        else if (kind === 'restart') {
          await store.close();
          store = await open(name, 20_000);
        }
        for (const id of made)
          for (let n = 0; n < 4; n += 1) {
            const looked = dentryKey(id, `n${n}`);
            expect(store.get('inode', looked)).toEqual(naive.get(looked));
          }
      }
      await store.close();
    }),
    { numRuns: 30 },
  );
});

test('a row that comes and goes between two flushes is never written, one that was there is deleted', () => {
  const rows = new LevelRows(10_000);
  rows.put('reply', 'a', { n: 1 }, true);
  rows.put('reply', 'b', { n: 1 }, false);
  rows.delete('reply', 'a');
  rows.delete('reply', 'b');
  expect(rows.find('reply', 'a')).toBeUndefined();
  rows.put('reply', 'b', { n: 2 }, true);
  rows.delete('reply', 'b');
  expect(rows.beginFlush()).toEqual([{ table: 'reply', key: 'b', row: undefined }]);
  rows.put('reply', 'b', { n: 3 }, true);
  rows.delete('reply', 'b');
  rows.endFlush();
  expect(rows.beginFlush()).toEqual([{ table: 'reply', key: 'b', row: undefined }]);
});
