/** Rows and keys beyond these are kept elsewhere. */
export const PACKED_ROW_BYTES_MAX = 16 * 1024;
export const PACKED_KEY_LENGTH_MAX = 1024;

const CHUNK_BYTES = 128 * 1024;
const FIRST_CAPACITY = 64;
/** What an entry costs beside its key and its row. */
const ENTRY_OVERHEAD_BYTES = 32;

/** States of an entry: what it says of its key … */
const FORGOTTEN = 0;
const PRESENT = 1;
const ABSENT = 2;
const SAYS = 3;
/** … that nothing on disk has its key, and that no flush needs to write it. */
const FRESH = 4;
const DONE = 8;

/** Changes that the flush in flight writes, or those that no flush has taken. */
export type Pending = 'flushing' | 'changed';

/** Takes a key and its row; undefined when it is to be deleted. */
type RowVisitor = (key: string, row: Uint8Array | undefined) => void;

/** A row's bytes; false when memory knows that there is none; undefined when it does not know. */
export type PackedRow = Uint8Array | false | undefined;

/**
 * Encoded rows of one table outside of the garbage collector's heap: those that are not on disk yet, however many, and
 * the latest others, bounded in bytes. A row that is made once and hardly read costs a tenth of what it costs as an
 * object, with the object's key, slot and map entry, which are copied by two collections and found dead by a third.
 *
 * Two generations: all changes are appended to the young one; when that has half of the bytes it becomes the old one,
 * and the former old one, once it is on disk wholly, is let go.
 */
export class PackedRows {
  readonly #halfBytes: number;
  #young = new Generation();
  #old = new Generation();
  #losses = 0;

  constructor(maxBytes: number) {
    this.#halfBytes = maxBytes / 2;
  }

  get bytes(): number {
    return this.#young.bytes + this.#old.bytes;
  }

  /** Grows when rows leave memory. */
  get losses(): number {
    return this.#losses;
  }

  /** Changes that no flush has taken, and some that were overtaken by others. */
  get changed(): number {
    return this.#young.count - this.#young.taken + this.#old.count - this.#old.taken;
  }

  /** Changes that the flush in flight writes. */
  get flushing(): number {
    return this.#young.taken - this.#young.written + this.#old.taken - this.#old.written;
  }

  find(key: string): PackedRow {
    const hash = hashOf(key, key.length);
    const young = this.#young.find(hash, key);
    if (young >= 0) return this.#young.row(young);
    const old = this.#old.find(hash, key);
    return old < 0 ? undefined : this.#old.row(old);
  }

  /** @param isNew There is no row of this key, as far as anybody can see. */
  put(key: string, row: Uint8Array, isNew: boolean): void {
    const hash = hashOf(key, key.length);
    this.#young.add(hash, key, row, PRESENT | (this.#isFresh(hash, key, isNew) ? FRESH : 0));
  }

  /** Keeps a row that was read from the disk, of which nothing was known. */
  keep(key: string, row: Uint8Array): void {
    this.#young.add(hashOf(key, key.length), key, row, PRESENT | DONE);
    this.#rotate();
  }

