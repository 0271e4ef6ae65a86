/** What an entry costs beyond its key and its encoded bytes: map slots and the decoded object. */
const ENTRY_OVERHEAD_BYTES = 256;

interface Cached {
  readonly row: unknown;
  readonly bytes: number;
}

/**
 * Decoded rows, bounded in bytes. Two generations instead of a list in order of use: what is used moves to the young
 * one; when that holds half of the bytes it becomes the old one, and what nobody used since is forgotten with the
 * former old one. A hit in the young generation, the usual case, changes nothing.
 */
export class LevelRowCache {
  readonly #halfBytes: number;
  #young = new Map<string, Cached>();
  #old = new Map<string, Cached>();
  #youngBytes = 0;
  #oldBytes = 0;

  constructor(maxBytes: number) {
    this.#halfBytes = maxBytes / 2;
  }

  /** Bytes held; never above the limit by more than one row. */
  get bytes(): number {
    return this.#youngBytes + this.#oldBytes;
  }

  get(key: string): unknown {
    const young = this.#young.get(key);
    if (young !== undefined) return young.row;
    const old = this.#old.get(key);
    if (old === undefined) return undefined;
    this.#old.delete(key);
    this.#oldBytes -= old.bytes;
    this.#add(key, old);
    return old.row;
  }

  /** @param encodedBytes Length of the stored row, which stands for the size of the object. */
  set(key: string, row: unknown, encodedBytes: number): void {
    this.delete(key);
    this.#add(key, { row, bytes: ENTRY_OVERHEAD_BYTES + 2 * key.length + 2 * encodedBytes });
  }

  delete(key: string): void {
    const young = this.#young.get(key);
    if (young !== undefined && this.#young.delete(key)) this.#youngBytes -= young.bytes;
    const old = this.#old.get(key);
    if (old !== undefined && this.#old.delete(key)) this.#oldBytes -= old.bytes;
  }

  #add(key: string, cached: Cached): void {
    this.#young.set(key, cached);
    this.#youngBytes += cached.bytes;
    if (this.#youngBytes < this.#halfBytes) return;
    this.#old = this.#young;
    this.#oldBytes = this.#youngBytes;
    this.#young = new Map();
    this.#youngBytes = 0;
  }
}
