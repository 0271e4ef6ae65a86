import { mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
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

/** A closed database of synced writes whose values grow, so that its log has many blocks and split records. */
async function written(name: string, writes: number, valueBytes: number): Promise<{ folder: string; log: string }> {
  const folder = join(root, name);
  const database = await LevelDatabase.openBinary(folder, { ...OPTIONS, writeBufferBytes: 16 << 20 });
  for (let i = 0; i < writes; i += 1) {
    const batch = database.batch();
    batch.put(new Uint8Array([i]), new Uint8Array(valueBytes).fill(i));
    await batch.write({ sync: true });
  }
  await database.close();
  const log = readdirSync(folder).find((file) => file.endsWith('.log')) as string;
  return { folder, log: join(folder, log) };
}

const fits: readonly (readonly [string, number, number])[] = [
  ['small records', 40, 100],
  ['records over several blocks', 6, 50_000],
];

test.each(fits)('%s: a flipped bit with a whole write behind it is CORRUPT', async (name, writes, bytes) => {
  const { folder, log } = await written(`flip-${name}`, writes, bytes);
  const sound = readFileSync(log);
  const lastWrite = sound.length - bytes - 100;
  for (let at = 0; at < lastWrite; at += Math.ceil(lastWrite / 60)) {
    const harmed = Buffer.from(sound);
    harmed[at] = (harmed[at] as number) ^ 8;
    writeFileSync(log, harmed);
    // The space behind the last record of a block is not read by anybody.
    if (sound[at] === 0 && at % 32_768 > 32_760) continue;
    await expect(LevelDatabase.openBinary(folder, OPTIONS), `byte ${at}`).rejects.toMatchObject({
      code: 'CORRUPT',
      message: expect.stringContaining('has a broken record at byte'),
    });
  }
  writeFileSync(log, sound);
  const database = await LevelDatabase.openBinary(folder, OPTIONS);
  expect(database.getSync(new Uint8Array([writes - 1]))).toHaveLength(bytes);
  await database.close();
});

test.each(fits)('%s: a write that a crash tore is dropped alone', async (name, writes, bytes) => {
  for (const keep of [1, 6, 7, 8, Math.floor(bytes / 2), bytes]) {
    const { folder, log } = await written(`torn-${name}-${keep}`, writes, bytes);
    const sound = readFileSync(log);
    const begin = sound.length - bytes - 100;
    truncateSync(log, Math.min(sound.length - 1, begin + 90 + keep));
    const database = await LevelDatabase.openBinary(folder, OPTIONS);
    expect(database.getSync(new Uint8Array([writes - 2]))).toHaveLength(bytes);
    expect(database.getSync(new Uint8Array([writes - 1]))).toBeUndefined();
    await database.close();
  }
});

test('zeros behind the last record are no damage', async () => {
  const { folder, log } = await written('zeros', 10, 100);
  writeFileSync(log, Buffer.concat([readFileSync(log), Buffer.alloc(70_000)]));
  const database = await LevelDatabase.openBinary(folder, OPTIONS);
  expect(database.getSync(new Uint8Array([9]))).toHaveLength(100);
  await database.close();
});
