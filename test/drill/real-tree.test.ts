import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { runRealTree } from './real-tree.ts';

const FOLDER = fileURLToPath(new URL('../../node_modules', import.meta.url));

test('a tree of thousands of files is read through the workers as it is, and the second time from their caches', async () => {
  // All of it is listed. Compared are the packages with a scope: half of the files, among them the largest.
  const passes = await runRealTree(FOLDER, { skip: (path) => !path.startsWith('@') });
  const { first, second, third, comparedBeforeDeath } = passes;
  expect(first.comparison.files).toBeGreaterThan(3000);
  for (const { comparison } of [first, second, third]) {
    expect(comparison).toEqual({ ...first.comparison, missing: [], invented: [], different: [] });
  }
  expect(first.ufsReads).toBeGreaterThan(0);
  expect(second.ufsReads).toBe(0);
  expect(second.pageHits).toBeGreaterThan(first.comparison.files / 2);
  expect(comparedBeforeDeath).toBeGreaterThan(0);
  expect(comparedBeforeDeath).toBeLessThan(third.comparison.files);
  expect(third.ufsReads).toBe(0);
  expect(first.ufsLooks).toBeGreaterThan(0);
  for (const { ufsLooks } of [second, third]) expect(ufsLooks).toBe(0);
}, 300_000);
