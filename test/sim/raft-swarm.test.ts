import { describe, expect, test } from 'vitest';
import { simulate } from './world.ts';

const TICKS = 1000;

describe('a simulated cluster keeps every promise, whatever fails, and works again when it is healed', () => {
  const groups = Array.from({ length: 8 }, (_, i) => ({ first: 25 * i + 1, last: 25 * (i + 1) }));

  test.each(groups)('seeds $first to $last', ({ first, last }) => {
    let commit = 0;
    let elections = 0;
    let reads = 0;
    for (let seed = first; seed <= last; seed += 1) {
      const report = simulate({ seed, ticks: TICKS });
      commit += report.commit;
      elections += report.elections;
      reads += report.reads;
    }
    // A simulation in which nothing happens proves nothing.
    expect(commit).toBeGreaterThan(1000);
    expect(elections).toBeGreaterThan(25);
    expect(reads).toBeGreaterThan(500);
  });

  test('the same seed gives the same events, another seed others', () => {
    for (const seed of [3, 14, 15]) {
      const once = simulate({ seed, ticks: TICKS });
      expect(simulate({ seed, ticks: TICKS })).toEqual(once);
      expect(simulate({ seed: seed + 1000, ticks: TICKS }).hash).not.toBe(once.hash);
    }
  });
});
