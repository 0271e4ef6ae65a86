import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { access, open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { pack as newPack, type Pack } from 'tar-stream';
import type { Timers } from '../base/clock.ts';
import { systemFiles } from '../host/file-operations.ts';
import { SluiceError } from '../model/errors.ts';
import { chainSnapshot, decodeSnapshotRows } from '../wire/codec/snapshot-rows.ts';
import type { SnapshotChunk, SnapshotHeader, SnapshotReader } from '../wire/snapshot-reader.ts';
import {
  BACKUP_FORMAT,
  type BackupManifest,
  chunkName,
  digestOfBackup,
  MANIFEST_NAME,
  tableOfRow,
} from './backup-format.ts';
import { pause } from './pause.ts';

export interface BackupOrder {
  /** The master whose state it shall be. */
  readonly source: SnapshotReader;
  /** File to be made; there must be none. */
  readonly path: string;
  readonly timers: Timers;
  readonly signal: AbortSignal;
  /** Told of the rows that are in the file, and of how many there will be, roughly. */
  progress(rows: number, expected: number): void;
}

const TRIES = 6;
const RETRY_MS = 250;

/**
 * Writes all that a cluster has acknowledged, as of one entry of its journal, to a tar file: the rows of the state in
 * chunks, and a manifest with their digest at the end. The file has its name only when it is whole and on disk; nobody
 * else may read it, because it holds the secrets of mounts.
 * @throws SluiceError ALREADY_EXISTS; EXHAUSTED when the disk is full; what the master refuses
 */
export async function writeBackup(order: BackupOrder): Promise<BackupManifest> {
  const { source, path, signal } = order;
  const exists = await access(path).then(
    () => true,
    () => false,
  );
  if (exists) throw new SluiceError('ALREADY_EXISTS', `${path} is there already: choose another name, or remove it`);
  const header = await source.open({ latest: true });
  const part = `${path}.part`;
  try {
    const pack = newPack();
    const file = createWriteStream(part, { mode: 0o600 });
    const written = pipeline(pack, file, { signal });
    const [manifest] = await Promise.all([fill(pack, header, order, written), written]);
    await sync(part);
    await rename(part, path);
    await systemFiles.syncFolder(dirname(path));
    return manifest;
  } catch (thrown) {
    await rm(part, { force: true });
    signal.throwIfAborted();
    throw fileError(path, thrown);
  } finally {
    await source.close(header.id).catch(() => undefined);
  }
}

async function fill(
  pack: Pack,
  header: SnapshotHeader,
  order: BackupOrder,
  written: Promise<void>,
): Promise<BackupManifest> {
  /** The file may fail while an entry waits for it. */
  const put = (name: string, content: Buffer) =>
    Promise.race([
      written,
      new Promise<void>((resolve, reject) => {
        pack.entry({ name, size: content.length, mode: 0o600 }, content, (error) =>
          error ? reject(error) : resolve(),
        );
      }),
    ]);
  try {
    const digest = createHash('sha256');
    const tables: Record<string, number> = {};
    let [rows, bytes, chunks, chain, after] = [0, 0, 0, 0, ''];
    for (let last = false; !last; ) {
      const chunk = await readChunk(order, header.id, after, chain);
      const found = decodeSnapshotRows(chunk.rows);
      for (const [key] of found) tables[tableOfRow(key)] = (tables[tableOfRow(key)] ?? 0) + 1;
      digest.update(chunk.rows);
      chunks += 1;
      rows += found.length;
      bytes += chunk.rows.length;
      await put(chunkName(chunks), Buffer.from(chunk.rows.buffer, chunk.rows.byteOffset, chunk.rows.length));
      order.progress(rows, Math.max(rows, header.expectedRows));
      ({ chain, last } = chunk);
      after = found.at(-1)?.[0] ?? after;
    }
    const { position, term, membership } = header.meta;
    const facts = {
      format: BACKUP_FORMAT,
      clusterId: header.clusterId,
      position,
      term,
      membership,
      chunks,
      rows,
      tables,
      bytes,
    };
    const manifest: BackupManifest = { ...facts, sha256: digestOfBackup(digest, facts) };
    await put(MANIFEST_NAME, Buffer.from(`${JSON.stringify(manifest, undefined, 2)}\n`));
    pack.finalize();
    return manifest;
  } catch (thrown) {
    pack.destroy(SluiceError.from(thrown));
    throw thrown;
  }
}

/** A chunk that arrived whole; a broken connection or a damaged chunk is tried again. */
async function readChunk(order: BackupOrder, id: string, after: string, chain: number): Promise<SnapshotChunk> {
  const { source, timers, signal } = order;
  for (let tries = 1; ; tries += 1) {
    signal.throwIfAborted();
    try {
      const chunk = await source.read(id, after);
      if (chainSnapshot(chunk.rows, chain) === chunk.chain) return chunk;
      throw new SluiceError('UNAVAILABLE', 'A chunk of the snapshot arrived damaged');
    } catch (thrown) {
      const error = SluiceError.from(thrown);
      if ((error.code !== 'UNAVAILABLE' && error.code !== 'TIMED_OUT') || tries === TRIES) throw error;
      await pause(timers, RETRY_MS * tries, signal);
    }
  }
}

async function sync(path: string): Promise<void> {
  const file = await open(path, 'r');
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}

function fileError(path: string, thrown: unknown): SluiceError {
  if (thrown instanceof SluiceError) return thrown;
  const { code, message } = thrown as NodeJS.ErrnoException;
  const options = { cause: thrown };
  if (code === 'ENOSPC' || code === 'EDQUOT')
    return new SluiceError('EXHAUSTED', `${path} cannot be written: the disk is full; free some space`, options);
  if (code === 'ENOENT' || code === 'ENOTDIR')
    return new SluiceError('NOT_FOUND', `${path} cannot be written: there is no such folder`, options);
  return new SluiceError('PERMISSION_DENIED', `${path} cannot be written (${message}): choose another place`, options);
}
