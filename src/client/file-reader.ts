import { setMaxListeners } from 'node:events';
import { SluiceError } from '../model/errors.ts';
import type { FileStatus } from '../model/status.ts';
import type { ByteRange } from '../wire/block-range.ts';
import type { BlockReader } from './block-reader.ts';

export interface FileReaderOptions {
  /** Bytes that are asked of a worker at a time. */
  readonly rangeBytes: number;
  /** Ranges that are under way at a time. */
  readonly readAhead: number;
  /** Asks the masters what the UFS has at the path now. */
  statAgain(): Promise<FileStatus>;
}

/** The bytes `start` up to but not including `end` of a stream; absent ends are those of the file. */
export interface StreamRange {
  readonly start?: number;
  readonly end?: number;
  readonly signal?: AbortSignal;
}

/** Largest piece that `read` gives in one buffer. */
const MAX_READ_BYTES = 2 ** 31 - 1;

/**
 * Reads one complete file: any range, or a stream that fetches ahead. All bytes come from one version of the content:
 * when the UFS gets another one before any byte was handed out, that one is read; later, reading fails with STALE.
 *
 * @example
 * const reader = await files.open('/data/a.parquet');
 * const footer = await reader.read(reader.status.lengthBytes - 8, 8);
 * for await (const bytes of reader.stream({ start: 4 })) consume(bytes);
 * await reader.close();
 */
export class FileReader {
  readonly #blocks: BlockReader;
  readonly #options: FileReaderOptions;
  readonly #abort = new AbortController();
  #status: FileStatus;
  #delivered = false;

