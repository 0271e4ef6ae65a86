import { crc32 } from 'node:zlib';
import { SluiceError } from '../../model/errors.ts';

const CRC_BYTES = 4;

/** `body` behind its checksum. */
export function sealed(body: Uint8Array): Uint8Array {
  const bytes = Buffer.allocUnsafe(body.length + CRC_BYTES);
  bytes.writeUInt32LE(crc32(body), 0);
  bytes.set(body, CRC_BYTES);
  return bytes;
}

/** What `sealed` sealed. @throws SluiceError CORRUPT when the checksum differs; the message begins with `what`. */
export function unsealed(bytes: Uint8Array, what: string): Uint8Array {
  const body = bytes.subarray(CRC_BYTES);
  const expected = bytes.length < CRC_BYTES ? -1 : Buffer.from(bytes.buffer, bytes.byteOffset).readUInt32LE(0);
  if (expected === crc32(body)) return body;
  throw new SluiceError('CORRUPT', `The checksum of a ${what} is wrong: its database is damaged`);
}
