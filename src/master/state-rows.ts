import type { LevelBatch } from '../host/level-database.ts';
import type { DirectoryInode } from '../model/inode.ts';
import { dentryPrefix, type KeyedTable, type TableName, type Tables } from '../model/state-store.ts';
import { decodeOwnRow, encodeRow } from '../wire/codec/state.ts';
import { LevelRows, type RowChange } from './level-rows.ts';
import { PACKED_KEY_LENGTH_MAX, PACKED_ROW_BYTES_MAX, PackedRows, type Pending } from './packed-rows.ts';
import { ReplyRows } from './reply-rows.ts';
import { TABLE_LETTERS } from './state-keys.ts';

/** What memory knows of a row: undefined `row`: there is none. */
interface KnownRow {
  readonly row: object | undefined;
}

const DENTRY_PREFIX_LENGTH = dentryPrefix(0).length;
const NO_ROW: KnownRow = Object.freeze({ row: undefined });

/** All changes of a flush, as a batch takes them. */
export interface RowFlush {
  readonly length: number;
  /** Adds changes `from … to` to `batch`. */
  addTo(batch: LevelBatch<string>, from: number, to: number): void;
}

/**
 * The rows that memory has: files and places, of which there are many, as bytes (`PackedRows`), and all others, which
 * are few and change or are read often, as objects (`LevelRows`). A key is in one of the two at a time.
 */
export class StateRows {
  readonly #objects: LevelRows;
  readonly #replies = new ReplyRows();
  readonly #whole = new WholeFolders();
  readonly #packed: { readonly inode: PackedRows; readonly place: PackedRows };

  constructor(maxBytes: number) {
    this.#objects = new LevelRows(maxBytes / 2);
    this.#packed = { inode: new PackedRows(maxBytes / 2), place: new PackedRows(0) };
  }

  get bytes(): number {
    return this.#objects.bytes + this.#packed.inode.bytes + this.#packed.place.bytes + this.#replies.bytes;
  }

  /** Grows with each change. */
  get version(): number {
    return this.#objects.version;
  }

  /** Changes that no flush has taken. */
  get changed(): number {
    return this.#objects.changed + this.#packed.inode.changed + this.#packed.place.changed + this.#replies.changed;
  }

  /** Changes that the flush in flight writes. */
  get flushing(): number {
    return this.#objects.flushing + this.#packed.inode.flushing + this.#packed.place.flushing + this.#replies.flushing;
  }

  /** What memory knows of a row; undefined: nothing. */
  find(table: KeyedTable, key: string): KnownRow | undefined {
    const known = this.#objects.find(table, key);
    if (known !== undefined) return known;
    const packed = this.#packedOf(table)?.find(key);
    if (packed === undefined) return undefined;
    if (packed === false) return NO_ROW;
    return { row: decodeOwnRow(table, packed) };
  }

  /** Whether there is no such row, of which nothing is known, not on the disk either. */
  isNowhere(table: KeyedTable, key: string): boolean {
    return table === 'inode' && this.#whole.has(key, this.#losses);
  }

  /** A row as it was when `version` was, if that is in memory as an object. */
  asOf(version: number, table: TableName, key: string): object | undefined {
    return this.#objects.asOf(version, table, key);
  }

  /** Keeps a row that was read from the disk, of which nothing was known. */
  keep<T extends KeyedTable>(table: T, key: string, row: Tables[T], bytes: Uint8Array): void {
    const packed = this.#packedOf(table);
    if (packed !== undefined && isPacked(key, row) && bytes.length <= PACKED_ROW_BYTES_MAX) packed.keep(key, bytes);
    else this.#objects.keep(table, key, row, bytes.length);
  }

