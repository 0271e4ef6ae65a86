import { assert } from '../../base/assert.ts';

const SHORT_STRING = 48;
const TWO_TO_32 = 2 ** 32;

/** A tag of a varint field. */
export function varintTag(field: number): number {
  return field * 8;
}

/** A tag of a string, bytes or message field. */
export function lengthTag(field: number): number {
  return field * 8 + 2;
}

/**
 * Writes protobuf into one buffer that grows. Three to five times faster than the generated code, because it builds no
 * list of pieces and no array of bytes; used where frames carry many small messages. Zero values are not written, as
 * proto3 wants.
 */
export class ProtoWriter {
  #buffer: Buffer;
  #length = 0;

  constructor(sizeHintBytes: number) {
    this.#buffer = Buffer.allocUnsafe(Math.max(sizeHintBytes, 64));
  }

  get lengthBytes(): number {
    return this.#length;
  }

  /** The written bytes. The writer must not be used afterwards. */
  finish(): Buffer {
    return this.#buffer.subarray(0, this.#length);
  }

  /** An unsigned number below 2^53. */
  uint(tag: number, value: number): void {
    if (value === 0) return;
    this.#reserve(20);
    this.#varint(tag);
    this.#varint(value);
  }

  /** A zigzag number, |value| below 2^53. */
  sint(tag: number, value: number): void {
    const zigzag = value < 0 ? -value * 2 - 1 : value * 2;
    if (zigzag <= Number.MAX_SAFE_INTEGER) {
      this.uint(tag, zigzag);
      return;
    }
    this.#reserve(20);
    this.#varint(tag);
    this.#bigVarint(value < 0 ? -2n * BigInt(value) - 1n : 2n * BigInt(value));
  }

  /** A number of kind int64: ten bytes when it is negative. */
  int(tag: number, value: number): void {
    if (value >= 0) {
      this.uint(tag, value);
      return;
    }
    this.#reserve(20);
    this.#varint(tag);
    let low = value % TWO_TO_32;
    if (low < 0) low += TWO_TO_32;
    const high = (value - low) / TWO_TO_32 + TWO_TO_32;
    this.#bigVarint((BigInt(high) << 32n) | BigInt(low));
  }

  bool(tag: number, value: boolean): void {
    if (value) this.uint(tag, 1);
  }

  string(tag: number, value: string): void {
    const size = value.length;
    if (size === 0) return;
    this.#reserve(size * 3 + 20);
    this.#varint(tag);
    if (size <= SHORT_STRING && this.#ascii(value)) return;
    const bytes = Buffer.byteLength(value);
    this.#varint(bytes);
    this.#length += this.#buffer.write(value, this.#length, bytes, 'utf8');
  }

  /** A bytes field, or a message that is encoded already; written although it is empty. */
  bytes(tag: number, value: Uint8Array): void {
    this.#reserve(value.length + 20);
    this.#varint(tag);
    this.#varint(value.length);
    this.#buffer.set(value, this.#length);
    this.#length += value.length;
  }

  /** A bytes field of known size. @returns where its bytes go: valid until the next write. */
  room(tag: number, lengthBytes: number): Buffer {
    this.#reserve(lengthBytes + 20);
    this.#varint(tag);
    this.#varint(lengthBytes);
    const start = this.#length;
    this.#length += lengthBytes;
    return this.#buffer.subarray(start, this.#length);
  }

  /** Begins a message field. @returns what `end` wants. */
  begin(tag: number): number {
    this.#reserve(20);
    this.#varint(tag);
    this.#length += 1;
    return this.#length;
  }

  end(start: number): void {
    const size = this.#length - start;
    if (size < 128) {
      this.#buffer[start - 1] = size;
      return;
    }
    // The length needs more than the byte that was left for it: the body moves.
    const extra = size < 2 ** 14 ? 1 : size < 2 ** 21 ? 2 : size < 2 ** 28 ? 3 : 4;
    this.#reserve(extra);
    this.#buffer.copyWithin(start + extra, start, this.#length);
    this.#length = start - 1;
    this.#varint(size);
    this.#length += size;
  }

  /** Writes length and bytes of a short string, unless a character is not ASCII. */
  #ascii(value: string): boolean {
    const buffer = this.#buffer;
    const start = this.#length + 1;
    const size = value.length;
    for (let i = 0; i < size; i += 1) {
      const code = value.charCodeAt(i);
      if (code > 127) return false;
      buffer[start + i] = code;
    }
    buffer[start - 1] = size;
    this.#length = start + size;
    return true;
  }

  #varint(value: number): void {
    assert(value >= 0 && value <= Number.MAX_SAFE_INTEGER, 'a varint is a whole number from 0 to 2^53 - 1');
    const buffer = this.#buffer;
    let at = this.#length;
    let rest = value;
    while (rest > 0x7fffffff) {
      buffer[at++] = (rest % 128) | 128;
      rest = Math.floor(rest / 128);
    }
    while (rest > 127) {
      buffer[at++] = (rest & 127) | 128;
      rest >>>= 7;
    }
    buffer[at++] = rest;
    this.#length = at;
  }

  #bigVarint(value: bigint): void {
    let rest = value;
    for (; rest > 127n; rest >>= 7n) this.#buffer[this.#length++] = Number(rest & 127n) | 128;
    this.#buffer[this.#length++] = Number(rest);
  }

  #reserve(bytes: number): void {
    if (this.#length + bytes <= this.#buffer.length) return;
    const larger = Buffer.allocUnsafe(Math.max(this.#buffer.length * 2, this.#length + bytes));
    larger.set(this.#buffer.subarray(0, this.#length));
    this.#buffer = larger;
  }
}
