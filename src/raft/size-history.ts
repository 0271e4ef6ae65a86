import type { LogIndex } from './position.ts';

/** How many of the newest entries have a known size. */
export const SIZE_HISTORY = 32_768;

const MASK = SIZE_HISTORY - 1;

/**
 * Sizes of the newest entries as running sums in a ring, so that the cost of any recent range is one subtraction. Of
 * older entries nothing is known: their ranges are cut by whoever reads them.
 */
export class SizeHistory {
  readonly #sums = new Float64Array(SIZE_HISTORY);
  /** Sums exist for indexes `#floor … #last`; the one at `#floor` is only the left end of ranges. */
  #floor: LogIndex;
  #last: LogIndex;

  constructor(last: LogIndex) {
    this.#floor = last;
    this.#last = last;
    this.reset(last);
  }

  /** The first index whose size is known. */
  get first(): LogIndex {
    return this.#floor + 1;
  }

  push(bytes: number): void {
    const before = this.#sum(this.#last);
    this.#last += 1;
    this.#sums[this.#last & MASK] = before + bytes;
    if (this.#last - this.#floor >= SIZE_HISTORY) this.#floor = this.#last - SIZE_HISTORY + 1;
  }

  /** Nothing is known before `last`, where the log begins anew. */
  reset(last: LogIndex): void {
    this.#floor = last;
    this.#last = last;
    this.#sums[last & MASK] = 0;
  }

  truncate(from: LogIndex): void {
    this.#last = from - 1;
    if (this.#floor <= this.#last) return;
    this.#floor = this.#last;
    this.#sums[this.#last & MASK] = 0;
  }

  /** Bytes of entries behind `after`, as far as they are known. */
  bytesAfter(after: LogIndex): number {
    return this.#sum(this.#last) - this.#sum(Math.max(after, this.#floor));
  }

  /** Bytes of `from … to`, both of known size. */
  bytesOf(from: LogIndex, to: LogIndex): number {
    return this.#sum(to) - this.#sum(from - 1);
  }

  /** The largest index such that `from … index` fits into `maxBytes`; at least `from`. `from` must be of known size. */
  fit(from: LogIndex, maxBytes: number): LogIndex {
    const limit = this.#sum(from - 1) + maxBytes;
    if (this.#sum(this.#last) <= limit) return this.#last;
    let low = from;
    let high = this.#last;
    while (low < high) {
      const middle = low + Math.ceil((high - low) / 2);
      if (this.#sum(middle) <= limit) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  // Indexes may pass 2^31, where `&` still yields the low bits: ToInt32 is modulo 2^32 and MASK is smaller.
  #sum(index: LogIndex): number {
    return this.#sums[index & MASK] ?? 0;
  }
}
