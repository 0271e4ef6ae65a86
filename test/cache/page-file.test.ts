import fc from 'fast-check';
import { expect, test } from 'vitest';
import { areChunksSound, coveringChunks, encodePageHeader, isHeaderOf } from '../../src/cache/page-file.ts';

const TAG = '0123456789abcdef';
const PLACE = { block: 7, page: 3 };
const CHUNK = 65536;

test('a range is verified by the chunks that cover it, and only by them', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(1, 100, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK + 5),
      fc.nat(),
      fc.nat(),
      fc.nat(),
      (length, a, b, c) => {
        const page = Buffer.from(Uint8Array.from({ length }, (_, at) => at * 11));
        const header = Buffer.from(encodePageHeader(TAG, PLACE, page));
        expect(isHeaderOf(header, TAG, PLACE, length)).toBe(true);
        const start = a % length;
        const range = { start, end: start + 1 + (b % (length - start)) };
        const chunks = coveringChunks(range, length);
        expect(chunks.start <= range.start && chunks.end >= range.end && chunks.end <= length).toBe(true);
        const flipped = c % length;
        page[flipped] = (page[flipped] ?? 0) ^ 4;
        const inside = flipped >= chunks.start && flipped < chunks.end;
        expect(areChunksSound(header, chunks.start, page.subarray(chunks.start, chunks.end))).toBe(!inside);
      },
    ),
  );
});

test('no bit of a header may differ', () => {
  const header = Buffer.from(encodePageHeader(TAG, PLACE, Buffer.alloc(CHUNK + 9, 1)));
  for (let bit = 0; bit < header.length * 8; bit += 1) {
    const bad = Buffer.from(header);
    bad[bit >> 3] = (bad[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    expect(isHeaderOf(bad, TAG, PLACE, CHUNK + 9)).toBe(false);
  }
  expect(isHeaderOf(header, TAG, { ...PLACE, page: 4 }, CHUNK + 9)).toBe(false);
  expect(isHeaderOf(header, 'fedcba9876543210', PLACE, CHUNK + 9)).toBe(false);
  expect(isHeaderOf(header, TAG, PLACE, CHUNK + 10)).toBe(false);
});
