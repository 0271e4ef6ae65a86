import { crc32 } from 'node:zlib';
import { assert } from '../base/assert.ts';

/**
 * A page file is a header and the page. Header, little endian: magic u32, format u16, zero u16, content tag 8 bytes,
 * block u32, page u32, length u32, CRC-32 u32 of the header before it and of the page. The tag is that of the
 * content's folder (`ContentMeta`), which holds file id and version: so a page proves to which content it belongs,
 * and a content gets another version without a touch to its pages.
 */
export const PAGE_HEADER_BYTES = 32;

const MAGIC = 0x47504c53; // 'SLPG'
const FORMAT = 1;
const CRC_AT = 28;

/** Block and page index of a page inside its content. */
export interface PagePlace {
  readonly block: number;
  readonly page: number;
}

/** 16 hex digits, drawn at random when the first page of a content is stored. */
export type ContentTag = string;

function encodePlace(tag: ContentTag, place: PagePlace, lengthBytes: number): Buffer {
  assert(/^[0-9a-f]{16}$/.test(tag), `Content tag ${tag} is not 16 hex digits`);
  const header = Buffer.alloc(PAGE_HEADER_BYTES);
  header.writeUInt32LE(MAGIC, 0);
  header.writeUInt16LE(FORMAT, 4);
  header.write(tag, 8, 'hex');
  header.writeUInt32LE(place.block, 16);
  header.writeUInt32LE(place.page, 20);
  header.writeUInt32LE(lengthBytes, 24);
  return header;
}

/** The header of a page file whose page is `bytes`. */
export function encodePageHeader(tag: ContentTag, place: PagePlace, bytes: Uint8Array): Uint8Array {
  const header = encodePlace(tag, place, bytes.length);
  header.writeUInt32LE(crc32(bytes, crc32(header.subarray(0, CRC_AT))), CRC_AT);
  return header;
}

/** The page in `file`, the whole of a page file, as a view; undefined when it is another page or damaged. */
export function verifiedPage(file: Buffer, tag: ContentTag, place: PagePlace): Uint8Array | undefined {
  if (file.length <= PAGE_HEADER_BYTES) return undefined;
  const wanted = encodePlace(tag, place, file.length - PAGE_HEADER_BYTES);
  if (wanted.compare(file, 0, CRC_AT, 0, CRC_AT) !== 0) return undefined;
  const page = file.subarray(PAGE_HEADER_BYTES);
  return crc32(page, crc32(file.subarray(0, CRC_AT))) === file.readUInt32LE(CRC_AT) ? page : undefined;
}
