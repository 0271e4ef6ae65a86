import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { LevelDatabase } from '../../src/host/level-database.ts';
import { nodeTimers } from '../../src/host/node-timers.ts';
import { systemClock } from '../../src/host/system-clock.ts';
import { LevelStateStore } from '../../src/master/level-state-store.ts';
import { digestState } from '../../src/master/state-digest.ts';
import { inode } from '../contract/state-store.contract.ts';

let root = '';
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'sluice-digest-'));
});
afterAll(() => rm(root, { recursive: true, force: true }));

const open = (folder: string) =>
  LevelStateStore.open({
    folder: join(root, folder),
    cacheBytes: 1 << 20,
    timers: nodeTimers,
    onFatal: (error) => {
      throw error;
    },
  });

async function digest(store: LevelStateStore, signal = new AbortController().signal) {
  const view = store.view();
  try {
    return await digestState(view, { clock: systemClock, timers: nodeTimers, share: 1, signal });
  } finally {
    await view.close();
  }
}

function fill(store: LevelStateStore, count: number): void {
  for (let id = 1; id <= count; id += 1) {
    store.put('inode', `${id}`.padStart(5, '0'), inode(id));
    store.put('place', `${id}`, { parentId: id, name: `n${id}` });
    store.finishEntry({ term: 1, index: store.applied.index + 1 });
  }
}

test('the digest depends on the rows, not on what is on disk', async () => {
  const store = await open('one');
  fill(store, 1500);
  const fresh = await digest(store);
  expect(fresh.rows).toBe(3000);
  await store.flush();
  expect(await digest(store)).toEqual(fresh);
  await store.close();
  const again = await open('one');
  expect(await digest(again)).toEqual(fresh);
  again.put('inode', '00007', { ...inode(7), mode: 0o600 });
  again.finishEntry({ term: 1, index: 1501 });
  const changed = await digest(again);
  const differing = changed.tables.filter(({ digest: each }, i) => each !== fresh.tables[i]?.digest);
  expect(differing.map(({ table }) => table)).toEqual(['inode']);
  expect(changed.digest).not.toBe(fresh.digest);
  again.put('inode', '00007', inode(7));
  again.finishEntry({ term: 1, index: 1502 });
  expect(await digest(again)).toEqual(fresh);
  await again.close();
});

test('a row that cannot be read is named, and a digest ends when it shall', async () => {
  const store = await open('damaged');
  fill(store, 10);
  const aborted = new AbortController();
  aborted.abort();
  await expect(digest(store, aborted.signal)).rejects.toMatchObject({ code: 'CANCELLED' });
  await store.close();
  const level = await LevelDatabase.openText(join(root, 'damaged'), { blockCacheBytes: 0, writeBufferBytes: 1 << 20 });
  const batch = level.batch();
  const bytes = new Uint8Array(level.getSync('p7') ?? []);
  bytes[bytes.length - 1] = (bytes[bytes.length - 1] ?? 0) ^ 1;
  batch.put('p7', bytes);
  await batch.write({ sync: true });
  await level.close();
  const again = await open('damaged');
  await expect(digest(again)).rejects.toMatchObject({ code: 'CORRUPT', message: expect.stringContaining('"p7"') });
  await again.close();
});

test('a condemned state is not opened again', async () => {
  const store = await open('condemned');
  fill(store, 1);
  await store.condemn('The state of master m2 differs');
  await store.close();
  await expect(open('condemned')).rejects.toMatchObject({
    code: 'CORRUPT',
    message: expect.stringMatching(/^The state of master m2 differs: stop this master/),
  });
});
