import { crc32 } from 'node:zlib';
import { SluiceError } from '../../model/errors.ts';
import type { SnapshotRow } from '../snapshot-reader.ts';

const HEADER_BYTES = 8;

/** Bytes that a row takes in a chunk. */
export function snapshotRowBytes([key, value]: SnapshotRow): number {
  return HEADER_BYTES + Buffer.byteLength(key) + value.length;
}

/** Rows one behind the other: `key length u32 | value length u32 | key in UTF-8 | value`, little-endian. */
export function encodeSnapshotRows(rows: readonly SnapshotRow[]): Buffer {
  let size = 0;
  for (const row of rows) size += snapshotRowBytes(row);
  const bytes = Buffer.allocUnsafe(size);
  let at = 0;
  for (const [key, value] of rows) {
    const keyBytes = bytes.write(key, at + HEADER_BYTES);
    bytes.writeUInt32LE(keyBytes, at);
    bytes.writeUInt32LE(value.length, at + 4);
    at += HEADER_BYTES + keyBytes;
    bytes.set(value, at);
    at += value.length;
  }
  return bytes;
}

/** The values are views on `bytes`. @throws SluiceError CORRUPT when the bytes are something else */
export function decodeSnapshotRows(bytes: Uint8Array): SnapshotRow[] {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const rows: SnapshotRow[] = [];
  for (let at = 0; at < buffer.length; ) {
    const key = at + HEADER_BYTES;
    const value = key <= buffer.length ? key + buffer.readUInt32LE(at) : Number.POSITIVE_INFINITY;
    const end = key <= buffer.length ? value + buffer.readUInt32LE(at + 4) : Number.POSITIVE_INFINITY;
    if (end > buffer.length) throw new SluiceError('CORRUPT', 'A chunk of a snapshot ends in the middle of a row');
    rows.push([buffer.toString('utf8', key, value), buffer.subarray(value, end)]);
    at = end;
  }
  return rows;
}

/** The chain behind a chunk, from the one before it; 0 is before the first. */
export function chainSnapshot(rows: Uint8Array, before: number): number {
  return crc32(rows, before);
}
