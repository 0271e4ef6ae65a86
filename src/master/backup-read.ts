import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { extract as newExtract } from 'tar-stream';
import { SluiceError } from '../model/errors.ts';
import { compareKeys } from '../model/path.ts';
import { decodeSnapshotRows } from '../wire/codec/snapshot-rows.ts';
import { decodeRow } from '../wire/codec/state.ts';
import type { SnapshotRow } from '../wire/snapshot-reader.ts';
import {
  BACKUP_FORMAT,
  type BackupManifest,
  chunkName,
  digestOfBackup,
  MANIFEST_NAME,
  tableOfRow,
} from './backup-format.ts';

/** No chunk is nearly as large. */
const PART_BYTES_MAX = 64 * 1024 * 1024;

/**
 * Reads a backup from begin to end, verifies everything (each row, their order, the digest, the counts), and gives its
 * rows to `each`, which must not trust them before this has returned.
 * @throws SluiceError NOT_FOUND; CORRUPT when it is cut or damaged; UNSUPPORTED when a newer version made it
 */
export async function readBackup(
  path: string,
  signal: AbortSignal,
  each: (rows: readonly SnapshotRow[]) => Promise<void>,
): Promise<BackupManifest> {
  const reading = new Reading();
  const file = createReadStream(path, { signal });
  const extract = newExtract();
  file.on('error', (error) => extract.destroy(error));
  file.pipe(extract);
  try {
    for await (const entry of extract) {
      const { name, size = 0 } = entry.header;
      if (size > PART_BYTES_MAX) throw new SluiceError('CORRUPT', `${name} has ${size} bytes`);
      await each(reading.add(name, await contents(entry)));
    }
    return reading.finish();
  } catch (thrown) {
    signal.throwIfAborted();
    throw readError(path, thrown);
  } finally {
    file.destroy();
  }
}

/** What was read so far. */
class Reading {
  readonly #digest = createHash('sha256');
  readonly #tables: Record<string, number> = {};
  #chunks = 0;
  #rows = 0;
  #bytes = 0;
  #after = '';
  #manifest: BackupManifest | undefined;

  /** @returns the rows of a chunk, none of the manifest */
  add(name: string, content: Buffer): readonly SnapshotRow[] {
    if (this.#manifest !== undefined) throw new SluiceError('CORRUPT', `${name} follows the end`);
    if (name === MANIFEST_NAME) {
      this.#manifest = parseManifest(content);
      return [];
    }
    this.#chunks += 1;
    if (name !== chunkName(this.#chunks))
      throw new SluiceError('CORRUPT', `${name} is at the place of ${chunkName(this.#chunks)}`);
    const rows = decodeSnapshotRows(content);
    for (const row of rows) this.#check(row);
    this.#digest.update(content);
    this.#rows += rows.length;
    this.#bytes += content.length;
    return rows;
  }

  finish(): BackupManifest {
    const manifest = this.#manifest;
    if (manifest === undefined) throw new SluiceError('CORRUPT', 'its end is missing');
    const { sha256, ...facts } = manifest;
    const { chunks, rows, bytes, tables } = facts;
    const counted = Object.entries(this.#tables).every(([table, count]) => tables[table] === count);
    const same = chunks === this.#chunks && rows === this.#rows && bytes === this.#bytes && counted;
    if (sha256 === digestOfBackup(this.#digest, facts) && same) return manifest;
    throw new SluiceError('CORRUPT', 'its rows are not those that its manifest tells of');
  }

  #check([key, value]: SnapshotRow): void {
    const table = tableOfRow(key);
    if (table === '' || compareKeys(key, this.#after) <= 0)
      throw new SluiceError('CORRUPT', `it has a row ${JSON.stringify(key)} behind ${JSON.stringify(this.#after)}`);
    decodeRow(table, value);
    this.#tables[table] = (this.#tables[table] ?? 0) + 1;
    this.#after = key;
  }
}

async function contents(entry: AsyncIterable<unknown>): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const part of entry) parts.push(part as Uint8Array);
  return Buffer.concat(parts);
}

function parseManifest(content: Buffer): BackupManifest {
  let value: Partial<BackupManifest>;
  try {
    value = JSON.parse(content.toString('utf8')) as typeof value;
  } catch (cause) {
    throw new SluiceError('CORRUPT', 'its manifest is no JSON', { cause });
  }
  const { format, position, term, sha256, tables } = value;
  if (typeof format === 'number' && format > BACKUP_FORMAT)
    throw new SluiceError('UNSUPPORTED', `it has format ${format}, this version knows ${BACKUP_FORMAT}`);
  const numbers = [format, position?.term, position?.index, term, value.chunks, value.rows, value.bytes];
  const whole = numbers.every((number) => Number.isSafeInteger(number) && (number as number) >= 0);
  if (whole && typeof sha256 === 'string' && typeof tables === 'object') return value as BackupManifest;
  throw new SluiceError('CORRUPT', 'its manifest lacks fields');
}

function readError(path: string, thrown: unknown): SluiceError {
  const options = { cause: thrown };
  if (thrown instanceof SluiceError) {
    if (thrown.code !== 'CORRUPT' && thrown.code !== 'UNSUPPORTED') return thrown;
    const way = thrown.code === 'CORRUPT' ? 'use another backup' : 'use a newer version';
    return new SluiceError(thrown.code, `Backup ${path} cannot be used: ${thrown.message}: ${way}`, options);
  }
  const { code, message } = thrown as NodeJS.ErrnoException;
  if (code === 'ENOENT') return new SluiceError('NOT_FOUND', `There is no backup ${path}`, options);
  if (code !== undefined && code !== 'ERR_STREAM_PREMATURE_CLOSE')
    return new SluiceError('PERMISSION_DENIED', `Backup ${path} cannot be read (${message})`, options);
  return new SluiceError('CORRUPT', `Backup ${path} cannot be used: ${message}: use another backup`, options);
}
