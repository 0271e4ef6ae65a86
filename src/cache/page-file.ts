import { crc32 } from 'node:zlib';
import { assert } from '../base/assert.ts';

/*
 * A page file is a header and the page. Header, little endian: magic u32, format u16, zero u16, content tag 8 bytes,
 * block u32, page u32, length u32, CRC-32 u32 of the rest of the header, then a CRC-32 u32 of each chunk of the page.
 * So a small read verifies what it reads without reading the whole page. The tag is that of the content's folder
 * (`ContentMeta`), which holds file id and version: a page proves to which content it belongs, and a content gets
 * another version without a touch to its pages.
 */

const MAGIC = 0x47504c53; // 'SLPG'
const FORMAT = 1;
const CRC_AT = 28;
const SUMS_AT = 32;
/** Unit of checksums: checking 64 KiB costs as much as a system call. */
export const CHUNK_BYTES = 64 * 1024;

/** Block and page index of a page inside its content. */
export interface PagePlace {
  readonly block: number;
  readonly page: number;
}

/** Part of a page: bytes `start` up to but not including `end`. */
export interface PageRange {
  readonly start: number;
  readonly end: number;
}

/** 16 hex digits, drawn at random when the first page of a content is stored. */
export type ContentTag = string;

/** Bytes before the page in its file. */
export function pageHeaderBytes(lengthBytes: number): number {
  return SUMS_AT + 4 * Math.ceil(lengthBytes / CHUNK_BYTES);
}

/** The chunks that cover a range: what must be read to verify it. */
export function coveringChunks(range: PageRange, lengthBytes: number): PageRange {
  const start = Math.floor(range.start / CHUNK_BYTES) * CHUNK_BYTES;
  return { start, end: Math.min(lengthBytes, Math.ceil(range.end / CHUNK_BYTES) * CHUNK_BYTES) };
}

/** Memory that reading a part of a page takes at most: the chunks that cover it, and the header. */
export function partMemoryBytes(range: PageRange, pageSizeBytes: number): number {
  const { start, end } = coveringChunks(range, pageSizeBytes);
  return end - start + pageHeaderBytes(pageSizeBytes);
}

function encodeStart(tag: ContentTag, place: PagePlace, lengthBytes: number): Buffer {
  assert(/^[0-9a-f]{16}$/.test(tag), `Content tag ${tag} is not 16 hex digits`);
  const header = Buffer.alloc(pageHeaderBytes(lengthBytes));
  header.writeUInt32LE(MAGIC, 0);
  header.writeUInt16LE(FORMAT, 4);
  header.write(tag, 8, 'hex');
  header.writeUInt32LE(place.block, 16);
  header.writeUInt32LE(place.page, 20);
  header.writeUInt32LE(lengthBytes, 24);
  return header;
}

function headerCrc(header: Buffer): number {
  return crc32(header.subarray(SUMS_AT), crc32(header.subarray(0, CRC_AT)));
}

/** The header of a page file whose page is `bytes`. */
export function encodePageHeader(tag: ContentTag, place: PagePlace, bytes: Uint8Array): Uint8Array {
  const header = encodeStart(tag, place, bytes.length);
  let sumAt = SUMS_AT;
  for (let at = 0; at < bytes.length; at += CHUNK_BYTES) {
    header.writeUInt32LE(crc32(bytes.subarray(at, at + CHUNK_BYTES)), sumAt);
    sumAt += 4;
  }
  header.writeUInt32LE(headerCrc(header), CRC_AT);
  return header;
}

/** Whether `header` is sound and that of the page, of that length, of that content. */
export function isHeaderOf(header: Buffer, tag: ContentTag, place: PagePlace, lengthBytes: number): boolean {
  const wanted = encodeStart(tag, place, lengthBytes);
  if (header.length !== wanted.length || wanted.compare(header, 0, CRC_AT, 0, CRC_AT) !== 0) return false;
  return headerCrc(header) === header.readUInt32LE(CRC_AT);
}

/** Whether `chunks`, which begin at `start` in the page, are as the header says. */
export function areChunksSound(header: Buffer, start: number, chunks: Uint8Array): boolean {
  let sumAt = SUMS_AT + 4 * (start / CHUNK_BYTES);
  for (let at = 0; at < chunks.length; at += CHUNK_BYTES) {
    if (crc32(chunks.subarray(at, at + CHUNK_BYTES)) !== header.readUInt32LE(sumAt)) return false;
    sumAt += 4;
  }
  return true;
}
