import { createHash } from 'node:crypto';
import { must } from '../base/assert.ts';
import type { Clock, Timers } from '../base/clock.ts';
import { SluiceError } from '../model/errors.ts';
import type { StateDigest } from '../model/report.ts';
import type { TableName } from '../model/state-store.ts';
import { decodeRow, encodeRow } from '../wire/codec/state.ts';
import { TABLE_LETTERS, TABLES_BY_LETTER } from './state-keys.ts';
import type { StateView, StoredRow } from './state-view.ts';

export interface DigestPace {
  readonly clock: Clock;
  readonly timers: Timers;
  /** Of one core, above 0 and at most 1. */
  readonly share: number;
  readonly signal: AbortSignal;
}

/** Rows between two looks at the clock: about a millisecond. */
const SLICE_ROWS = 256;

const TABLE_OF: ReadonlyMap<string, TableName> = new Map(
  TABLES_BY_LETTER.map((table) => [TABLE_LETTERS[table], table]),
);

/**
 * The digest of all replicated rows of a view. Rows are decoded and encoded anew, so that it does not matter which
 * version of the program wrote them; that verifies the checksum of each, too. It takes its share of a core, in slices.
 * @throws SluiceError CORRUPT when a row cannot be read, CANCELLED
 */
export async function digestState(
  view: StateView,
  { clock, timers, share, signal }: DigestPace,
): Promise<Pick<StateDigest, 'digest' | 'rows' | 'tables'>> {
  const hashes = new Map(TABLES_BY_LETTER.map((table) => [table, createHash('sha256')]));
  let rows = 0;
  for await (const chunk of view.rows()) {
    for (let from = 0; from < chunk.length; from += SLICE_ROWS) {
      if (signal.aborted) throw new SluiceError('CANCELLED', 'This master is closing');
      const beganMs = clock.monotonicMs();
      for (const row of chunk.slice(from, from + SLICE_ROWS)) {
        const table = must(TABLE_OF.get(row[0].slice(0, 1)), 'A view has rows of tables only');
        must(hashes.get(table), 'Every table has a hash').update(canonical(table, row));
        rows += 1;
      }
      const restMs = (clock.monotonicMs() - beganMs) * (1 / share - 1);
      await new Promise<void>((resolve) => timers.after(restMs, resolve));
    }
  }
  const tables = [...hashes].map(([table, hash]) => ({ table, digest: hash.digest('hex') }));
  const all = createHash('sha256');
  for (const { digest } of tables) all.update(digest);
  return { digest: all.digest('hex'), rows, tables };
}

/** Key and row such that no two pairs give the same bytes. */
function canonical(table: TableName, [storedKey, stored]: StoredRow): Uint8Array {
  const value = encoded(table, storedKey, stored);
  const key = Buffer.from(storedKey, 'utf8');
  const lengths = Buffer.allocUnsafe(8);
  lengths.writeUInt32BE(key.length, 0);
  lengths.writeUInt32BE(value.length, 4);
  return Buffer.concat([lengths, key, value]);
}

function encoded(table: TableName, key: string, stored: Uint8Array): Uint8Array {
  try {
    return encodeRow(table, decodeRow(table, stored));
  } catch (thrown) {
    throw SluiceError.from(thrown, 'CORRUPT', `Row ${JSON.stringify(key)} of the state cannot be read`);
  }
}