  delete(key: string): void {
    const hash = hashOf(key, key.length);
    if (this.#isFresh(hash, key, false)) this.#young.add(hash, key, undefined, ABSENT | DONE);
    else this.#young.add(hash, key, undefined, ABSENT);
  }

  /** From now on the key is somebody else's. @returns whether anything was known of it. */
  forget(key: string): boolean {
    const hash = hashOf(key, key.length);
    const young = this.#young.forget(hash, key);
    return this.#old.forget(hash, key) || young;
  }

  /** Hands all changes to a flush; the former one has ended. */
  beginFlush(): void {
    this.#young.taken = this.#young.count;
    this.#old.taken = this.#old.count;
  }

  /** Visits the changes `from … to` of the `flushing` ones. */
  visit(from: number, to: number, visitor: RowVisitor): void {
    const ofOld = this.#old.taken - this.#old.written;
    this.#old.visit(this.#old.written + from, Math.min(this.#old.written + to, this.#old.taken), visitor);
    this.#young.visit(this.#young.written + Math.max(0, from - ofOld), this.#young.written + to - ofOld, visitor);
  }

  /** What the flush took is on disk. */
  endFlush(): void {
    this.#young.written = this.#young.taken;
    this.#old.written = this.#old.taken;
    this.#rotate();
  }

  /** Visits changes of keys that begin with `prefix`. */
  scan(prefix: string, which: Pending, visitor: RowVisitor): void {
    const slash = prefix.indexOf('/');
    const folder = slash < 0 ? undefined : hashOf(prefix, slash);
    const fitting: RowVisitor = (key, row) => {
      if (key.startsWith(prefix)) visitor(key, row);
    };
    for (const generation of [this.#old, this.#young]) {
      const { written, taken, count } = generation;
      if (which === 'flushing') generation.visit(written, taken, fitting, folder);
      else generation.visit(taken, count, fitting, folder);
    }
  }

  #rotate(): void {
    if (this.#young.bytes <= this.#halfBytes || this.#old.written < this.#old.count) return;
    if (this.#old.count > 0) this.#losses += 1;
    this.#old = this.#young;
    this.#young = new Generation();
  }

  /** Ends what is known of a key. @returns whether no flush will have written it. */
  #isFresh(hash: number, key: string, isNew: boolean): boolean {
    const young = this.#young.find(hash, key);
    if (young >= 0) return this.#young.overtake(young);
    const old = this.#old.find(hash, key);
    return old < 0 ? isNew : this.#old.overtake(old);
  }
}

/** Entries in the order in which they were made, with an index (open addressing) of the last one of each key. */
class Generation {
  /** Entries. */
  count = 0;
  /** Entries before this one are on disk or in the flush in flight; those before `written` are on disk. */
  taken = 0;
  written = 0;
  bytes = 0;
  #hashes = new Int32Array(FIRST_CAPACITY);
  /** Hashes of what is before the first slash of the key. */
  #folders = new Int32Array(FIRST_CAPACITY);
  /** Where keys begin, counted over all chunks; the row is behind the key. */
  #starts = new Float64Array(FIRST_CAPACITY);
  #keyBytes = new Uint16Array(FIRST_CAPACITY);
  #rowBytes = new Uint16Array(FIRST_CAPACITY);
  #states = new Uint8Array(FIRST_CAPACITY);
  /** Entry + 1, or 0; at most half full. */
  #index = new Int32Array(2 * FIRST_CAPACITY);
  readonly #chunks: Buffer[] = [];
  #chunk = Buffer.alloc(0);
  #at = 0;

  /** @returns the entry, or -1. */
  find(hash: number, key: string): number {
    return (this.#index[this.#slot(hash, key)] as number) - 1;
  }

  row(entry: number): PackedRow {
    const says = (this.#states[entry] as number) & SAYS;
    if (says === PRESENT) return this.#rowOf(entry);
    return says === ABSENT ? false : undefined;
  }

  /** Appends what is the last word on the key. */
  add(hash: number, key: string, row: Uint8Array | undefined, state: number): void {
    if (this.count === this.#hashes.length) this.#grow();
    const size = row?.length ?? 0;
    const start = this.#write(key, row);
    const entry = this.count;
    const keyBytes = this.#at - start - size;
    const slash = key.indexOf('/');
    this.#hashes[entry] = hash;
    this.#folders[entry] = slash < 0 ? 0 : hashOf(key, slash);
    this.#starts[entry] = (this.#chunks.length - 1) * CHUNK_BYTES + start;
    this.#keyBytes[entry] = keyBytes;
    this.#rowBytes[entry] = size;
    this.#states[entry] = state;
    this.count += 1;
    this.bytes += ENTRY_OVERHEAD_BYTES + keyBytes + size;
    this.#index[this.#slot(hash, key)] = entry + 1;
  }

  /** Something later is said of the entry's key. @returns whether the entry is fresh: then no flush writes it. */
  overtake(entry: number): boolean {
    if (entry < this.taken) return false;
    const state = this.#states[entry] as number;
    this.#states[entry] = state | DONE;
    return (state & FRESH) !== 0 || (state & (SAYS | DONE)) === (ABSENT | DONE);
  }

  forget(hash: number, key: string): boolean {
    const entry = this.find(hash, key);
    if (entry < 0) return false;
    const done = entry < this.taken ? (this.#states[entry] as number) & DONE : DONE;
    this.#states[entry] = FORGOTTEN | done;
    return true;
  }

  visit(from: number, to: number, visitor: RowVisitor, folder: number | undefined = undefined): void {
    for (let entry = from; entry < to; entry += 1) {
      if (((this.#states[entry] as number) & DONE) !== 0) continue;
      if (folder !== undefined && this.#folders[entry] !== folder) continue;
      visitor(this.#keyOf(entry), this.#rowBytes[entry] === 0 ? undefined : this.#rowOf(entry));
    }
  }

  #chunkOf(entry: number): Buffer {
    return this.#chunks[Math.floor((this.#starts[entry] as number) / CHUNK_BYTES)] as Buffer;
  }

  #keyOf(entry: number): string {
    const start = (this.#starts[entry] as number) % CHUNK_BYTES;
    return this.#chunkOf(entry).toString('utf8', start, start + (this.#keyBytes[entry] as number));
  }

  #rowOf(entry: number): Uint8Array {
    const start = ((this.#starts[entry] as number) % CHUNK_BYTES) + (this.#keyBytes[entry] as number);
    return this.#chunkOf(entry).subarray(start, start + (this.#rowBytes[entry] as number));
  }

  /** Where the key is in the index, or where it would be. */
  #slot(hash: number, key: string): number {
    const mask = this.#index.length - 1;
    for (let slot = hash & mask; ; slot = (slot + 1) & mask) {
      const entry = (this.#index[slot] as number) - 1;
      if (entry < 0 || (this.#hashes[entry] === hash && this.#hasKey(entry, key))) return slot;
    }
  }

  #hasKey(entry: number, key: string): boolean {
    const bytes = this.#keyBytes[entry] as number;
    // UTF-8 is as long as the text when all of it is ASCII, and longer otherwise.
    if (bytes !== key.length) return bytes > key.length && this.#keyOf(entry) === key;
    const chunk = this.#chunkOf(entry);
    const start = (this.#starts[entry] as number) % CHUNK_BYTES;
    for (let i = 0; i < bytes; i += 1) {
      const code = key.charCodeAt(i);
      if (code > 127 || chunk[start + i] !== code) return false;
    }
    return true;
  }

  /** @returns where in the last chunk the key begins; the row, if any, is behind it, and `#at` behind that. */
  #write(key: string, row: Uint8Array | undefined): number {
    const { length } = key;
    if (this.#at + 3 * length + (row?.length ?? 0) >= this.#chunk.length) {
      this.#chunk = Buffer.allocUnsafeSlow(CHUNK_BYTES);
      this.#chunks.push(this.#chunk);
      this.#at = 0;
    }
    const chunk = this.#chunk;
    const start = this.#at;
    let ascii = true;
    for (let i = 0; i < length; i += 1) {
      const code = key.charCodeAt(i);
      chunk[start + i] = code;
      if (code > 127) ascii = false;
    }
    this.#at += ascii ? length : chunk.write(key, start, 'utf8');
    if (row !== undefined) {
      chunk.set(row, this.#at);
      this.#at += row.length;
    }
    return start;
  }

  #grow(): void {
    const capacity = 2 * this.#hashes.length;
    this.#hashes = grown(this.#hashes, new Int32Array(capacity));
    this.#folders = grown(this.#folders, new Int32Array(capacity));
    this.#starts = grown(this.#starts, new Float64Array(capacity));
    this.#keyBytes = grown(this.#keyBytes, new Uint16Array(capacity));
    this.#rowBytes = grown(this.#rowBytes, new Uint16Array(capacity));
    this.#states = grown(this.#states, new Uint8Array(capacity));
    const before = this.#index;
    this.#index = new Int32Array(2 * capacity);
    const mask = this.#index.length - 1;
    for (const known of before) {
      if (known === 0) continue;
      let slot = (this.#hashes[known - 1] as number) & mask;
      while (this.#index[slot] !== 0) slot = (slot + 1) & mask;
      this.#index[slot] = known;
    }
  }
}

function grown<A extends { set(from: A): void }>(from: A, to: A): A {
  to.set(from);
  return to;
}

/** FNV-1a of the first `length` UTF-16 units, with its high bits folded into the low ones that an index uses. */
function hashOf(key: string, length: number): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < length; i += 1) hash = Math.imul(hash ^ key.charCodeAt(i), 0x01000193);
  return hash ^ (hash >>> 15);
}
