import { assert } from '../base/assert.ts';
import { TABLE_NAMES, type TableName } from '../model/state-store.ts';
import type { Pending } from './packed-rows.ts';

/** What a row costs in memory beyond its key and its fields. */
const SLOT_OVERHEAD_BYTES = 256;
/** What stands for the fields of a row that was never encoded. */
const CHANGED_ROW_BYTES = 320;
/** Rows that hardly anybody reads: they leave memory when they are on disk. */
const WRITE_ONLY: ReadonlySet<TableName> = new Set<TableName>(['place', 'trash']);

/** A row in memory, or the note that there is none. */
interface Slot {
  readonly table: TableName;
  readonly key: string;
  /** Undefined: deleted. Rows are never changed, only replaced. */
  row: object | undefined;
  /** `fresh`: changed, and nothing below has the key, so that a deletion leaves nothing to be done. */
  state: 'clean' | 'changed' | 'fresh';
  /** On its way to the disk, maybe in an older version. */
  flushing: boolean;
  /** `LevelRows.version` when it changed or was read. */
  version: number;
  readonly bytes: number;
}

/** A row as a flush writes it. */
export interface RowChange {
  readonly table: TableName;
  readonly key: string;
  /** Undefined: to be deleted. */
  readonly row: object | undefined;
}

/** Two generations of one table; see `LevelRows`. */
interface Generations {
  young: Map<string, Slot>;
  old: Map<string, Slot>;
}

/**
 * Decoded rows in memory: those that are not on disk yet, however many, and the lately used ones, bounded in bytes.
 * One look-up answers for both. Two generations instead of a list in order of use: what is used moves to the young
 * one; when that holds half of the bytes it becomes the old one, and what nobody used since is forgotten with the
 * former old one.
 */
export class LevelRows {
  readonly #halfBytes: number;
  readonly #tables: Readonly<Record<TableName, Generations>>;
  #youngBytes = 0;
  #oldBytes = 0;
  /** Of `#youngBytes`, what could not be forgotten because it was not on disk. */
  #carriedBytes = 0;
  #version = 0;
  #losses = 0;
  #changed = new ChangedSlots();
  #flushing = new ChangedSlots();

  constructor(maxBytes: number) {
    this.#halfBytes = maxBytes / 2;
    const tables = TABLE_NAMES.map((table): [TableName, Generations] => [table, { young: new Map(), old: new Map() }]);
    this.#tables = Object.fromEntries(tables) as Record<TableName, Generations>;
  }

  /** Bytes held, roughly. Above the limit by no more than what two flushes write. */
  get bytes(): number {
    return this.#youngBytes + this.#oldBytes;
  }

  /** Grows when rows that were not changed leave memory. */
  get losses(): number {
    return this.#losses;
  }

  /** Grows with each change. */
  get version(): number {
    return this.#version;
  }

  /** Changes that no flush has taken. */
  get changed(): number {
    return this.#changed.slots.length;
  }

  /** Changes that the flush in flight writes. */
  get flushing(): number {
    return this.#flushing.slots.length;
  }

  /** What memory knows of a row: undefined nothing, otherwise `row` is the row, or undefined when it was deleted. */
  find(table: TableName, key: string): { readonly row: object | undefined } | undefined {
    return this.#find(table, key);
  }

  /** A row as it was when `version` was, if that is in memory. */
  asOf(version: number, table: TableName, key: string): object | undefined {
    const slot = this.#find(table, key);
    return slot !== undefined && slot.version <= version ? slot.row : undefined;
  }

  /** Keeps what the disk has, or that it has nothing; the row's encoded length stands for the size of the object. */
  keep(table: TableName, key: string, row: object | undefined, encodedBytes: number): void {
    const bytes = SLOT_OVERHEAD_BYTES + 2 * key.length + 2 * encodedBytes;
    this.#add({ table, key, row, state: 'clean', flushing: false, version: this.#version, bytes });
    this.#rotate();
  }

  /** @param isNew Nothing has this key. */
  put(table: TableName, key: string, row: object, isNew: boolean): void {
    this.#version += 1;
    const slot = this.#find(table, key);
    if (slot === undefined) this.#addChanged(table, key, row, isNew ? 'fresh' : 'changed');
    else {
      assert(!isNew || slot.row === undefined, 'A row that is inserted is not there yet');
      slot.row = row;
      this.#mark(slot);
    }
  }

  delete(table: TableName, key: string): void {
    this.#version += 1;
    const slot = this.#find(table, key);
    if (slot === undefined) this.#addChanged(table, key, undefined, 'changed');
    else if (slot.state === 'fresh') {
      // It never gets to the disk, nor does its deletion.
      slot.state = 'clean';
      this.#remove(slot);
    } else {
      slot.row = undefined;
      this.#mark(slot);
    }
  }

