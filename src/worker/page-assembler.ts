/** Memory for the first bytes of a stream of unknown length, which may be that of a small file. */
const FIRST_BYTES = 64 * 1024;

/** Cuts a stream of chunks into pages. Pages are new memory, or a chunk that is exactly one page. */
export class PageAssembler {
  readonly #pageSizeBytes: number;
  /** Bytes that are still to come, as far as known: the last page's memory is not larger than it needs to be. */
  #remaining: number;
  #page: Uint8Array | undefined;
  #filled = 0;

  /** @param expectedBytes of the whole stream; Infinity when that is not known. */
  constructor(pageSizeBytes: number, expectedBytes: number) {
    this.#pageSizeBytes = pageSizeBytes;
    this.#remaining = expectedBytes;
  }

  /** The pages that `chunk` completes. With `own`, the chunk's memory may become a page. */
  *push(chunk: Uint8Array, own: boolean): Generator<Uint8Array> {
    let taken = 0;
    while (taken < chunk.length) {
      if (own && this.#filled === 0 && chunk.length - taken === this.#pageSizeBytes) {
        this.#remaining -= this.#pageSizeBytes;
        yield chunk.subarray(taken);
        return;
      }
      const memory = this.#memoryFor(chunk.length - taken);
      const part = chunk.subarray(taken, taken + memory.length - this.#filled);
      memory.set(part, this.#filled);
      this.#filled += part.length;
      this.#remaining -= part.length;
      taken += part.length;
      if (this.#filled < this.#pageSizeBytes && this.#remaining > 0) continue;
      this.#page = undefined;
      this.#filled = 0;
      yield memory;
    }
  }

  /** The page's memory, which has room for something. Of unknown length it begins small and grows once. */
  #memoryFor(moreBytes: number): Uint8Array {
    const page = this.#page;
    if (page !== undefined && this.#filled < page.length) return page;
    const known = Number.isFinite(this.#remaining) ? this.#remaining : Math.max(moreBytes, FIRST_BYTES);
    const wanted = page === undefined ? known : this.#pageSizeBytes;
    const memory = Buffer.allocUnsafeSlow(Math.min(this.#pageSizeBytes, wanted));
    if (page !== undefined) memory.set(page);
    this.#page = memory;
    return memory;
  }

  /** The last, shorter page; undefined when there is none. */
  rest(): Uint8Array | undefined {
    const page = this.#page?.subarray(0, this.#filled);
    this.#page = undefined;
    this.#filled = 0;
    if (page === undefined) return undefined;
    // A copy: a small rest must not hold the memory of a whole page.
    const rest = Buffer.allocUnsafeSlow(page.length);
    rest.set(page);
    return rest;
  }
}
