import { SluiceError } from '../../model/errors.ts';
import { SHORT_TEXT_BYTES_MAX, shortText } from './short-text.ts';

const VARINT = 0;
const FIXED64 = 1;
const LENGTH = 2;
const FIXED32 = 5;

function malformed(why: string): SluiceError {
  return new SluiceError('INVALID_ARGUMENT', `Malformed message: ${why}`);
}

/**
 * Reads protobuf that may come from anybody. `next` moves to a field; then exactly one of the readers, or `skip`, takes
 * its value. Every method throws SluiceError INVALID_ARGUMENT on bytes that are no protobuf.
 */
export class ProtoReader {
  readonly #buffer: Buffer;
  #at: number;
  #end: number;
  #tag = 0;

  constructor(bytes: Uint8Array) {
    this.#buffer = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    this.#at = 0;
    this.#end = bytes.length;
  }

  /** Moves to the next field. @returns its tag, 0 at the end. */
  next(): number {
    if (this.#at >= this.#end) return 0;
    this.#tag = this.#varint();
    if (this.#tag < 8 || this.#tag > 0xffffffff) throw malformed('a tag without a field number');
    return this.#tag;
  }

  /** Whether anything is left of the message, for packed fields. */
  hasMore(): boolean {
    return this.#at < this.#end;
  }

  uint(): number {
    return this.#varint();
  }

  /** A zigzag number. It has a bit more than `#varint` reads, so its first byte is read by itself. */
  sint(): number {
    const first = this.#byte();
    const half = ((first & 127) >>> 1) + (first < 128 ? 0 : this.#varint() * 64);
    const value = first % 2 === 0 ? half : -half - 1;
    if (Math.abs(value) > Number.MAX_SAFE_INTEGER) throw malformed('a number beyond 2^53');
    return value;
  }

  /** A number of kind int64: negative ones have ten bytes. */
  int(): number {
    const start = this.#at;
    // Bit 63 is the lowest of the tenth byte.
    if (this.#end - start < 10 || this.#buffer[start + 9] !== 1) return this.#varint();
    for (let i = 0; i < 9; i += 1) if ((this.#buffer[start + i] as number) < 128) return this.#varint();
    let bits = 0n;
    for (let i = 8; i >= 0; i -= 1) bits = (bits << 7n) | BigInt((this.#buffer[start + i] as number) & 127);
    const value = Number(BigInt.asIntN(64, bits | (1n << 63n)));
    if (value < Number.MIN_SAFE_INTEGER) throw malformed('a number below -2^53');
    this.#at += 10;
    return value;
  }

  bool(): boolean {
    return this.#varint() !== 0;
  }

  string(): string {
    const size = this.#size();
    const start = this.#at;
    this.#at += size;
    if (size <= SHORT_TEXT_BYTES_MAX) return shortText(this.#buffer, start, this.#at);
    return this.#buffer.toString('utf8', start, this.#at);
  }

  /** A view of the bytes: it shares memory with what is read. */
  bytes(): Buffer {
    const size = this.#size();
    const start = this.#at;
    this.#at += size;
    return this.#buffer.subarray(start, this.#at);
  }

  /** Enters a message field. @returns what `leave` wants. */
  enter(): number {
    const size = this.#size();
    const outer = this.#end;
    this.#end = this.#at + size;
    return outer;
  }

  leave(outer: number): void {
    if (this.#at !== this.#end) throw malformed('a field crosses the end of its message');
    this.#end = outer;
  }

  /** Passes over the value of the field, which this program does not know. */
  skip(): void {
    switch (this.#tag % 8) {
      case VARINT:
        for (let i = 0; i < 10; i += 1) if (this.#byte() < 128) return;
        throw malformed('a number longer than ten bytes');
      case FIXED64:
        this.#pass(8);
        return;
      case LENGTH:
        this.#pass(this.#size());
        return;
      case FIXED32:
        this.#pass(4);
        return;
      default:
        throw malformed(`wire type ${this.#tag % 8}`);
    }
  }

  #pass(bytes: number): void {
    if (bytes > this.#end - this.#at) throw malformed('a field crosses the end of its message');
    this.#at += bytes;
  }

  #size(): number {
    const size = this.#varint();
    if (size > this.#end - this.#at) throw malformed('a field crosses the end of its message');
    return size;
  }

  #byte(): number {
    if (this.#at >= this.#end) throw malformed('a number crosses the end of its message');
    return this.#buffer[this.#at++] as number;
  }

  /** At most eight bytes: larger numbers are above 2^53. */
  #varint(): number {
    let byte = this.#byte();
    if (byte < 128) return byte;
    let value = byte & 127;
    let factor = 128;
    for (let i = 1; i < 8; i += 1) {
      byte = this.#byte();
      value += (byte & 127) * factor;
      if (byte < 128) {
        if (value > Number.MAX_SAFE_INTEGER) throw malformed('a number above 2^53');
        return value;
      }
      factor *= 128;
    }
    throw malformed('a number above 2^53');
  }
}
