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
      this.#page ??= Buffer.allocUnsafeSlow(Math.min(this.#pageSizeBytes, this.#remaining));
      const part = chunk.subarray(taken, taken + this.#page.length - this.#filled);
      this.#page.set(part, this.#filled);
      this.#filled += part.length;
      this.#remaining -= part.length;
      taken += part.length;
      if (this.#filled < this.#page.length) return;
      const page = this.#page;
      this.#page = undefined;
      this.#filled = 0;
      yield page;
    }
  }

  /** The last, shorter page; undefined when there is none. */
  rest(): Uint8Array | undefined {
    // A copy: a small rest must not hold the memory of a whole page.
    const page = this.#page?.slice(0, this.#filled);
    this.#page = undefined;
    this.#filled = 0;
    return page;
  }
}
