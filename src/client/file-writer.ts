import { SluiceError } from '../model/errors.ts';
import type { FileStatus } from '../model/status.ts';
import { MAX_PAGE_SIZE_BYTES } from '../wire/block-protocol.ts';
import type { BlockSink, WrittenContent } from './block-sink.ts';
import { ChunkBuffer } from './chunk-buffer.ts';

/** What a writer asks of the masters. */
export interface FileWriterMasters {
  complete(lengthBytes: number, content: WrittenContent): Promise<FileStatus>;
  /** @throws SluiceError NOT_FOUND when the file was deleted or replaced since it was created. */
  check(): Promise<void>;
  /** Removes the file that was not completed, and only that. */
  remove(): Promise<void>;
}

/** A file that was made less than this ago is not looked for once more before it appears in the UFS. */
const YOUNG_MS = 100;

type State =
  | { readonly kind: 'open' }
  | { readonly kind: 'complete'; readonly status: FileStatus }
  | { readonly kind: 'aborted'; readonly error: SluiceError };

/**
 * Writes one new file, from its first byte to its last. It can be read once `close` has resolved. When anything fails
 * the write is aborted: the incomplete file is removed, nothing is published, and every further call fails with the
 * same error.
 *
 * @example
 * const writer = await files.create('/data/log', { writeType: 'CACHE_THROUGH' });
 * await writer.write(bytes);
 * const status = await writer.close();
 */
export class FileWriter {
  readonly #created: FileStatus;
  readonly #sink: BlockSink;
  readonly #masters: FileWriterMasters;
  readonly #buffer = new ChunkBuffer();
  readonly #madeMs = performance.now();
  #state: State = { kind: 'open' };
  /** Bytes that were taken; those before the buffer's were given to the sink. */
  #length = 0;
  /** The last chunk on its way: one is sent while the next is collected. */
  #sending: Promise<void> = Promise.resolve();
  /** Calls run one after the other. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(created: FileStatus, sink: BlockSink, masters: FileWriterMasters) {
    this.#created = created;
    this.#sink = sink;
    this.#masters = masters;
  }

  /** Path of the file. */
  get path(): string {
    return this.#created.path;
  }

  /** Bytes that were written so far. */
  get lengthBytes(): number {
    return this.#length;
  }

  /**
   * Appends bytes. Resolves when they were taken over, so that the caller may reuse its buffer; they are safe when
   * `close` has resolved. @throws SluiceError when any earlier byte could not be written; the write is aborted then.
   */
  write(bytes: Uint8Array): Promise<void> {
    return this.#run(async () => {
      this.#assertOpen();
      await this.#undoing(() => this.#take(bytes));
    });
  }

  /** Writes the rest of the file, then makes it complete and visible. @throws SluiceError; the write is aborted */
  writeWhole(bytes: Uint8Array): Promise<FileStatus> {
    return this.#run(async () => {
      this.#assertOpen();
      return this.#undoing(async () => {
        const isOneChunk = this.#length === 0 && bytes.length <= this.#chunkLimit();
        await this.#take(bytes);
        return this.#complete(isOneChunk);
      });
    });
  }

  /**
   * Makes the file complete and visible. A second call gives the same status. @throws SluiceError; the write is
   * aborted.
   */
  close(): Promise<FileStatus> {
    return this.#run(async () => {
      if (this.#state.kind === 'complete') return this.#state.status;
      this.#assertOpen();
      return this.#undoing(() => this.#complete(false));
    });
  }

  /** Removes what was written; does nothing to a complete file. */
  abort(): Promise<void> {
    return this.#run(async () => {
      if (this.#state.kind !== 'open') return;
      await this.#sending.catch(() => undefined);
      await this.#undo(new SluiceError('CANCELLED', `Writing ${this.path} was aborted`));
    });
  }

  #run<T>(act: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(act);
    this.#turn = result.catch(() => undefined);
    return result;
  }

  #assertOpen(): void {
    if (this.#state.kind === 'aborted') throw this.#state.error;
    if (this.#state.kind === 'complete')
      throw new SluiceError('INVALID_ARGUMENT', `${this.path} is complete: it cannot be written any more`);
  }

  async #take(bytes: Uint8Array): Promise<void> {
    for (let taken = 0; taken < bytes.length; ) {
      const limit = this.#chunkLimit();
      const piece = bytes.subarray(taken, taken + limit - this.#buffer.length);
      this.#buffer.push(piece, limit);
      this.#length += piece.length;
      taken += piece.length;
      if (this.#buffer.length === limit) await this.#flush();
    }
  }

  /** @param brief all of the file goes out in one chunk: if that is soon over, nobody asks whether it still exists */
  async #complete(brief: boolean): Promise<FileStatus> {
    if (this.#buffer.length > 0) await this.#flush();
    // What somebody has deleted meanwhile must not appear in the UFS when the write ends.
    const persists = this.#created.writeType !== 'MUST_CACHE';
    const checked = persists && !brief ? this.#masters.check() : Promise.resolve();
    checked.catch(() => undefined);
    await this.#sending;
    await checked;
    if (persists && brief && performance.now() - this.#madeMs >= YOUNG_MS) await this.#masters.check();
    const content = await this.#sink.finish(this.#length);
    const [status] = await Promise.all([this.#masters.complete(this.#length, content), this.#sink.published(content)]);
    this.#state = { kind: 'complete', status };
    return status;
  }

  /** Bytes that the chunk now collected may have. */
  #chunkLimit(): number {
    const { blockSizeBytes } = this.#created;
    const offset = (this.#length - this.#buffer.length) % blockSizeBytes;
    return Math.min(MAX_PAGE_SIZE_BYTES, blockSizeBytes - offset);
  }

  async #flush(): Promise<void> {
    const { blockSizeBytes } = this.#created;
    const start = this.#length - this.#buffer.length;
    const bytes = this.#buffer.take();
    await this.#sending;
    const block = Math.floor(start / blockSizeBytes);
    this.#sending = this.#sink.append({ block, offset: start - block * blockSizeBytes, bytes });
    // A failure is reported by the next call; until then it must not count as unhandled.
    this.#sending.catch(() => undefined);
  }

  async #undoing<T>(act: () => Promise<T>): Promise<T> {
    try {
      return await act();
    } catch (thrown) {
      await this.#undo(SluiceError.from(thrown));
      throw thrown;
    }
  }

  /** Removes what is there, as far as it can be reached; the reason of the failure is what the caller must hear. */
  async #undo(error: SluiceError): Promise<void> {
    this.#state = { kind: 'aborted', error };
    this.#buffer.take();
    await this.#sink.abort();
    await this.#masters.remove();
  }
}
