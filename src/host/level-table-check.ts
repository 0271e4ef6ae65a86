import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { crc32c } from '../base/crc32c.ts';

/*
 * LevelDB's tables (doc/table_format.md of LevelDB): blocks, each followed by `compression u8 | masked CRC-32C u32`,
 * and a footer with the places of the meta index and the index, whose entries have the places of all other blocks.
 */
const FOOTER_BYTES = 48;
const TRAILER_BYTES = 5;
const MAGIC = 0xdb4775248b80fb57n;
const SNAPPY = 1;
const MASK_DELTA = 0xa282ead8;

/**
 * Verifies the checksum of every block of every table of a closed LevelDB. LevelDB does not when it reads, and ends the
 * whole process by an assertion when what it reads makes no sense. Reads all tables, one at a time.
 * @returns the name of the first damaged table, or undefined. @throws as `readFile`
 */
export async function findTableDamage(folder: string, signal: AbortSignal): Promise<string | undefined> {
  const names = await readdir(folder).catch((thrown: NodeJS.ErrnoException): string[] => {
    if (thrown.code === 'ENOENT') return [];
    throw thrown;
  });
  for (const name of names.filter((each) => /\.(?:ldb|sst)$/.test(each)).sort()) {
    signal.throwIfAborted();
    if (!isWhole(await readFile(join(folder, name)))) return name;
  }
  return undefined;
}

function isWhole(table: Buffer): boolean {
  if (table.length < FOOTER_BYTES || table.readBigUInt64LE(table.length - 8) !== MAGIC) return false;
  const footer = new Varints(table, table.length - FOOTER_BYTES);
  const metaIndex = blockAt(table, footer.next(), footer.next());
  const index = blockAt(table, footer.next(), footer.next());
  if (metaIndex === undefined || index === undefined) return false;
  for (const block of [metaIndex, index])
    for (const [offset, size] of handlesIn(block)) if (blockAt(table, offset, size) === undefined) return false;
  return true;
}

/** A block with its trailer, when its checksum is right. */
function blockAt(table: Buffer, offset: number, size: number): Buffer | undefined {
  const end = offset + size + 1;
  if (offset + size + TRAILER_BYTES > table.length) return undefined;
  const crc = crc32c(table, offset, end);
  const masked = (((crc >>> 15) | (crc << 17)) + MASK_DELTA) >>> 0;
  return masked === table.readUInt32LE(end) ? table.subarray(offset, end) : undefined;
}

/** The places that an index, whose checksum is right, has as values. */
function handlesIn(block: Buffer): (readonly [offset: number, size: number])[] {
  const stored = block.subarray(0, -1);
  const bytes = block.readUInt8(stored.length) === SNAPPY ? uncompressed(stored) : stored;
  const end = bytes.length - 4 * (1 + bytes.readUInt32LE(bytes.length - 4));
  const handles: (readonly [number, number])[] = [];
  for (let at = 0; at < end; ) {
    const entry = new Varints(bytes, at);
    entry.next();
    const keyBytes = entry.next();
    const valueBytes = entry.next();
    const value = new Varints(bytes, entry.at + keyBytes);
    handles.push([value.next(), value.next()]);
    at = entry.at + keyBytes + valueBytes;
  }
  return handles;
}

/**
 * Decodes Snappy (format_description.txt of Snappy). Of the packages, `snappy` is native code, `hysnappy` is C compiled
 * to WebAssembly, and `snappyjs`, which is neither, is not kept up and has no types: for index blocks these lines do.
 */
function uncompressed(bytes: Buffer): Buffer {
  const head = new Varints(bytes, 0);
  const out = Buffer.alloc(head.next());
  let [at, to] = [head.at, 0];
  while (at < bytes.length) {
    const tag = bytes.readUInt8(at);
    const kind = tag & 3;
    at += 1;
    if (kind === 0) {
      const extra = Math.max(0, (tag >> 2) - 59);
      const length = 1 + (extra === 0 ? tag >> 2 : bytes.readUIntLE(at, extra));
      at += extra;
      bytes.copy(out, to, at, at + length);
      [at, to] = [at + length, to + length];
      continue;
    }
    const length = kind === 1 ? 4 + ((tag >> 2) & 7) : 1 + (tag >> 2);
    const width = kind === 3 ? 4 : kind;
    const back = kind === 1 ? ((tag >> 5) << 8) | bytes.readUInt8(at) : bytes.readUIntLE(at, width);
    at += width;
    // Byte by byte: what is copied may include what the copy makes.
    for (let i = 0; i < length; i += 1, to += 1) out.writeUInt8(out.readUInt8(to - back), to);
  }
  return out;
}

/** Numbers of seven bits a byte, the lowest first. */
class Varints {
  at: number;
  readonly #bytes: Buffer;

  constructor(bytes: Buffer, at: number) {
    this.#bytes = bytes;
    this.at = at;
  }

  next(): number {
    let value = 0;
    for (let factor = 1; this.at < this.#bytes.length; factor *= 128) {
      const byte = this.#bytes.readUInt8(this.at);
      this.at += 1;
      value += (byte & 127) * factor;
      if (byte < 128) break;
    }
    return value;
  }
}
