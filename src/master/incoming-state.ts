import { rm } from 'node:fs/promises';
import { type LevelBatch, LevelDatabase } from '../host/level-database.ts';
import { SluiceError } from '../model/errors.ts';
import { compareKeys } from '../model/path.ts';
import type { SnapshotMeta } from '../raft/snapshot-meta.ts';
import { isSealed } from '../wire/codec/shape.ts';
import { chainSnapshot, decodeSnapshotRows } from '../wire/codec/snapshot-rows.ts';
import {
  decodeSnapshotReceipt,
  encodeApplied,
  encodeSnapshotReceipt,
  encodeStoredMembership,
  type SnapshotReceipt,
} from '../wire/codec/state.ts';
import type { SnapshotChunk, SnapshotRow } from '../wire/snapshot-reader.ts';
import { APPLIED_KEY, MEMBERSHIP_KEY, RECEIPT_KEY, TABLE_LETTERS } from './state-keys.ts';

const LEVEL_OPTIONS = { blockCacheBytes: 0, writeBufferBytes: 16 * 1024 * 1024 };
/** Rows that are put into a batch before the event loop gets its turn. */
const SLICE = 1000;
const LETTERS: ReadonlySet<string> = new Set(Object.values(TABLE_LETTERS));

/**
 * A state store that is being filled from a snapshot, in a folder of its own. Each chunk lands in one synced batch with
 * the note how far it is, so that a broken transfer goes on there, also after a restart. Until it is complete it has no
 * position, and nobody can take it for a state.
 */
export class IncomingState {
  readonly #folder: string;
  #level: LevelDatabase<string> | undefined;
  #receipt: SnapshotReceipt | undefined;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** What is here of which snapshot; undefined when nothing is. */
  get receipt(): SnapshotReceipt | undefined {
    return this.#receipt;
  }

  /** Looks at what an earlier transfer has left. What cannot be gone on with is thrown away. */
  async open(): Promise<void> {
    this.#receipt = undefined;
    try {
      const level = await LevelDatabase.openText(this.#folder, LEVEL_OPTIONS);
      this.#level = level;
      const record = level.getSync(RECEIPT_KEY);
      if (record !== undefined) this.#receipt = decodeSnapshotReceipt(record);
    } catch (thrown) {
      if (!(thrown instanceof SluiceError) || thrown.code !== 'CORRUPT') throw thrown;
      // Damaged: it is only a copy of what others have.
    }
    if (this.#receipt === undefined) await this.clear();
  }

  /** Begins anew, with the snapshot `id`. */
  async begin(id: string): Promise<void> {
    await this.clear();
    this.#level = await LevelDatabase.openText(this.#folder, LEVEL_OPTIONS);
    this.#receipt = { id, after: '', chain: 0, bytes: 0 };
  }

  /** Takes the chunk behind what is here, or nothing of it. @throws SluiceError CORRUPT when it is damaged */
  async add({ rows: bytes, chain }: SnapshotChunk): Promise<void> {
    const receipt = this.#begun();
    if (chainSnapshot(bytes, receipt.chain) !== chain)
      throw new SluiceError(
        'CORRUPT',
        `A chunk of snapshot ${receipt.id} arrived damaged, behind ${receipt.bytes} bytes`,
      );
    const rows = decodeSnapshotRows(bytes);
    const batch = this.#opened().batch();
    try {
      const after = await fill(batch, rows, receipt.after);
      const next = { id: receipt.id, after, chain, bytes: receipt.bytes + bytes.length };
      batch.put(RECEIPT_KEY, encodeSnapshotReceipt(next));
      await batch.write({ sync: true });
      this.#receipt = next;
    } catch (thrown) {
      await batch.discard();
      // The journal needs the space more.
      if (SluiceError.from(thrown).code === 'EXHAUSTED') await this.clear();
      throw thrown;
    }
  }

  /** Everything is here: makes it a state store at the position of the snapshot, durably, and closes it. */
  async complete({ position, membership }: SnapshotMeta): Promise<void> {
    this.#begun();
    const batch = this.#opened().batch();
    batch.put(APPLIED_KEY, encodeApplied(position));
    batch.put(MEMBERSHIP_KEY, encodeStoredMembership(membership));
    batch.delete(RECEIPT_KEY);
    await batch.write({ sync: true });
    this.#receipt = undefined;
    await this.close();
  }

  /** Lets go of the folder; what is in it stays. */
  async close(): Promise<void> {
    const level = this.#level;
    this.#level = undefined;
    await level?.close();
  }

  /** Removes the folder. */
  async clear(): Promise<void> {
    await this.close();
    this.#receipt = undefined;
    await rm(this.#folder, { recursive: true, force: true });
  }

  #begun(): SnapshotReceipt {
    if (this.#receipt === undefined) throw new SluiceError('INTERNAL', `Nothing was begun in ${this.#folder}`);
    return this.#receipt;
  }

  #opened(): LevelDatabase<string> {
    if (this.#level === undefined) throw new SluiceError('INTERNAL', `${this.#folder} is not open`);
    return this.#level;
  }
}

/** @returns the last key */
async function fill(batch: LevelBatch<string>, rows: readonly SnapshotRow[], behind: string): Promise<string> {
  let after = behind;
  for (let from = 0; from < rows.length; from += SLICE) {
    if (from > 0) await new Promise<void>((resolve) => setImmediate(resolve));
    for (const row of rows.slice(from, from + SLICE)) {
      checkRow(row, after);
      batch.put(row[0], row[1]);
      after = row[0];
    }
  }
  return after;
}

/** What the sender's disk had damaged must not spread; nor may a row take the place of what is each master's own. */
function checkRow([key, value]: SnapshotRow, after: string): void {
  if (!LETTERS.has(key.slice(0, 1)) || compareKeys(key, after) <= 0)
    throw new SluiceError('CORRUPT', `A snapshot has the key ${JSON.stringify(key)} behind ${JSON.stringify(after)}`);
  if (!isSealed(value))
    throw new SluiceError('CORRUPT', `A snapshot has a row with a wrong checksum: ${JSON.stringify(key)}`);
}