  /**
   * Keeps that the disk has no such row, of which nothing was known. Not of files: each is asked for once before it is
   * made. But every operation asks for the mounts of a cluster that has none.
   */
  keepAbsence(table: KeyedTable, key: string): void {
    if (this.#packedOf(table) === undefined) this.#objects.keep(table, key, undefined, 0);
  }

  /** @param isNew Nothing has this key. */
  put<T extends KeyedTable>(table: T, key: string, row: Tables[T], isNew: boolean): void {
    const packed = this.#packedOf(table);
    if (packed === undefined) {
      this.#objects.put(table, key, row, isNew);
      return;
    }
    const bytes = isPacked(key, row) ? encodeRow(table, row) : undefined;
    if (bytes === undefined || bytes.length > PACKED_ROW_BYTES_MAX) {
      const wasPacked = packed.forget(key);
      if ('kind' in row && row.kind === 'directory' && isNew) this.#whole.begin(row, this.#losses);
      this.#objects.put(table, key, row, isNew && !wasPacked);
      return;
    }
    const wasObject = this.#objects.release(table, key);
    packed.put(key, bytes, isNew && !wasObject);
    this.#objects.countChange();
  }

  delete(table: KeyedTable, key: string): void {
    const packed = this.#packedOf(table);
    if (packed === undefined || packed.find(key) === undefined) {
      this.#objects.delete(table, key);
      return;
    }
    this.#objects.release(table, key);
    packed.delete(key);
    this.#objects.countChange();
  }

  /** What memory knows of a reply; undefined: nothing. */
  findReply(client: string, sequence: number): { readonly reply: Tables['reply'] | undefined } | undefined {
    return this.#replies.find(client, sequence);
  }

  insertReply(client: string, sequence: number, reply: Tables['reply']): void {
    this.#replies.insert(client, sequence, reply);
    this.#objects.countChange();
  }

  deleteReplies(client: string, from: number, below: number): void {
    this.#replies.delete(client, from, below);
    this.#objects.countChange();
  }

  /** Hands all changes to a flush; the former one has ended. */
  beginFlush(): RowFlush {
    const { inode, place } = this.#packed;
    const objects = [...this.#objects.beginFlush(), ...this.#replies.beginFlush()];
    inode.beginFlush();
    place.beginFlush();
    const [inodes, places] = [inode.flushing, place.flushing];
    return {
      length: objects.length + inodes + places,
      addTo(batch, from, to) {
        for (const change of objects.slice(from, to)) addObject(batch, change);
        addPacked(batch, 'inode', inode, from - objects.length, Math.min(to - objects.length, inodes));
        const before = objects.length + inodes;
        addPacked(batch, 'place', place, from - before, Math.min(to - before, places));
      },
    };
  }

  /** What the flush took is on disk. */
  endFlush(): void {
    this.#objects.endFlush();
    this.#replies.endFlush();
    this.#packed.inode.endFlush();
    this.#packed.place.endFlush();
  }

  /** What is not on disk yet of keys that begin with `prefix`; undefined: deleted. */
  collect<T extends TableName>(table: T, prefix: string): Map<string, Tables[T] | undefined> {
    const found = new Map<string, Tables[T] | undefined>();
    const packed = this.#packedOf(table);
    for (const which of ['flushing', 'changed'] satisfies Pending[]) {
      this.#objects.collect(table, prefix, which, found);
      if (table === 'reply') this.#collectReplies(prefix, which, found as Map<string, Tables['reply'] | undefined>);
      packed?.scan(prefix, which, (key, bytes) => found.set(key, bytes && decodeOwnRow(table, bytes)));
    }
    return found;
  }

  get #losses(): number {
    return this.#objects.losses + this.#packed.inode.losses;
  }

  #collectReplies(prefix: string, which: Pending, found: Map<string, Tables['reply'] | undefined>): void {
    this.#replies.visit(which, (key, reply) => {
      if (key.startsWith(prefix)) found.set(key, reply);
    });
  }

  #packedOf(table: TableName): PackedRows | undefined {
    return table === 'inode' || table === 'place' ? this.#packed[table] : undefined;
  }
}

const WHOLE_FOLDERS_MAX = 65_536;

/**
 * Directories that were empty when they were put, while no row has left memory since: all that they have is in memory.
 * So a name that memory does not know need not be looked for on the disk, which most creations would do.
 */
class WholeFolders {
  readonly #prefixes = new Set<string>();
  #losses = 0;

  begin(directory: DirectoryInode, losses: number): void {
    if (directory.childCount > 0) return;
    this.#check(losses);
    if (this.#prefixes.size >= WHOLE_FOLDERS_MAX) this.#prefixes.clear();
    this.#prefixes.add(dentryPrefix(directory.id));
  }

  has(key: string, losses: number): boolean {
    this.#check(losses);
    return this.#prefixes.has(key.slice(0, DENTRY_PREFIX_LENGTH));
  }

  #check(losses: number): void {
    if (this.#losses === losses) return;
    this.#losses = losses;
    this.#prefixes.clear();
  }
}

/** Directories change with each of their children: they stay objects. */
function isPacked(key: string, row: Tables[TableName]): boolean {
  return key.length <= PACKED_KEY_LENGTH_MAX && !('kind' in row && row.kind === 'directory');
}

function addObject(batch: LevelBatch<string>, { table, key, row }: RowChange): void {
  const stored = TABLE_LETTERS[table] + key;
  if (row === undefined) batch.delete(stored);
  else batch.put(stored, encodeRow(table, row as Tables[TableName]));
}

function addPacked(batch: LevelBatch<string>, table: TableName, rows: PackedRows, from: number, to: number): void {
  const letter = TABLE_LETTERS[table];
  rows.visit(Math.max(0, from), to, (key, row) => {
    if (row === undefined) batch.delete(letter + key);
    else batch.put(letter + key, row);
  });
}
