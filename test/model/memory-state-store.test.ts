import fc from 'fast-check';
import { expect, test } from 'vitest';
import { MemoryStateStore } from '../../src/model/memory-state-store.ts';

const key = fc.string({ unit: fc.constantFrom('a', 'b', '/', '\uffff', '😀'), maxLength: 4 });

test('scans and reads as a sorted map does', async () => {
  const writes = fc.array(fc.tuple(fc.constantFrom('put', 'delete'), key, fc.nat(9)));
  await fc.assert(
    fc.asyncProperty(writes, key, key, fc.integer({ min: 1, max: 5 }), async (steps, prefix, tail, limit) => {
      const store = new MemoryStateStore();
      const naive = new Map<string, number>();
      for (const [step, at, id] of steps) {
        if (step === 'put') {
          store.put('trash', at, { id });
          naive.set(at, id);
        } else {
          store.delete('trash', at);
          naive.delete(at);
        }
      }
      for (const [, at] of steps) expect(store.get('trash', at)?.id).toBe(naive.get(at));
      const order = (a: string, b: string) => Buffer.compare(Buffer.from(a), Buffer.from(b));
      const sorted = [...naive].sort(([a], [b]) => order(a, b)).map(([at, id]) => ({ key: at, row: { id } }));
      expect(store.rows('trash')).toEqual(sorted);
      for (const after of ['', prefix + tail]) {
        const expected = sorted.filter(
          (row) => row.key.startsWith(prefix) && (after === '' || order(row.key, after) > 0),
        );
        expect(await store.scan('trash', { prefix, after, limit })).toEqual(expected.slice(0, limit));
      }
    }),
  );
});
