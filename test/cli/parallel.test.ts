import { describe, expect, test } from 'vitest';
import { runAll } from '../../src/cli/parallel.ts';

describe('runAll', () => {
  test('runs everything, never more than the limit at a time', async () => {
    let [running, most] = [0, 0];
    const done: number[] = [];
    await runAll([1, 2, 3, 4, 5, 6, 7], 3, async (item) => {
      most = Math.max(most, ++running);
      await new Promise(setImmediate);
      running -= 1;
      done.push(item);
    });
    expect([most, done.length]).toEqual([3, 7]);
  });

  test('after a failure nothing is begun, what runs is awaited', async () => {
    const begun: number[] = [];
    let ended = 0;
    const work = runAll([1, 2, 3, 4, 5, 6], 2, async (item) => {
      begun.push(item);
      await new Promise(setImmediate);
      ended += 1;
      if (item === 1) throw new Error('first');
    });
    await expect(work).rejects.toThrow('first');
    expect(begun.length).toBeLessThan(5);
    expect(ended).toBe(begun.length);
  });

  test('a source that fails is reported', async () => {
    async function* source() {
      yield 1;
      throw new Error('source');
    }
    await expect(runAll(source(), 2, () => Promise.resolve())).rejects.toThrow('source');
  });
});