  constructor(status: FileStatus, blocks: BlockReader, options: FileReaderOptions) {
    this.#status = status;
    this.#blocks = blocks;
    this.#options = options;
    listenedByMany(this.#abort.signal);
  }

  /** The file whose content is read. */
  get status(): FileStatus {
    return this.#status;
  }

  /**
   * Up to `length` bytes from `offset`: less at the end of the file, none behind it. The caller owns them.
   * @throws SluiceError STALE, UNAVAILABLE, CORRUPT, INVALID_ARGUMENT when offset or length is none.
   */
  async read(offset: number, length: number, options: { readonly signal?: AbortSignal } = {}): Promise<Uint8Array> {
    checkCount('offset', offset, Number.MAX_SAFE_INTEGER);
    checkCount('length', length, MAX_READ_BYTES);
    const range = { start: offset, end: offset + length };
    for (let attempt = 1; ; attempt++) {
      const status = this.#status;
      try {
        const bytes = await this.#whole(status, range, options.signal);
        this.#delivered ||= bytes.length > 0;
        return bytes;
      } catch (thrown) {
        // Nothing is handed out before everything is there, so that a new version can still be taken.
        if (!(thrown instanceof SluiceError) || thrown.code !== 'STALE') throw thrown;
        if (this.#delivered || attempt > 1) throw changed(status, thrown);
        await this.#renew(thrown);
      }
    }
  }

  /** The bytes of a range, in order, in pieces of a few MiB; fetches ahead, but no more than is taken. */
  async *stream(range: StreamRange = {}): AsyncGenerator<Uint8Array> {
    const { start = 0, end = Number.MAX_SAFE_INTEGER, signal } = range;
    checkCount('start', start, Number.MAX_SAFE_INTEGER);
    checkCount('end', end, Number.MAX_SAFE_INTEGER);
    for (let attempt = 1; ; attempt++) {
      const status = this.#status;
      try {
        for await (const bytes of this.#ahead(status, { start, end }, signal)) {
          this.#delivered = true;
          yield bytes;
        }
        return;
      } catch (thrown) {
        if (!(thrown instanceof SluiceError) || thrown.code !== 'STALE') throw thrown;
        if (this.#delivered || attempt > 1) throw changed(status, thrown);
        await this.#renew(thrown);
      }
    }
  }

  /** Gives up what is under way; reading after it fails with CANCELLED. */
  close(): Promise<void> {
    this.#abort.abort();
    return Promise.resolve();
  }

  /** All bytes of a range in one piece of memory, each part read to its place in it. */
  async #whole(status: FileStatus, range: ByteRange, outer: AbortSignal | undefined): Promise<Uint8Array> {
    this.#checkOpen(status, outer);
    const end = Math.min(range.end, status.lengthBytes);
    const bytes = Buffer.allocUnsafeSlow(Math.max(0, end - range.start));
    const parts = split(status, range, this.#options.rangeBytes);
    const first = parts.next();
    if (first.done === true) return bytes;
    const read = (part: ByteRange, signal: AbortSignal): Promise<void> =>
      this.#blocks.read(status, part, bytes.subarray(part.start - range.start, part.end - range.start), signal);
    if (first.value.end === end) {
      // Most reads are one part: they need no signal of their own.
      const signal = outer === undefined ? this.#abort.signal : AbortSignal.any([this.#abort.signal, outer]);
      await read(first.value, signal);
      return bytes;
    }
    const stop = new AbortController();
    const signal = AbortSignal.any([stop.signal, this.#abort.signal, ...(outer === undefined ? [] : [outer])]);
    listenedByMany(signal);
    const lane = async (): Promise<void> => {
      for (const part of parts) await read(part, signal);
    };
    const lanes = Array.from({ length: this.#options.readAhead - 1 }, lane);
    try {
      await Promise.all([read(first.value, signal).then(lane), ...lanes]);
    } finally {
      stop.abort();
    }
    return bytes;
  }

  /** Keeps a window of ranges under way and hands them out in order. */
  async *#ahead(status: FileStatus, range: ByteRange, outer: AbortSignal | undefined): AsyncGenerator<Uint8Array> {
    this.#checkOpen(status, outer);
    const stop = new AbortController();
    const signal = AbortSignal.any([stop.signal, this.#abort.signal, ...(outer === undefined ? [] : [outer])]);
    listenedByMany(signal);
    const parts = split(status, range, this.#options.rangeBytes);
    const window: Promise<Uint8Array>[] = [];
    try {
      for (;;) {
        while (window.length < this.#options.readAhead) {
          const next = parts.next();
          if (next.done === true) break;
          const bytes = this.#part(status, next.value, signal);
          // A failure is reported when its turn comes; until then it must not count as unhandled.
          bytes.catch(() => undefined);
          window.push(bytes);
        }
        const first = window.shift();
        if (first === undefined) return;
        yield await first;
      }
    } finally {
      stop.abort();
    }
  }

  async #part(status: FileStatus, part: ByteRange, signal: AbortSignal): Promise<Uint8Array> {
    const bytes = Buffer.allocUnsafeSlow(part.end - part.start);
    await this.#blocks.read(status, part, bytes, signal);
    return bytes;
  }

  #checkOpen(status: FileStatus, outer: AbortSignal | undefined): void {
    if (this.#abort.signal.aborted || outer?.aborted === true)
      throw new SluiceError('CANCELLED', `Reading ${status.path} was given up`);
  }

  async #renew(cause: SluiceError): Promise<void> {
    const now = await this.#options.statAgain();
    const before = this.#status;
    if (now.kind !== 'file' || now.id !== before.id || !now.complete || now.version === before.version)
      throw changed(before, cause);
    this.#status = now;
  }
}

/** The parts of a range that lie in the file, none across the border of a block. */
function* split(status: FileStatus, range: ByteRange, rangeBytes: number): Generator<ByteRange> {
  const last = Math.min(range.end, status.lengthBytes);
  for (let start = range.start; start < last; ) {
    const blockEnd = (Math.floor(start / status.blockSizeBytes) + 1) * status.blockSizeBytes;
    const end = Math.min(start + rangeBytes, blockEnd, last);
    yield { start, end };
    start = end;
  }
}

/** Each range under way listens; that is no leak, of which Node would warn. */
function listenedByMany(signal: AbortSignal): void {
  setMaxListeners(0, signal);
}

function changed(status: FileStatus, cause: SluiceError): SluiceError {
  const message = `${status.path} was changed in the UFS while it was read: open it again`;
  return new SluiceError('STALE', message, { cause });
}

function checkCount(what: string, value: number, max: number): void {
  if (Number.isSafeInteger(value) && value >= 0 && value <= max) return;
  throw new SluiceError('INVALID_ARGUMENT', `The ${what} of a read must be a whole number from 0 to ${max}: ${value}`);
}