  /** Hands all changes to a flush; the former one has ended. */
  beginFlush(): readonly RowChange[] {
    assert(this.#flushing.slots.length === 0, 'One flush at a time');
    const changes: RowChange[] = [];
    this.#flushing = new ChangedSlots();
    for (const slot of this.#changed.slots) {
      if (slot.state === 'clean') continue;
      slot.state = 'clean';
      slot.flushing = true;
      this.#flushing.slots.push(slot);
      changes.push({ table: slot.table, key: slot.key, row: slot.row });
    }
    this.#changed = new ChangedSlots();
    return changes;
  }

  /** What the flush took is on disk. */
  endFlush(): void {
    for (const slot of this.#flushing.slots) {
      if (!slot.flushing) continue;
      slot.flushing = false;
      if (slot.state === 'clean' && (slot.row === undefined || WRITE_ONLY.has(slot.table))) this.#remove(slot);
    }
    this.#flushing = new ChangedSlots();
    this.#carriedBytes = 0;
    this.#rotate();
  }

  /** Adds what is not on disk yet of keys that begin with `prefix` to `found`. */
  collect(table: TableName, prefix: string, which: Pending, found: Map<string, object | undefined>): void {
    (which === 'flushing' ? this.#flushing : this.#changed).collect(table, prefix, found);
  }

  /** From now on the key is somebody else's, who flushes it. @returns whether anything was known of it. */
  release(table: TableName, key: string): boolean {
    const slot = this.#find(table, key);
    if (slot === undefined) return false;
    slot.state = 'clean';
    slot.flushing = false;
    this.#remove(slot);
    return true;
  }

  /** Something changed that is not kept here. */
  countChange(): void {
    this.#version += 1;
  }

  #find(table: TableName, key: string): Slot | undefined {
    const { young, old } = this.#tables[table];
    const slot = young.get(key);
    if (slot !== undefined) return slot;
    const unused = old.get(key);
    if (unused === undefined) return undefined;
    old.delete(key);
    this.#oldBytes -= unused.bytes;
    this.#add(unused);
    return unused;
  }

  #addChanged(table: TableName, key: string, row: object | undefined, state: 'changed' | 'fresh'): void {
    const bytes = SLOT_OVERHEAD_BYTES + 2 * key.length + CHANGED_ROW_BYTES;
    const slot: Slot = { table, key, row, state, flushing: false, version: this.#version, bytes };
    this.#add(slot);
    this.#changed.slots.push(slot);
  }

  #mark(slot: Slot): void {
    slot.version = this.#version;
    if (slot.state !== 'clean') return;
    slot.state = 'changed';
    this.#changed.slots.push(slot);
  }

  #add(slot: Slot): void {
    this.#tables[slot.table].young.set(slot.key, slot);
    this.#youngBytes += slot.bytes;
  }

  #remove(slot: Slot): void {
    const { young, old } = this.#tables[slot.table];
    if (young.delete(slot.key)) this.#youngBytes -= slot.bytes;
    else if (old.delete(slot.key)) this.#oldBytes -= slot.bytes;
  }

  #rotate(): void {
    if (this.#youngBytes - this.#carriedBytes < this.#halfBytes) return;
    this.#losses += 1;
    for (const generations of Object.values(this.#tables)) {
      generations.old = generations.young;
      generations.young = new Map();
    }
    this.#oldBytes = this.#youngBytes;
    this.#youngBytes = 0;
    for (const { slots } of [this.#flushing, this.#changed])
      for (const slot of slots) if (slot.flushing || slot.state !== 'clean') this.#find(slot.table, slot.key);
    this.#carriedBytes = this.#youngBytes;
  }
}

/**
 * Slots in the order in which they changed. Scans find those of one directory by an index that grows only when there
 * are scans: by table and by what is before the first slash of the key (for inodes: the directory).
 */
class ChangedSlots {
  readonly slots: Slot[] = [];
  readonly #index = new Map<string, Slot[]>();
  #indexed = 0;

  collect(table: TableName, prefix: string, found: Map<string, object | undefined>): void {
    const slash = prefix.indexOf('/');
    for (const slot of slash < 0 ? this.slots : this.#bucket(table, prefix.slice(0, slash + 1))) {
      const { key, row } = slot;
      if (slot.table !== table || !key.startsWith(prefix)) continue;
      if (slot.flushing || slot.state !== 'clean') found.set(key, row);
    }
  }

  #bucket(table: TableName, directory: string): readonly Slot[] {
    for (; this.#indexed < this.slots.length; this.#indexed += 1) {
      const slot = this.slots[this.#indexed] as Slot;
      const name = slot.table + slot.key.slice(0, slot.key.indexOf('/') + 1);
      const bucket = this.#index.get(name);
      if (bucket === undefined) this.#index.set(name, [slot]);
      else bucket.push(slot);
    }
    return this.#index.get(table + directory) ?? [];
  }
}
