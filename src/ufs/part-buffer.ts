const FIRST_BYTES = 64 * 1024;

/** Collects bytes up to a limit; small files take little memory, as it doubles on the way. */
export class PartBuffer {
  readonly #limit: number;
  #bytes: Buffer;
  #used = 0;

  constructor(limit: number) {
    this.#limit = limit;
    this.#bytes = Buffer.allocUnsafeSlow(Math.min(FIRST_BYTES, limit));
  }

  get isFull(): boolean {
    return this.#used === this.#limit;
  }

  /** Copies as much of `chunk` as fits. @returns how much */
  add(chunk: Uint8Array): number {
    const count = Math.min(chunk.byteLength, this.#limit - this.#used);
    if (this.#used + count > this.#bytes.byteLength) this.#grow(this.#used + count);
    this.#bytes.set(chunk.subarray(0, count), this.#used);
    this.#used += count;
    return count;
  }

  /** What was collected; the buffer must not be added to afterwards. */
  content(): Buffer {
    return this.#bytes.subarray(0, this.#used);
  }

  #grow(atLeast: number): void {
    const size = Math.min(this.#limit, Math.max(atLeast, this.#bytes.byteLength * 2));
    const larger = Buffer.allocUnsafeSlow(size);
    larger.set(this.content());
    this.#bytes = larger;
  }
}
