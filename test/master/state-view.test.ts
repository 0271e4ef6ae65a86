import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { nodeTimers } from '../../src/host/node-timers.ts';
import { LevelStateStore } from '../../src/master/level-state-store.ts';
import type { StateView, StoredRow } from '../../src/master/state-view.ts';
import { compareKeys } from '../../src/model/path.ts';
import { encodeRow } from '../../src/wire/codec/state.ts';
import { inode } from '../contract/state-store.contract.ts';

let root = '';
let folders = 0;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'sluice-view-'));
});
afterAll(() => rm(root, { recursive: true, force: true }));

function open(folder: string) {
  return LevelStateStore.open({
    folder: join(root, folder),
    cacheBytes: 1 << 20,
    timers: nodeTimers,
    onFatal: (error) => {
      throw error;
    },
  });
}

/** All rows of a view, as texts that can be compared; each chunk is checked for its size. */
async function read(view: StateView, from?: string): Promise<[string, string][]> {
  const all: [string, string][] = [];
  for await (const chunk of view.rows(from)) {
    expect(chunk.length).toBeGreaterThan(0);
    expect(chunk.length).toBeLessThanOrEqual(1000);
    all.push(...chunk.map(asText));
  }
  return all;
}

const asText = ([key, value]: StoredRow): [string, string] => [key, Buffer.from(value).toString('hex')];

const KEYS = ['', 'a', 'a/b', 'b/\u{10000}x', 'b/\uffff', 'c', '\u{10ffff}'];
const step = fc.record({
  kind: fc.constantFrom('put', 'put', 'put', 'delete', 'flush', 'begin flush', 'restart', 'view'),
  table: fc.constantFrom('inode' as const, 'place' as const),
  key: fc.constantFrom(...KEYS),
  id: fc.integer({ min: 1, max: 99 }),
});

test('a view has the rows of its position, on disk or not, whatever comes later, and can be read from any key', () =>
  fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), fc.constantFrom(...KEYS), async (steps, from) => {
      folders += 1;
      const folder = `random ${folders}`;
      let store = await open(folder);
      const naive = new Map<string, string>();
      const views: { view: StateView; index: number; rows: [string, string][] }[] = [];
      const readAll = async () => {
        for (const { view, index, rows } of views.splice(0)) {
          expect(view.position).toEqual({ term: 1, index });
          expect(await read(view)).toEqual(rows);
          const first = `i${from}`;
          expect(await read(view, first)).toEqual(rows.filter(([key]) => compareKeys(key, first) >= 0));
          await view.close();
        }
      };
      for (const { kind, table, key, id } of steps) {
        const letter = table === 'inode' ? 'i' : 'p';
        if (kind === 'put' || kind === 'delete') {
          const row = table === 'inode' ? inode(id) : { parentId: id, name: 'n' };
          if (kind === 'delete') store.delete(table, key);
          else if (naive.has(letter + key)) store.put(table, key, row);
          else store.insert(table, key, row);
          if (kind === 'delete') naive.delete(letter + key);
          else naive.set(letter + key, Buffer.from(encodeRow(table, row)).toString('hex'));
          store.finishEntry({ term: 1, index: store.applied.index + 1 });
        } else if (kind === 'flush') await store.flush();
        else if (kind === 'begin flush') void store.flush();
        else if (kind === 'restart') {
          await readAll();
          await store.close();
          store = await open(folder);
        } else if (store.applied.index > 0) {
          const rows = [...naive].sort(([a], [b]) => compareKeys(a, b));
          views.push({ view: store.view(), index: store.applied.index, rows });
        }
      }
      await readAll();
      await store.close();
    }),
    { numRuns: 60 },
  ));

test('thousands of rows come in chunks, the same before and after a flush', async () => {
  const store = await open('chunks');
  const put = (from: number, to: number, step: number) => {
    for (let id = from; id < to; id += step) store.put('inode', `${id}`.padStart(6, '0'), inode(id));
    store.finishEntry({ term: 1, index: store.applied.index + 1 });
  };
  put(0, 6000, 3);
  await store.flush();
  put(1, 9000, 3);
  const mixed = store.view();
  const rows = await read(mixed);
  expect(rows).toHaveLength(5000);
  await mixed.close();
  await store.flush();
  const flushed = store.view();
  expect(await read(flushed)).toEqual(rows);
  expect(flushed.position).toEqual({ term: 1, index: 2 });
  await flushed.close();
  await store.close();
});

test('there is no view of half an entry', async () => {
  const store = await open('half');
  store.put('inode', 'a', inode(1));
  expect(() => store.view()).toThrow(/whole entries/);
  await store.close();
});
