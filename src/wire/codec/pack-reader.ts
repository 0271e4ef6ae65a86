import { SluiceError } from '../../model/errors.ts';
import { SHORT_TEXT_BYTES_MAX, shortText } from './short-text.ts';

/** Reads what `PackWriter` writes. Every method throws SluiceError CORRUPT when something else stands there. */
export class PackReader {
  readonly #buffer: Buffer;
  #at: number;

  /** @param start Where in `bytes` the record begins. */
  constructor(bytes: Uint8Array, start = 0) {
    this.#at = start;
    this.#buffer = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  /** Takes a nil, if there is one, or the end. */
  nil(): boolean {
    if (this.#buffer[this.#at] !== 0xc0) return false;
    this.#at += 1;
    return true;
  }

  flag(): boolean {
    const code = this.#code();
    if (code === 0xc3) return true;
    return code === 0xc2 ? false : damaged('flag');
  }

  number(): number {
    const code = this.#code();
    if (code < 0x80) return code;
    if (code >= 0xe0) return code - 0x100;
    const at = this.#at;
    switch (code) {
      case 0xcb:
        return this.#buffer.readDoubleBE(this.#pass(8));
      case 0xcc:
        return this.#buffer[this.#pass(1)] as number;
      case 0xcd:
        return this.#buffer.readUInt16BE(this.#pass(2));
      case 0xce:
        return this.#buffer.readUInt32BE(this.#pass(4));
      case 0xd0:
        return this.#buffer.readInt8(this.#pass(1));
      case 0xd1:
        return this.#buffer.readInt16BE(this.#pass(2));
      case 0xd2:
        return this.#buffer.readInt32BE(this.#pass(4));
      default:
        this.#at = at;
        return damaged('number');
    }
  }

  text(): string {
    const code = this.#code();
    const size = code >= 0xa0 && code < 0xc0 ? code & 31 : this.#size(code, 0xd9, 0xda, 'text');
    const start = this.#pass(size);
    if (size <= SHORT_TEXT_BYTES_MAX) return shortText(this.#buffer, start, this.#at);
    return this.#buffer.toString('utf8', start, this.#at);
  }

  /** @returns how many items follow. */
  array(what: string): number {
    const code = this.#code();
    return code >= 0x90 && code < 0xa0 ? code & 15 : this.#size(code, undefined, 0xdc, what);
  }

  /** @returns how many entries follow. */
  map(what: string): number {
    const code = this.#code();
    return code >= 0x80 && code < 0x90 ? code & 15 : this.#size(code, undefined, 0xde, what);
  }

  /** A text, a number or a flag. */
  scalar(): string | number | boolean {
    const code = this.#buffer[this.#at] ?? 0;
    if (code === 0xc2 || code === 0xc3) return this.flag();
    return (code >= 0xa0 && code < 0xc0) || (code >= 0xd9 && code <= 0xdb) ? this.text() : this.number();
  }

  end(): void {
    if (this.#at !== this.#buffer.length) damaged('end');
  }

  #size(code: number, form8: number | undefined, form16: number, what: string): number {
    if (code === form8) return this.#buffer[this.#pass(1)] as number;
    if (code === form16) return this.#buffer.readUInt16BE(this.#pass(2));
    return code === form16 + 1 ? this.#buffer.readUInt32BE(this.#pass(4)) : damaged(what);
  }

  #code(): number {
    return this.#buffer[this.#pass(1)] as number;
  }

  /** @returns where the bytes begin that are passed over. */
  #pass(bytes: number): number {
    const start = this.#at;
    if (start + bytes > this.#buffer.length) damaged('record');
    this.#at = start + bytes;
    return start;
  }
}

function damaged(what: string): never {
  throw new SluiceError('CORRUPT', `A stored ${what} is something else, or cut: the record is damaged`);
}
