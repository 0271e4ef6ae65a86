import { assert } from '../base/assert.ts';
import { type Entry, entrySizeBytes } from '../raft/entry.ts';
import type { LogIndex } from '../raft/position.ts';

const COMPACT_AT = 4096;

/**
 * The newest entries of the log, bounded in bytes: what peers are sent and what is applied comes from here and not
 * from the disk. Entries that are not durable stay whatever they cost, because they are nowhere else.
 */
export class JournalRing {
  readonly #maxBytes: number;
  /** Slots before `#head` are empty. */
  #entries: (Entry | undefined)[] = [];
  #head = 0;
  /** Index of the entry at `#head`; when empty, of the one that comes next. */
  #first: LogIndex;
  #durable: LogIndex;
  #bytes = 0;

  /** @param last Where the log ends: nothing before it is here. */
  constructor(last: LogIndex, maxBytes: number) {
    this.#first = last + 1;
    this.#durable = last;
    this.#maxBytes = maxBytes;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get count(): number {
    return this.#entries.length - this.#head;
  }

  /** The log changed: entries from `truncateFrom` on are gone, `entries` come behind. */
  stage(entries: readonly Entry[], truncateFrom: LogIndex | undefined): void {
    if (truncateFrom !== undefined) this.#truncate(truncateFrom);
    for (const entry of entries) {
      if (entry.index !== this.#first + this.count) assert(false, `Entry ${entry.index} does not follow in the ring`);
      this.#entries.push(entry);
      this.#bytes += entrySizeBytes(entry);
    }
    this.#evict();
  }

  /** Entries up to `index` are on disk. */
  markDurable(index: LogIndex): void {
    this.#durable = Math.max(this.#durable, index);
    this.#evict();
  }

  /** The log begins anew behind `last`. */
  restart(last: LogIndex): void {
    this.#entries = [];
    this.#head = 0;
    this.#bytes = 0;
    this.#first = last + 1;
    this.#durable = last;
  }

  get(index: LogIndex): Entry | undefined {
    return index < this.#first ? undefined : this.#entries[this.#head + index - this.#first];
  }

  /**
   * Entries `from … to`, cut behind the one that reaches `maxBytes`; undefined when they are not all here.
   */
  range(from: LogIndex, to: LogIndex, maxBytes: number): readonly Entry[] | undefined {
    if (from < this.#first || to >= this.#first + this.count) return undefined;
    const start = this.#head + from - this.#first;
    const all = this.#entries.slice(start, start + to - from + 1) as Entry[];
    let bytes = 0;
    for (let i = 0; i < all.length; i += 1) {
      if (bytes >= maxBytes) return all.slice(0, i);
      bytes += entrySizeBytes(all[i] as Entry);
    }
    return all;
  }

  #truncate(from: LogIndex): void {
    this.#durable = Math.min(this.#durable, from - 1);
    if (from <= this.#first) {
      this.#entries = [];
      this.#head = 0;
      this.#first = from;
      this.#bytes = 0;
      return;
    }
    const keep = this.#head + from - this.#first;
    for (let i = keep; i < this.#entries.length; i += 1) this.#bytes -= entrySizeBytes(this.#entries[i] as Entry);
    this.#entries.length = keep;
  }

  #evict(): void {
    while (this.#bytes > this.#maxBytes && this.count > 0 && this.#first <= this.#durable) {
      this.#bytes -= entrySizeBytes(this.#entries[this.#head] as Entry);
      // The slot lets go of the bytes at once; the array itself is shortened now and then.
      this.#entries[this.#head] = undefined;
      this.#head += 1;
      this.#first += 1;
    }
    if (this.#head < COMPACT_AT || this.#head * 2 < this.#entries.length) return;
    this.#entries = this.#entries.slice(this.#head);
    this.#head = 0;
  }
}
