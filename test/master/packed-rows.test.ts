import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type PackedRow, PackedRows } from '../../src/master/packed-rows.ts';

const KEYS = ['a/1', 'a/2', 'a', 'b/1', 'é/1', 'Ã©/1', 'b/\u{1f600}', 'b/\uffff', ''];

function bytes(n: number): Uint8Array {
  return Uint8Array.from({ length: 1 + (n % 7) }, (_, i) => n + i);
}

function hex(row: PackedRow): string {
  return row ? Buffer.from(row).toString('hex') : String(row);
}

test('memory and disk together know what a map knows, and a flush writes each key once', () => {
  const key = fc.constantFrom(...KEYS);
  const step = fc.oneof(
    { weight: 5, arbitrary: fc.record({ kind: fc.constant('put' as const), key, n: fc.nat(200) }) },
    { weight: 4, arbitrary: fc.record({ kind: fc.constant('delete' as const), key }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('begin' as const) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('end' as const), slice: fc.integer({ min: 1, max: 3 }) }) },
  );
  const maxBytes = fc.constantFrom(0, 300, 1 << 20);
  fc.assert(
    fc.property(maxBytes, fc.array(step, { maxLength: 80 }), (max, steps) => {
      const rows = new PackedRows(max);
      const naive = new Map<string, string>();
      const disk = new Map<string, string>();
      let flushing = false;
      for (const action of steps) {
        if (action.kind === 'put') {
          rows.put(action.key, bytes(action.n), !naive.has(action.key));
          naive.set(action.key, hex(bytes(action.n)));
        } else if (action.kind === 'delete') {
          rows.delete(action.key);
          naive.delete(action.key);
        } else if (action.kind === 'begin' && !flushing) {
          rows.beginFlush();
          flushing = true;
        } else if (action.kind === 'end' && flushing) {
          const written = new Set<string>();
          for (let from = 0; from < rows.flushing; from += action.slice)
            rows.visit(from, Math.min(rows.flushing, from + action.slice), (k, row) => {
              expect(written.has(k)).toBe(false);
              written.add(k);
              if (row === undefined) disk.delete(k);
              else disk.set(k, hex(row));
            });
          rows.endFlush();
          flushing = false;
        }
        for (const k of KEYS) {
          const known = rows.find(k);
          const row = known === undefined ? disk.get(k) : known === false ? undefined : hex(known);
          expect([k, row]).toEqual([k, naive.get(k)]);
        }
        const scanned = new Map([...disk].filter(([k]) => k.startsWith('b/')));
        for (const which of ['flushing', 'changed'] as const)
          rows.scan('b/', which, (k, row) => {
            if (row === undefined) scanned.delete(k);
            else scanned.set(k, hex(row));
          });
        expect(scanned).toEqual(new Map([...naive].filter(([k]) => k.startsWith('b/'))));
      }
    }),
    { numRuns: 300 },
  );
});

test('what comes and goes between two flushes is never written, what was there is deleted', () => {
  const rows = new PackedRows(1 << 20);
  const flush = () => {
    const written: [string, boolean][] = [];
    rows.beginFlush();
    rows.visit(0, rows.flushing, (key, row) => written.push([key, row !== undefined]));
    return written;
  };
  rows.delete('');
  rows.put('new', bytes(1), true);
  rows.put('new', bytes(2), false);
  rows.put('old', bytes(1), false);
  rows.delete('new');
  rows.delete('old');
  rows.put('again', bytes(1), true);
  rows.delete('again');
  rows.put('again', bytes(2), true);
  expect(rows.find('new')).toBe(false);
  expect(flush()).toEqual([
    ['', false],
    ['old', false],
    ['again', true],
  ]);
  rows.delete('again');
  rows.put('again', bytes(3), true);
  rows.delete('again');
  rows.endFlush();
  expect(flush()).toEqual([['again', false]]);
  rows.endFlush();
  expect(flush()).toEqual([]);
});

test('what is on disk stays within its bytes, what is not stays', () => {
  const rows = new PackedRows(100_000);
  const key = (n: number) => `folder/${n}`;
  for (let n = 0; n < 20_000; n += 1) {
    rows.put(key(n), bytes(n), true);
    if (n % 500 !== 499) continue;
    rows.beginFlush();
    rows.put(key(n), bytes(n + 1), false);
    rows.endFlush();
    expect(rows.bytes).toBeLessThan(100_000 + 501 * 64);
    for (let m = n - 499; m <= n; m += 1) expect(hex(rows.find(key(m)))).toBe(hex(bytes(m === n ? n + 1 : m)));
  }
  expect(rows.find(key(0))).toBeUndefined();
  for (let n = 20_000; n < 30_000; n += 1) rows.put(key(n), bytes(n), true);
  for (let n = 20_000; n < 30_000; n += 1) expect(hex(rows.find(key(n)))).toBe(hex(bytes(n)));
});

test('a key that is somebody else’s is no longer known, and its older row is written only by a flush that took it', () => {
  const rows = new PackedRows(1 << 20);
  rows.put('taken', bytes(1), true);
  rows.beginFlush();
  rows.put('waiting', bytes(2), true);
  expect(rows.forget('taken')).toBe(true);
  expect(rows.forget('waiting')).toBe(true);
  expect(rows.forget('never')).toBe(false);
  const written: string[] = [];
  rows.visit(0, rows.flushing, (key) => written.push(key));
  rows.endFlush();
  rows.beginFlush();
  rows.visit(0, rows.flushing, (key) => written.push(key));
  expect(written).toEqual(['taken']);
  expect([rows.find('taken'), rows.find('waiting')]).toEqual([undefined, undefined]);
});
