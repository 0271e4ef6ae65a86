import type { OpenFile } from '../host/file-operations.ts';
import { SluiceError } from '../model/errors.ts';
import {
  decodeFrameHeader,
  FRAME_ALIGNMENT,
  FRAME_MAGIC,
  type FrameHeader,
  MAX_FRAME_HEADER_BYTES,
} from '../wire/codec/segment-record.ts';

const WINDOW_BYTES = 1024 * 1024;

/** A file that is read from its beginning to its end, in large pieces. */
export class SegmentWindow {
  readonly bytes: number;
  readonly #file: OpenFile;
  #window: Buffer = Buffer.alloc(0);
  #start = 0;

  constructor(file: OpenFile, bytes: number) {
    this.#file = file;
    this.bytes = bytes;
  }

  /** What the file has from `offset` on: at least `wanted` bytes, fewer only at its end. */
  async at(offset: number, wanted: number): Promise<Buffer> {
    const end = Math.min(offset + wanted, this.bytes);
    if (offset < this.#start || end > this.#start + this.#window.length) {
      const length = Math.max(0, Math.min(Math.max(wanted, WINDOW_BYTES), this.bytes - offset));
      const window = Buffer.allocUnsafe(length);
      const found = await this.#file.read(window, offset);
      if (found < length)
        throw new SluiceError('CORRUPT', `A journal file ended at byte ${offset + found} while it was read`);
      this.#window = window;
      this.#start = offset;
    }
    return this.#window.subarray(offset - this.#start);
  }
}

/** Finds headers of frames wherever they are. */
export class FrameSearch {
  readonly #window: SegmentWindow;
  readonly #salt: number;

  constructor(window: SegmentWindow, salt: number) {
    this.#window = window;
    this.#salt = salt;
  }

  /** All headers from `offset`, which is aligned, on. */
  async *from(offset: number): AsyncGenerator<{ readonly offset: number; readonly header: FrameHeader }> {
    for (let at = offset; at < this.#window.bytes; ) {
      const bytes = await this.#window.at(at, Math.max(MAX_FRAME_HEADER_BYTES, WINDOW_BYTES));
      const whole = at + bytes.length >= this.#window.bytes;
      // A header that begins near the end of this piece is found in the next one.
      const limit = whole ? bytes.length : bytes.length - MAX_FRAME_HEADER_BYTES;
      for (let found = bytes.indexOf(FRAME_MAGIC); found >= 0 && found < limit; ) {
        const header = found % FRAME_ALIGNMENT === 0 ? decodeFrameHeader(bytes, found, this.#salt) : undefined;
        if (header !== undefined) yield { offset: at + found, header };
        found = bytes.indexOf(FRAME_MAGIC, found + 1);
      }
      at += whole ? bytes.length : Math.floor(limit / FRAME_ALIGNMENT) * FRAME_ALIGNMENT;
    }
  }
}
