import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { LevelDatabase } from '../../src/host/level-database.ts';
import { LevelRowCache } from '../../src/master/level-row-cache.ts';
import { LevelStateStore } from '../../src/master/level-state-store.ts';
import { inode } from '../contract/state-store.contract.ts';
import { ManualTime } from '../support/manual-time.ts';

let root = '';
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'sluice-state-'));
});
afterAll(() => rm(root, { recursive: true, force: true }));

const time = new ManualTime();
const open = (folder: string) =>
  LevelStateStore.open({
    folder: join(root, folder),
    cacheBytes: 1 << 20,
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
  expect(store.cachedBytes).toBeLessThan((1 << 20) + 1024);
  await store.close();
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

test('the cache stays in its bytes and keeps what is used', () => {
  const cache = new LevelRowCache(100_000);
  cache.set('hot', 'row', 10);
  for (let i = 0; i < 10_000; i += 1) {
    cache.set(`cold ${i}`, i, 10);
    expect(cache.get('hot')).toBe('row');
    expect(cache.bytes).toBeLessThan(101_000);
  }
  expect(cache.get('cold 0')).toBeUndefined();
  expect(cache.get('cold 9999')).toBe(9999);
  cache.delete('hot');
  expect(cache.get('hot')).toBeUndefined();
});
