import { type PageRange, partMemoryBytes } from '../cache/page-file.ts';

/** Bytes that wait to be used again, at most. */
const MAX_IDLE_BYTES = 32 * 2 ** 20;

/**
 * Memory that parts of pages are read into, used again and again: new memory for each read would be zeroed page by page
 * by the kernel and collected as garbage. Whoever gives memory back must know that nobody reads it any more; memory
 * that is not given back is left to the garbage collector, which is always safe.
 */
export class PageMemory {
  readonly #pageSizeBytes: number;
  /** Idle memory by its size; there are two sizes: for a few chunks, and for a whole page. */
  readonly #idle = new Map<number, Buffer[]>();
  readonly #smallBytes: number;
  readonly #largeBytes: number;
  #idleBytes = 0;

  constructor(pageSizeBytes: number) {
    this.#pageSizeBytes = pageSizeBytes;
    this.#smallBytes = partMemoryBytes({ start: 0, end: 1 }, pageSizeBytes);
    this.#largeBytes = partMemoryBytes({ start: 0, end: pageSizeBytes }, pageSizeBytes);
  }

  /** Memory that is large enough for reading the range of a page. Its content is undefined. */
  take(range: PageRange): Buffer {
    const bytes = partMemoryBytes(range, this.#pageSizeBytes) <= this.#smallBytes ? this.#smallBytes : this.#largeBytes;
    const idle = this.#idle.get(bytes)?.pop();
    if (idle === undefined) return Buffer.allocUnsafeSlow(bytes);
    this.#idleBytes -= bytes;
    return idle;
  }

  /** Nobody uses it any more. */
  give(memory: Buffer): void {
    if (this.#idleBytes + memory.length > MAX_IDLE_BYTES) return;
    this.#idleBytes += memory.length;
    const idle = this.#idle.get(memory.length);
    if (idle === undefined) this.#idle.set(memory.length, [memory]);
    else idle.push(memory);
  }
}
