import { apply } from '../../src/model/apply.ts';
import type { Outcome } from '../../src/model/command.ts';
import { MemoryStateStore } from '../../src/model/memory-state-store.ts';
import { target, walk } from '../../src/model/namespace.ts';
import { TABLE_NAMES, type TableName, type Tables } from '../../src/model/state-store.ts';
import type { LogIndex } from '../../src/raft/position.ts';
import { decodeJournalEntry } from '../../src/wire/codec/command.ts';

/** Digests are below this, so that the sum of three is a safe integer. */
const DIGESTS = 2 ** 51;

/** Rows that know which of them have changed, and the digest of all, without a look at those that have not. */
class TrackedStore extends MemoryStateStore {
  readonly #changed = new Map<TableName, Set<string>>(TABLE_NAMES.map((name) => [name, new Set()]));
  /** By table and key: the digests whose sum is that of the store. */
  readonly #digests = new Map<TableName, Map<string, number>>(TABLE_NAMES.map((name) => [name, new Map()]));
  #digest = 0;

  /** The same for the same rows, whatever the order in which they came. */
  get digest(): number {
    return this.#digest;
  }

  override put<T extends TableName>(table: T, key: string, row: Tables[T]): void {
    super.put(table, key, row);
    this.#changed.get(table)!.add(key);
    this.#count(table, key, digestOf(table, key, row));
  }

  override delete(table: TableName, key: string): void {
    super.delete(table, key);
    this.#changed.get(table)!.add(key);
    this.#count(table, key, 0);
  }

  /** Makes `other` the same, which was so once and has not changed since the last time. */
  flushTo(other: TrackedStore): void {
    for (const [table, keys] of this.#changed) {
      for (const key of keys) {
        const row = this.get(table, key);
        if (row === undefined) other.delete(table, key);
        else other.#take(table, key, row, this);
      }
      keys.clear();
      other.#changed.get(table)!.clear();
    }
  }

  /** Puts all rows of a table into `other`, which has none. */
  copyTo(other: TrackedStore, table: TableName): void {
    for (const { key, row } of this.rows(table)) other.#take(table, key, row, this);
  }

  #take(table: TableName, key: string, row: Tables[TableName], from: TrackedStore): void {
    super.put(table, key, row);
    this.#count(table, key, from.#digests.get(table)!.get(key)!);
  }

  #count(table: TableName, key: string, digest: number): void {
    const digests = this.#digests.get(table)!;
    this.#digest = (this.#digest + DIGESTS - (digests.get(key) ?? 0) + digest) % DIGESTS;
    if (digest === 0) digests.delete(key);
    else digests.set(key, digest);
  }
}

/** Two FNV hashes of a row in one number. */
function digestOf(table: TableName, key: string, row: unknown): number {
  const text = `${table} ${key} ${JSON.stringify(row)}`;
  let low = 0x811c9dc5;
  let high = 0x2c9277b5;
  for (let i = 0; i < text.length; i += 1) {
    const code = text.charCodeAt(i);
    low = Math.imul(low ^ code, 0x01000193);
    high = Math.imul(high ^ code, 0x5bd1e995);
  }
  return (high >>> 13) * 2 ** 32 + (low >>> 0);
}

/** The state machine of the masters, with everything that a snapshot must hold: the namespace and the sessions. */
export class NamespaceState {
  #index: LogIndex = 0;
  readonly #store = new TrackedStore();

  /** The last applied index. */
  get index(): LogIndex {
    return this.#index;
  }

  /** Equal states have the same one. */
  get digest(): number {
    return this.#store.digest;
  }

  /** @param command the bytes of a journal entry; undefined for an entry that says nothing to the state */
  apply(index: LogIndex, command: Uint8Array | undefined): Outcome | undefined {
    this.#index = index;
    if (command === undefined) return undefined;
    const entry = decodeJournalEntry(command);
    return entry.kind === 'command' ? apply(this.#store, entry.stamped).outcome : undefined;
  }

  exists(path: string): boolean {
    return this.#store.get('cluster', '') !== undefined && target(walk(this.#store, path)) !== undefined;
  }

  /** @param without tables that are left out, which would be a mistake */
  copy(without: readonly TableName[] = []): NamespaceState {
    const copy = new NamespaceState();
    copy.#index = this.#index;
    for (const table of TABLE_NAMES) if (!without.includes(table)) this.#store.copyTo(copy.#store, table);
    return copy;
  }

  /** Makes a copy that was flushed before, and was not changed by anything else, equal to this once more. */
  flushTo(copy: NamespaceState): void {
    copy.#index = this.#index;
    this.#store.flushTo(copy.#store);
  }

  /** The digest as the rows themselves give it, should one have changed without anybody having put it. */
  digestOfRows(): number {
    let sum = 0;
    for (const table of TABLE_NAMES)
      for (const { key, row } of this.#store.rows(table)) sum = (sum + digestOf(table, key, row)) % DIGESTS;
    return sum;
  }
}
