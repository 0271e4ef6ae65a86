import fc from 'fast-check';
import { expect, test } from 'vitest';
import { shortText } from '../../src/wire/codec/short-text.ts';

test('gives the text of the bytes, however often and in whatever order they come', () => {
  const text = fc.oneof(
    fc.string({ unit: 'binary-ascii', maxLength: 24 }),
    fc.string({ unit: 'binary', maxLength: 8 }),
  );
  fc.assert(
    fc.property(fc.array(text, { maxLength: 20 }), fc.nat(9), (texts, gap) => {
      for (const each of [...texts, ...texts.toReversed()]) {
        const bytes = Buffer.from(`${'-'.repeat(gap)}${each}!`);
        expect(shortText(bytes, gap, bytes.length - 1)).toBe(each);
      }
    }),
  );
});

test('bytes that are no UTF-8 are read as Node reads them', () => {
  const bytes = Buffer.from([0x61, 0xff, 0xc3, 0x28, 0x62]);
  expect(shortText(bytes, 0, 5)).toBe(bytes.toString('utf8'));
});

test('more texts than are remembered', () => {
  for (let i = 0; i < 5000; i += 1) {
    const bytes = Buffer.from(`f${i}`);
    expect(shortText(bytes, 0, bytes.length)).toBe(`f${i}`);
  }
});
