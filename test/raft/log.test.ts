import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { alreadyHeld } from '../../src/raft/conflict.ts';
import { type Entry, entrySizeBytes } from '../../src/raft/entry.ts';
import { RaftLog } from '../../src/raft/log.ts';
import type { TermRun } from '../../src/raft/log-store.ts';
import { SIZE_HISTORY, SizeHistory } from '../../src/raft/size-history.ts';

const BASE = { term: 1, index: 10 };

function entry(term: number, index: number, size = 0): Entry {
  return { term, index, kind: 'command', bytes: new Uint8Array(size) };
}

/** A log behind BASE whose terms rise by the given steps. */
function logOf(steps: readonly number[]): { log: RaftLog; terms: number[] } {
  const terms: number[] = [];
  for (const step of steps) terms.push((terms.at(-1) ?? BASE.term) + step);
  const runs: TermRun[] = [];
  terms.forEach((term, i) => {
    if (runs.at(-1)?.term !== term) runs.push({ first: BASE.index + i + 1, term });
  });
  const last = { term: terms.at(-1) ?? BASE.term, index: BASE.index + terms.length };
  const ballot = { term: last.term, votedFor: undefined };
  const stored = { ballot, base: BASE, last, runs, commit: BASE.index, configs: [] };
  return { log: new RaftLog(stored, BASE.index), terms };
}

const steps = fc.array(fc.nat({ max: 2 }), { maxLength: 30 });

describe('RaftLog', () => {
  test('knows the term of every index, and of none outside', () => {
    fc.assert(
      fc.property(steps, (drawn) => {
        const { log, terms } = logOf(drawn);
        const known = Array.from({ length: terms.length + 3 }, (_, i) => log.termAt(BASE.index - 1 + i));
        expect(known).toEqual([undefined, BASE.term, ...terms, undefined]);
      }),
    );
  });

  test('finds the last position of a term at most', () => {
    fc.assert(
      fc.property(steps, fc.nat({ max: 45 }), fc.nat({ max: 60 }), (drawn, index, term) => {
        const { log, terms } = logOf(drawn);
        let naive = BASE;
        terms.forEach((t, i) => {
          if (BASE.index + i + 1 <= index && t <= term) naive = { term: t, index: BASE.index + i + 1 };
        });
        expect(log.lastAtMost(index, term)).toEqual(naive);
      }),
    );
  });

  test('after cutting and appending equals a plain array', () => {
    const change = fc.tuple(fc.nat({ max: 12 }), fc.array(fc.nat({ max: 1 }), { maxLength: 5 }));
    fc.assert(
      fc.property(steps, fc.array(change, { maxLength: 10 }), (drawn, changes) => {
        const { log, terms } = logOf(drawn);
        for (const [cut, more] of changes) {
          if (cut > 0 && cut <= terms.length) {
            log.truncate(log.last.index + 1 - cut);
            terms.length -= cut;
          }
          for (const step of more) {
            terms.push((terms.at(-1) ?? BASE.term) + step);
            log.append([entry(terms.at(-1)!, log.last.index + 1)]);
          }
        }
        expect(terms.map((_, i) => log.termAt(BASE.index + i + 1))).toEqual(terms);
        expect(log.last).toEqual({ term: terms.at(-1) ?? BASE.term, index: BASE.index + terms.length });
      }),
    );
  });

  test('refuses holes, falling terms and the removal of committed entries', () => {
    const { log } = logOf([0, 1, 0]);
    expect(() => log.append([entry(2, 15)])).toThrow('does not follow');
    expect(() => log.append([entry(1, 14)])).toThrow('would fall');
    log.commitTo(12);
    expect(() => log.truncate(12)).toThrow('Committed entries');
  });
});

describe('conflict', () => {
  test.each([
    { name: 'all new', first: 14, terms: [3, 3], held: 0 },
    { name: 'all held', first: 11, terms: [1, 2, 2], held: 3 },
    { name: 'held, then new', first: 12, terms: [2, 2, 2], held: 2 },
    { name: 'held, then different', first: 11, terms: [1, 3], held: 1 },
    { name: 'different', first: 12, terms: [3], held: 0 },
    { name: 'from before the beginning of the log', first: 9, terms: [1, 1, 1, 2], held: 4 },
    { name: 'none', first: 11, terms: [], held: 0 },
  ])('$name', ({ first, terms, held }) => {
    const { log } = logOf([0, 1, 0]);
    expect(
      alreadyHeld(
        log,
        terms.map((term, i) => entry(term, first + i)),
      ),
    ).toBe(held);
  });
});

describe('SizeHistory', () => {
  test('sums and cuts as adding up does', () => {
    const sizes = fc.array(fc.integer({ min: 32, max: 100 }), { minLength: 1, maxLength: 50 });
    fc.assert(
      fc.property(sizes, fc.nat(), fc.integer({ min: 1, max: 800 }), (drawn, start, maxBytes) => {
        const history = new SizeHistory(7);
        for (const size of drawn) history.push(size);
        const from = 8 + (start % drawn.length);
        const sum = (a: number, b: number): number => drawn.slice(a - 8, b - 7).reduce((x, y) => x + y, 0);
        let naive = from;
        while (naive < 7 + drawn.length && sum(from, naive + 1) <= maxBytes) naive += 1;
        expect(history.fit(from, maxBytes)).toBe(naive);
        expect(history.bytesOf(from, naive)).toBe(sum(from, naive));
        expect(history.bytesAfter(from - 1)).toBe(sum(from, 7 + drawn.length));
      }),
    );
  });

  test('forgets what is old, and everything that was cut', () => {
    const history = new SizeHistory(0);
    for (let i = 0; i < SIZE_HISTORY + 10; i += 1) history.push(entrySizeBytes(entry(1, i + 1, 1)));
    expect(history.first).toBe(12);
    expect(history.bytesOf(12, SIZE_HISTORY + 10)).toBe(33 * (SIZE_HISTORY - 1));
    history.truncate(5);
    expect(history.first).toBe(5);
    history.push(10);
    expect(history.bytesAfter(0)).toBe(10);
  });
});
