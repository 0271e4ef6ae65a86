import { assert, must } from '../base/assert.ts';
import { compareKeys } from './path.ts';
import {
  replyKey,
  type ScanRange,
  type StateScanner,
  type StateStore,
  TABLE_NAMES,
  type TableName,
  type Tables,
} from './state-store.ts';

interface Table {
  readonly rows: Map<string, unknown>;
  /** Keys of `rows` in the order of code points. */
  readonly keys: string[];
}

/** A row with its key. */
export interface KeyedRow<T extends TableName> {
  readonly key: string;
  readonly row: Tables[T];
}

/** Replicated state in memory: what LevelDB's store promises, without a disk. For simulations and for tests. */
export class MemoryStateStore implements StateStore, StateScanner {
  readonly #tables = new Map<TableName, Table>(TABLE_NAMES.map((name) => [name, { rows: new Map(), keys: [] }]));

  get<T extends TableName>(table: T, key: string): Tables[T] | undefined {
    return this.#table(table).rows.get(key) as Tables[T] | undefined;
  }

  put<T extends TableName>(table: T, key: string, row: Tables[T]): void {
    const { rows, keys } = this.#table(table);
    if (!rows.has(key)) keys.splice(firstFrom(keys, key), 0, key);
    rows.set(key, row);
  }

  insert<T extends TableName>(table: T, key: string, row: Tables[T]): void {
    if (this.#table(table).rows.has(key)) assert(false, `Row ${key} of table ${table} is inserted twice`);
    this.put(table, key, row);
  }

  delete(table: TableName, key: string): void {
    const { rows, keys } = this.#table(table);
    if (rows.delete(key)) keys.splice(firstFrom(keys, key), 1);
  }

  reply(client: string, sequence: number): Tables['reply'] | undefined {
    return this.get('reply', replyKey(client, sequence));
  }

  insertReply(client: string, sequence: number, reply: Tables['reply']): void {
    this.insert('reply', replyKey(client, sequence), reply);
  }

  deleteReplies(client: string, from: number, below: number): void {
    for (let sequence = from; sequence < below; sequence++) this.delete('reply', replyKey(client, sequence));
  }

  scan<T extends TableName>(table: T, range: ScanRange): Promise<readonly KeyedRow<T>[]> {
    const { keys } = this.#table(table);
    const found: KeyedRow<T>[] = [];
    let index = firstFrom(keys, compareKeys(range.after, range.prefix) > 0 ? range.after : range.prefix);
    if (range.after !== '' && keys[index] === range.after) index++;
    for (; index < keys.length && found.length < range.limit; index++) {
      const key = keys[index];
      if (key === undefined || !key.startsWith(range.prefix)) break;
      found.push({ key, row: this.#row(table, key) });
    }
    return Promise.resolve(found);
  }

  /** All rows of a table, in the order of keys. */
  rows<T extends TableName>(table: T): readonly KeyedRow<T>[] {
    return this.#table(table).keys.map((key) => ({ key, row: this.#row(table, key) }));
  }

  #table(name: TableName): Table {
    return must(this.#tables.get(name), `Table ${name} exists`);
  }

  #row<T extends TableName>(table: T, key: string): Tables[T] {
    return must(this.get(table, key), 'Each key has a row');
  }
}

/** Index of the first key that is not less than `key`. */
function firstFrom(keys: readonly string[], key: string): number {
  let low = 0;
  let high = keys.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (compareKeys(keys[middle] ?? '', key) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}
