import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { PageAssembler } from '../../src/worker/page-assembler.ts';

const PAGE_BYTES = 256 * 1024;

function pagesOf(content: Uint8Array, chunkBytes: number, expectedBytes: number): Uint8Array[] {
  const assembler = new PageAssembler(PAGE_BYTES, expectedBytes);
  const pages: Uint8Array[] = [];
  for (let at = 0; at < content.length; at += chunkBytes)
    pages.push(...assembler.push(content.subarray(at, at + chunkBytes), false));
  const rest = assembler.rest();
  return rest === undefined ? pages : [...pages, rest];
}

describe('a page assembler', () => {
  const lengths = [1, 4500, 64 * 1024, 64 * 1024 + 1, PAGE_BYTES - 1, PAGE_BYTES, PAGE_BYTES + 1, 3 * PAGE_BYTES + 77];
  const chunks = [1000, 64 * 1024, PAGE_BYTES, 2 * PAGE_BYTES + 5];
  const cases = lengths.flatMap((length) => chunks.map((chunk) => ({ length, chunk })));

  test.each(cases)('cuts $length bytes that come in chunks of $chunk', ({ length, chunk }) => {
    const content = Buffer.from(Uint8Array.from({ length }, (_, at) => at % 251));
    const wholePages = Math.floor(length / PAGE_BYTES);
    const lengths = Array.from({ length: wholePages }, () => PAGE_BYTES);
    if (length % PAGE_BYTES > 0) lengths.push(length % PAGE_BYTES);
    for (const expected of [length, Number.POSITIVE_INFINITY]) {
      const pages = pagesOf(content, chunk, expected);
      expect(pages.map((page) => page.length)).toEqual(lengths);
      expect(Buffer.concat(pages).equals(content)).toBe(true);
    }
  });

  test('takes little memory for a small file, whose length it does not know', () => {
    const taken = vi.spyOn(Buffer, 'allocUnsafeSlow');
    onTestFinished(() => taken.mockRestore());
    const assembler = new PageAssembler(PAGE_BYTES, Number.POSITIVE_INFINITY);
    expect([...assembler.push(new Uint8Array(1_000), false)]).toEqual([]);
    // What it hands out holds its own bytes only.
    expect(assembler.rest()?.buffer.byteLength).toBe(1_000);
    expect(taken.mock.calls).toEqual([[64 * 1024], [1_000]]);
  });
});
