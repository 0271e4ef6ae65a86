import fc from 'fast-check';
import { expect, test } from 'vitest';
import { JournalRing } from '../../src/master/journal-ring.ts';
import { type Entry, entrySizeBytes } from '../../src/raft/entry.ts';
import { entries } from '../contract/log-store.contract.ts';

test('agrees with an array, holds what is not durable, and stays in its bytes otherwise', () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant('stage' as const), count: fc.integer({ min: 1, max: 20 }), back: fc.nat(5) }),
    fc.record({ kind: fc.constant('durable' as const), back: fc.nat(5) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 100 }), (steps) => {
      const ring = new JournalRing(7, 1000);
      const log: Entry[] = entries(1, 7, 1);
      let durable = 7;
      let term = 1;
      for (const action of steps) {
        if (action.kind === 'stage') {
          const from = Math.max(8, log.length + 1 - action.back);
          const cut = from <= log.length;
          if (cut) term += 1;
          log.length = from - 1;
          durable = Math.min(durable, log.length);
          const added = entries(from, from + action.count - 1, term);
          log.push(...added);
          ring.stage(added, cut ? from : undefined);
        } else {
          durable = Math.max(durable, log.length - action.back);
          ring.markDurable(durable);
        }
        for (const entry of log) {
          const found = ring.get(entry.index);
          if (entry.index > durable) expect(found).toBe(entry);
          else if (found !== undefined) expect(found).toBe(entry);
        }
        expect(ring.get(log.length + 1)).toBeUndefined();
        const bound = Math.max(
          1000,
          log.slice(durable).reduce((sum, entry) => sum + entrySizeBytes(entry), 0),
        );
        expect(ring.bytes).toBeLessThanOrEqual(bound);
        const first = log.findIndex((entry) => ring.get(entry.index) !== undefined);
        if (first >= 0) expect(ring.range(first + 1, log.length, 1e9)).toEqual(log.slice(first));
        if (first > 0) expect(ring.range(first, log.length, 1e9)).toBeUndefined();
      }
    }),
  );
});

test('a range is cut behind the entry that reaches the limit', () => {
  const ring = new JournalRing(0, 10_000);
  ring.stage(entries(1, 9, 1), undefined);
  expect(ring.range(2, 9, 1)?.map((entry) => entry.index)).toEqual([2]);
  expect(ring.range(2, 9, 41)?.map((entry) => entry.index)).toEqual([2, 3]);
  expect(ring.range(2, 10, 41)).toBeUndefined();
});
