import { compareKeys } from '../model/path.ts';
import { TABLE_NAMES, type TableName } from '../model/state-store.ts';

/** Stands for a row that was deleted. */
export const DELETED: unique symbol = Symbol('deleted');

/** A row that is not in LevelDB yet, or the mark that it is deleted there. */
type Change = object | typeof DELETED;

type Bucket = Map<string, Change>;

/**
 * Changes of applied entries that are not in LevelDB yet. Rows stand in buckets by what is before the first slash of
 * their key (for inodes: the directory), so that a scan of one directory looks at that directory's changes only.
 */
export class LevelOverlay {
  readonly #tables = new Map<TableName, Map<string, Bucket>>(TABLE_NAMES.map((table) => [table, new Map()]));
  #rows = 0;

  /** Rows changed. */
  get rows(): number {
    return this.#rows;
  }

  get(table: TableName, key: string): Change | undefined {
    return this.#tables.get(table)?.get(bucketOf(key))?.get(key);
  }

  set(table: TableName, key: string, change: Change): void {
    const buckets = this.#tables.get(table);
    const name = bucketOf(key);
    let bucket = buckets?.get(name);
    if (bucket === undefined) {
      bucket = new Map();
      buckets?.set(name, bucket);
    }
    const before = bucket.size;
    bucket.set(key, change);
    this.#rows += bucket.size - before;
  }

  /** All changes, in no particular order. */
  *all(): Generator<readonly [TableName, string, Change]> {
    for (const [table, buckets] of this.#tables)
      for (const bucket of buckets.values()) for (const [key, change] of bucket) yield [table, key, change];
  }

  /** Adds the changes of keys that begin with `prefix` and are greater than `after` to `found`. */
  collect(table: TableName, prefix: string, after: string, found: Map<string, Change>): void {
    const buckets = this.#tables.get(table);
    if (buckets === undefined) return;
    const slash = prefix.indexOf('/');
    const only = slash < 0 ? undefined : buckets.get(prefix.slice(0, slash + 1));
    if (slash >= 0 && only === undefined) return;
    for (const bucket of only === undefined ? buckets.values() : [only])
      for (const [key, change] of bucket)
        if (key.startsWith(prefix) && (after === '' || compareKeys(key, after) > 0)) found.set(key, change);
  }
}

function bucketOf(key: string): string {
  const slash = key.indexOf('/');
  return slash < 0 ? '' : key.slice(0, slash + 1);
}
