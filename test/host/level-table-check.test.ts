import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { LevelDatabase } from '../../src/host/level-database.ts';
import { findTableDamage } from '../../src/host/level-table-check.ts';

const root = mkdtempSync(join(tmpdir(), 'sluice-tables-'));
const OPTIONS = { blockCacheBytes: 0, writeBufferBytes: 64 * 1024 };
const { signal } = new AbortController();
let tables: string[] = [];

beforeAll(async () => {
  for (let round = 0; round < 2; round += 1) {
    const level = await LevelDatabase.openText(root, OPTIONS);
    const batch = level.batch();
    for (let i = 0; i < 3000; i += 1) {
      const text = `${i * 7919} of round ${round} `;
      batch.put(`a-key-that-begins-like-others-${round}-${i}`, Buffer.from(text.repeat((i % 9) + 1)));
    }
    await batch.write({ sync: true });
    await level.close();
  }
  // Opening makes a table of the log.
  await (await LevelDatabase.openText(root, OPTIONS)).close();
  tables = readdirSync(root).filter((name) => name.endsWith('.ldb'));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

test('sound tables are whole', async () => {
  expect(tables.length).toBeGreaterThan(0);
  expect(await findTableDamage(root, signal)).toBeUndefined();
  expect(await findTableDamage(join(root, 'none'), signal)).toBeUndefined();
});

test('a changed bit is found wherever it is', async () => {
  const [name = ''] = tables;
  const file = join(root, name);
  const sound = readFileSync(file);
  // The bytes between the handles in the footer and its magic are padding.
  const padded = (at: number) => at >= sound.length - 48 && at < sound.length - 8;
  const step = Math.max(1, Math.floor(sound.length / 60));
  for (let at = 0; at < sound.length; at += step) {
    if (padded(at)) continue;
    const bytes = Buffer.from(sound);
    bytes.writeUInt8(bytes.readUInt8(at) ^ (1 << (at % 8)), at);
    writeFileSync(file, bytes);
    expect([at, await findTableDamage(root, signal)]).toEqual([at, name]);
  }
  for (const length of [0, 47, 48, sound.length - 1]) {
    writeFileSync(file, sound.subarray(0, length));
    expect([length, await findTableDamage(root, signal)]).toEqual([length, name]);
  }
  writeFileSync(file, sound);
});
