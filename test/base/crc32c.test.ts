import { expect, test } from 'vitest';
import { crc32c } from '../../src/base/crc32c.ts';

/** RFC 3720, appendix B.4, and the usual check value. */
test.each([
  ['32 zeros', new Uint8Array(32), 0x8a9136aa],
  ['32 ones', new Uint8Array(32).fill(0xff), 0x62a8ab43],
  ['0 … 31', Uint8Array.from({ length: 32 }, (_, i) => i), 0x46dd794e],
  ['31 … 0', Uint8Array.from({ length: 32 }, (_, i) => 31 - i), 0x113fdb5c],
  ['123456789', new TextEncoder().encode('123456789'), 0xe3069283],
  ['nothing', new Uint8Array(0), 0],
])('CRC-32C of %s', (_, bytes, wanted) => {
  expect(crc32c(bytes)).toBe(wanted);
  const framed = new Uint8Array([1, 2, ...bytes, 3]);
  expect(crc32c(framed, 2, 2 + bytes.length)).toBe(wanted);
});
