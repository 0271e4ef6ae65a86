import type { LevelDatabase } from '../host/level-database.ts';
import { compareKeys } from '../model/path.ts';
import type { TableName, Tables } from '../model/state-store.ts';
import type { Position } from '../raft/position.ts';
import { encodeRow } from '../wire/codec/state.ts';
import { TABLE_LETTERS, TABLES_BY_LETTER } from './state-keys.ts';
import type { StateRows } from './state-rows.ts';

/** A row as the database has it: the key begins with the letter of its table. */
export type StoredRow = readonly [key: string, value: Uint8Array];

/** All replicated rows as they were at one position of the journal, while the store goes on changing. */
export interface StateView {
  /** The last entry whose changes the rows show. */
  readonly position: Position;
  /**
   * The rows from the key `from` on (itself included; all when absent), in key order (code points), at most
   * `CHUNK_ROWS` at a time. The same rows give the same bytes on every master. Between two chunks the event loop may
   * not have had a turn: whoever reads many gives it one.
   * @throws SluiceError CORRUPT when the disk's part cannot be read
   */
  rows(from?: string): AsyncIterable<readonly StoredRow[]>;
  /** LevelDB keeps what was overwritten since until then. */
  close(): Promise<void>;
}

/** The row is undefined when it was deleted. */
type Change = readonly [key: string, row: object | undefined];

const CHUNK_ROWS = 1000;

/**
 * Makes a view: a snapshot of what is on disk, and over it the changes that are not. Nothing is written for it and
 * nobody waits; in memory it holds the rows that no flush had finished with.
 * @param position the last entry whose changes are in `level` and `rows` together, which are between two entries
 */
export function openStateView(level: LevelDatabase<string>, rows: StateRows, position: Position): StateView {
  const changes = new Map<TableName, readonly Change[]>();
  for (const table of TABLES_BY_LETTER) {
    changes.set(table, [...rows.collect(table, '')]);
  }
  const snapshot = level.snapshot();
  return {
    position,
    async *rows(from = '') {
      for (const table of TABLES_BY_LETTER) {
        const letter = TABLE_LETTERS[table];
        if (letter < from.slice(0, letter.length)) continue;
        const first = from.startsWith(letter) ? from : letter;
        const wanted = (changes.get(table) ?? []).filter(([key]) => compareKeys(letter + key, first) >= 0);
        const stored = level.chunks({ gte: first, lt: String.fromCharCode(letter.charCodeAt(0) + 1) }, snapshot);
        yield* merge(
          table,
          wanted.sort(([a], [b]) => compareKeys(a, b)),
          stored,
        );
      }
    },
    close: () => snapshot.close(),
  };
}

/** The stored rows with the changes, both sorted, made to them. */
async function* merge(
  table: TableName,
  changes: readonly Change[],
  stored: AsyncIterable<readonly StoredRow[]>,
): AsyncGenerator<readonly StoredRow[]> {
  const letter = TABLE_LETTERS[table];
  let next = 0;
  let merged: StoredRow[] = [];
  const full = () => {
    const chunk = merged;
    merged = [];
    return chunk;
  };
  for await (const pairs of stored) {
    for (const pair of pairs) {
      const key = pair[0].slice(letter.length);
      for (; next < changes.length && compareKeys((changes[next] as Change)[0], key) <= 0; next += 1) {
        addChange(merged, table, changes[next] as Change);
        if (merged.length === CHUNK_ROWS) yield full();
      }
      if (changes[next - 1]?.[0] !== key) merged.push(pair);
      if (merged.length === CHUNK_ROWS) yield full();
    }
    if (merged.length > 0) yield full();
  }
  for (; next < changes.length; next += 1) {
    addChange(merged, table, changes[next] as Change);
    if (merged.length === CHUNK_ROWS) yield full();
  }
  if (merged.length > 0) yield full();
}

function addChange(merged: StoredRow[], table: TableName, [key, row]: Change): void {
  if (row !== undefined) merged.push([TABLE_LETTERS[table] + key, encodeRow(table, row as Tables[TableName])]);
}
