import { cp, mkdtemp, readdir, rm, truncate } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { LevelDatabase } from '../../src/host/level-database.ts';
import { blockKey } from '../../src/master/level-log-scan.ts';
import { LevelLogStore } from '../../src/master/level-log-store.ts';
import { entries, entry } from '../contract/log-store.contract.ts';

let root = '';
let sound = '';
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'sluice-damage-'));
  sound = join(root, 'sound');
  const store = new LevelLogStore(sound);
  await store.open();
  for (let i = 1; i <= 50; i += 5) await store.write({ entries: entries(i, i + 4, 1), commit: Math.max(0, i - 3) });
  await store.close();
});
afterAll(() => rm(root, { recursive: true, force: true }));

type Level = LevelDatabase<Uint8Array>;
const MARK = new Uint8Array([0x62]);

async function change(level: Level, act: (batch: ReturnType<Level['batch']>) => void): Promise<void> {
  const batch = level.batch();
  act(batch);
  await batch.write({ sync: true });
}

function flipped(level: Level, key: Uint8Array, at: number): Uint8Array {
  const bytes = new Uint8Array(level.getSync(key)!);
  const place = at < 0 ? bytes.length + at : at;
  bytes[place] = bytes[place]! ^ 4;
  return bytes;
}

describe('damage is CORRUPT and names the entry', () => {
  const cases: readonly (readonly [string, (level: Level) => Promise<void>, RegExp])[] = [
    ['bit of a body', (l) => change(l, (b) => b.put(blockKey(11), flipped(l, blockKey(11), -1))), /at entry 11/],
    ['bit of a header', (l) => change(l, (b) => b.put(blockKey(11), flipped(l, blockKey(11), 3))), /at entry 11/],
    [
      'bit of an entry header',
      (l) => change(l, (b) => b.put(blockKey(11), flipped(l, blockKey(11), 25))),
      /at entry 11/,
    ],
    [
      'middle record missing',
      (l) => change(l, (b) => b.delete(blockKey(21))),
      /at entry 21 \(entries up to 25 are missing/,
    ],
    ['first record missing', (l) => change(l, (b) => b.delete(blockKey(1))), /at entry 1 /],
    [
      'acknowledged tail missing',
      (l) => change(l, (b) => b.delete(blockKey(46))),
      /entry 46 \(entries up to 50 are missing/,
    ],
    [
      'record cut short',
      (l) => change(l, (b) => b.put(blockKey(11), l.getSync(blockKey(11))!.subarray(0, 9))),
      /entry 11/,
    ],
    ['record of another place', (l) => change(l, (b) => b.put(blockKey(11), l.getSync(blockKey(16))!)), /entry 11/],
    ['ballot missing', (l) => change(l, (b) => b.delete(MARK)), /record of votes is missing/],
    ['bit of the ballot', (l) => change(l, (b) => b.put(MARK, flipped(l, MARK, -1))), /checksum of a ballot/],
    ['older ballot', (l) => change(l, (b) => b.put(blockKey(51), l.getSync(blockKey(46))!)), /damaged at entry 51/],
  ];
  test.each(cases)('%s', async (name, harm, message) => {
    const folder = join(root, name.replaceAll(' ', '-'));
    await cp(sound, folder, { recursive: true });
    const level = await LevelDatabase.openBinary(folder, { blockCacheBytes: 1 << 20, writeBufferBytes: 1 << 20 });
    await harm(level);
    await level.close();
    await expect(new LevelLogStore(folder).open()).rejects.toMatchObject({
      code: 'CORRUPT',
      message: expect.stringMatching(message),
    });
  });
});

test('a log file torn at its end loses whole writes, never part of one', async () => {
  const folder = join(root, 'torn');
  const store = new LevelLogStore(join(root, 'open'));
  await store.open();
  for (let i = 1; i <= 20; i += 5) await store.write({ entries: entries(i, i + 4, 1), commit: 0 });
  await cp(join(root, 'open'), folder, { recursive: true });
  await store.close();
  const logs = (await readdir(folder)).filter((name) => name.endsWith('.log'));
  const file = join(folder, logs[0]!);
  const { size } = await import('node:fs').then((fs) => fs.statSync(file));
  await truncate(file, size - 10);
  const torn = new LevelLogStore(folder);
  expect((await torn.open()).last).toEqual({ index: 15, term: 1 });
  await torn.write({ entries: [entry(16, 2)], commit: 0 });
  await torn.close();
});

test('an error of a write poisons the store', async () => {
  const store = new LevelLogStore(join(root, 'poison'));
  await store.open();
  await expect(store.write({ entries: [entry(7, 1)], commit: 0 })).rejects.toThrow(/does not follow/);
  await expect(store.write({ entries: [entry(1, 1)], commit: 0 })).rejects.toThrow(/failed before/);
  await store.close();
});

test('two writes at a time are a defect', async () => {
  const store = new LevelLogStore(join(root, 'two'));
  await store.open();
  const first = store.write({ entries: [entry(1, 1)], commit: 0 });
  await expect(store.write({ entries: [entry(2, 1)], commit: 0 })).rejects.toThrow(/Two writes/);
  await first;
  await store.close();
});
