import { randomInt } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { simulate } from './world.ts';

const TICKS = 1000;
const GROUP = 25;
/** Seeds that no run had before; the first one is in the name of the test, and a failure names its own. */
const FRESH = 50;

/** The seeds of every run, or those of SIM_SEEDS, as `7` or `1000-5000`. */
const [first = 1, last = first] = (process.env['SIM_SEEDS'] ?? '1-200').split('-').map(Number);

describe('a simulated cluster keeps every promise, whatever fails, and works again when it is healed', () => {
  const groups = Array.from({ length: Math.ceil((last - first + 1) / GROUP) }, (_, i) => {
    const from = first + GROUP * i;
    return { from, to: Math.min(last, from + GROUP - 1) };
  });
  if (process.env['SIM_SEEDS'] === undefined) {
    const from = randomInt(1_000_000, 2 ** 31);
    groups.push({ from, to: from + FRESH - 1 });
  }

  test.each(groups)('seeds $from to $to', async ({ from, to }) => {
    let commit = 0;
    let elections = 0;
    let reads = 0;
    for (let seed = from; seed <= to; seed += 1) {
      const report = await simulate({ seed, ticks: TICKS });
      commit += report.commit;
      elections += report.elections;
      reads += report.reads;
    }
    // A simulation in which nothing happens proves nothing.
    const seeds = to - from + 1;
    expect(commit).toBeGreaterThan(10 * seeds);
    expect(elections).toBeGreaterThanOrEqual(seeds);
    expect(reads).toBeGreaterThan(5 * seeds);
  });

  test('the same seed gives the same events, another seed others', async () => {
    for (const seed of [3, 14, 15]) {
      const once = await simulate({ seed, ticks: TICKS });
      expect(await simulate({ seed, ticks: TICKS })).toEqual(once);
      expect((await simulate({ seed: seed + 1000, ticks: TICKS })).hash).not.toBe(once.hash);
    }
  });
});
