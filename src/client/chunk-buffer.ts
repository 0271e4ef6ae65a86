import { assert } from '../base/assert.ts';

const FIRST_BYTES = 64 * 1024;

/** Collects bytes up to a limit in memory that grows with them, so that a small file costs little. */
export class ChunkBuffer {
  #bytes: Buffer = Buffer.alloc(0);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** Copies `bytes`; the caller may use its own again. */
  push(bytes: Uint8Array, limit: number): void {
    const length = this.#length + bytes.length;
    assert(length <= limit, 'A chunk does not grow above its limit');
    if (length > this.#bytes.length) {
      const larger = Buffer.allocUnsafeSlow(Math.min(limit, Math.max(length, 2 * this.#bytes.length, FIRST_BYTES)));
      larger.set(this.#bytes.subarray(0, this.#length));
      this.#bytes = larger;
    }
    this.#bytes.set(bytes, this.#length);
    this.#length = length;
  }

  /** What was collected; begins anew. */
  take(): Uint8Array {
    const taken = this.#bytes.subarray(0, this.#length);
    this.#bytes = Buffer.alloc(0);
    this.#length = 0;
    return taken;
  }
}
