import { mkdtempSync, readdirSync, rmSync, truncateSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { LevelDatabase } from '../../src/host/level-database.ts';

const root = mkdtempSync(join(tmpdir(), 'sluice-level-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const OPTIONS = { blockCacheBytes: 1 << 20, writeBufferBytes: 1 << 20 };
const one = new Uint8Array([1]);

test('reads, iterates in code-point order, and keeps a snapshot still', async () => {
  const database = await LevelDatabase.openText(join(root, 'a'), OPTIONS);
  expect(await database.isEmpty()).toBe(true);
  const keys = ['a', '\u{1f600}', '\uffee', 'b'];
  const batch = database.batch();
  for (const key of keys) batch.put(key, one);
  await batch.write({ sync: true });
  const snapshot = database.snapshot();
  const later = database.batch();
  later.delete('a');
  later.put('c', one);
  await later.write({ sync: false });
  const list = async (from?: typeof snapshot) => {
    const found: string[] = [];
    for await (const [key] of database.range({ gte: 'a' }, from)) found.push(key);
    return found;
  };
  expect(await list()).toEqual(['b', 'c', '\uffee', '\u{1f600}']);
  expect(await list(snapshot)).toEqual(['a', 'b', '\uffee', '\u{1f600}']);
  expect(database.getSync('a')).toBeUndefined();
  expect([...(database.getSync('b') ?? [])]).toEqual([1]);
  await snapshot.close();
  const dropped = database.batch();
  dropped.put('d', one);
  await dropped.discard();
  expect(database.getSync('d')).toBeUndefined();
  await database.close();
});

test('a second opener is told so', async () => {
  const database = await LevelDatabase.openBinary(join(root, 'b'), OPTIONS);
  await expect(LevelDatabase.openBinary(join(root, 'b'), OPTIONS)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  await database.close();
});

test('damage that LevelDB sees is CORRUPT', async () => {
  const folder = join(root, 'c');
  const database = await LevelDatabase.openBinary(folder, OPTIONS);
  await database.close();
  for (const name of readdirSync(folder)) if (name.startsWith('MANIFEST')) truncateSync(join(folder, name), 3);
  await expect(LevelDatabase.openBinary(folder, OPTIONS)).rejects.toMatchObject({ code: 'CORRUPT' });
});
