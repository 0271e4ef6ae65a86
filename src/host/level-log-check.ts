import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { crc32c } from '../base/crc32c.ts';

/*
 * LevelDB's own log (doc/log_format.md of LevelDB): blocks of 32 KiB with records `masked CRC-32C u32 | length u16 |
 * type u8 | data`; the last bytes of a block stay empty when no header fits.
 */
const BLOCK_BYTES = 32 * 1024;
const HEADER_BYTES = 7;
const FULL = 1;
const FIRST = 2;
const LAST_TYPE = 4;
const MASK_DELTA = 0xa282ead8;
const TABLE = /\.(?:ldb|sst)$/;

/** Why LevelDB would drop writes without a word. */
export interface LevelLogDamage {
  readonly file: string;
  /** What is wrong with it, such as `has a broken record at byte 100`. */
  readonly what: string;
}

/**
 * Looks for damage in the logs of a closed LevelDB. LevelDB skips what it cannot read up to the next block of 32 KiB,
 * and opens as if nothing had been there (its paranoid checks are out of reach): one flipped bit takes away many synced
 * writes. Every write is synced before the next begins, so a broken record with a whole one behind it was
 * durable: damage. One with nothing behind it was torn by a crash before anybody was told of it: LevelDB may drop it.
 * Without its file CURRENT, LevelDB begins anew and deletes all other files; it makes that file before any table or
 * log.
 * @returns the first damage, or undefined. @throws as `readFile`
 */
export async function findLogDamage(folder: string): Promise<LevelLogDamage | undefined> {
  const names = await readdir(folder).catch((thrown: NodeJS.ErrnoException): string[] => {
    if (thrown.code === 'ENOENT') return [];
    throw thrown;
  });
  const current = names.includes('CURRENT');
  if (!current && names.some((name) => TABLE.test(name))) return { file: 'CURRENT', what: 'is missing' };
  for (const file of names.filter((name) => name.endsWith('.log')).sort()) {
    const log = await readFile(join(folder, file));
    if (!current && log.length > 0) return { file: 'CURRENT', what: 'is missing' };
    const offset = damageIn(log);
    if (offset !== undefined) return { file, what: `has a broken record at byte ${offset}` };
  }
  return undefined;
}

function damageIn(log: Buffer): number | undefined {
  for (let at = 0; at < log.length; ) {
    const left = BLOCK_BYTES - (at % BLOCK_BYTES);
    if (left < HEADER_BYTES) {
      at += left;
      continue;
    }
    const end = endOfRecord(log, at);
    if (end === undefined) return beginsLater(log, at + 1) ? at : undefined;
    at = end;
  }
  return undefined;
}

/** Where the whole record at `at` ends; undefined when there is none. */
function endOfRecord(log: Buffer, at: number): number | undefined {
  const data = at + HEADER_BYTES;
  if (data > log.length) return undefined;
  const end = data + log.readUInt16LE(at + 4);
  const type = log.readUInt8(at + 6);
  if (type < FULL || type > LAST_TYPE || end > log.length || end - at > BLOCK_BYTES - (at % BLOCK_BYTES))
    return undefined;
  const crc = crc32c(log, at + 6, end);
  const masked = (((crc >>> 15) | (crc << 17)) + MASK_DELTA) >>> 0;
  return masked === log.readUInt32LE(at) ? end : undefined;
}

/** Whether a write begins anywhere behind. */
function beginsLater(log: Buffer, from: number): boolean {
  for (let at = from; at + HEADER_BYTES <= log.length; at += 1) {
    const type = log.readUInt8(at + 6);
    const begins = type === FULL || type === FIRST;
    if (begins && BLOCK_BYTES - (at % BLOCK_BYTES) >= HEADER_BYTES && endOfRecord(log, at) !== undefined) return true;
  }
  return false;
}
