import type { UfsFact } from '../model/command.ts';
import { SluiceError } from '../model/errors.ts';
import type { UfsWriter } from '../ufs/ufs.ts';
import type { UfsLease } from './mount-table.ts';
import type { UploadStaging } from './upload-staging.ts';

export interface UploadParts {
  readonly id: string;
  /** `path` of the file for messages. */
  readonly path: string;
  readonly blockSize: number;
  readonly writer: UfsWriter;
  readonly staging: UploadStaging;
  readonly lease: UfsLease;
}

/** A file on its way into a UFS. Its requests run one after the other: a client may repeat one that it gave up. */
export class Upload {
  readonly id: string;
  readonly #parts: UploadParts;
  /** Bytes that the writer has taken. */
  #position = 0;
  /** Requests that run or wait. */
  #requests = 0;
  #last: Promise<void> = Promise.resolve();
  /** The writer's last write, without its error: an abort must not run beside it. */
  #writing: Promise<void> = Promise.resolve();
  #completed: UfsFact | undefined;
  #ended = false;

  constructor(parts: UploadParts) {
    this.id = parts.id;
    this.#parts = parts;
  }

  get busy(): boolean {
    return this.#requests > 0;
  }

  /** Neither completed nor failed nor aborted: it holds a writer. */
  get open(): boolean {
    return !this.#ended;
  }

  /**
   * Appends chunks at `offset` of `block`. @throws INVALID_ARGUMENT with `details.position` when they are not the
   * next bytes.
   */
  async append(block: number, offset: number, cache: boolean, chunks: AsyncIterable<Uint8Array>): Promise<void> {
    const { path, blockSize, writer, staging } = this.#parts;
    await this.#alone(async () => {
      this.#checkOpen();
      if (block * blockSize + offset !== this.#position || offset >= blockSize)
        throw new SluiceError(
          'INVALID_ARGUMENT',
          `Upload of ${path} is at byte ${this.#position}, not at offset ${offset} of block ${block}: continue there`,
          { details: { position: this.#position } },
        );
      let within = offset;
      for await (const chunk of chunks) {
        if (within + chunk.length > blockSize)
          throw new SluiceError('INVALID_ARGUMENT', `Block ${block} of ${path} has ${blockSize} bytes, more were sent`);
        await this.#write(writer, chunk);
        this.#position += chunk.length;
        if (cache) await staging.take(block, within, chunk);
        within += chunk.length;
      }
    });
  }

  /** Ends the file and makes it visible. Repeated, it gives the same answer. */
  async complete(lengthBytes: number): Promise<UfsFact> {
    const { path, writer, staging, lease } = this.#parts;
    return this.#alone(async () => {
      if (this.#completed !== undefined) return this.#completed;
      this.#checkOpen();
      if (lengthBytes !== this.#position)
        throw new SluiceError(
          'INVALID_ARGUMENT',
          `Upload of ${path} has ${this.#position} bytes, not ${lengthBytes}: send the others first`,
          { details: { position: this.#position } },
        );
      this.#ended = true;
      try {
        // Nothing may be under way any more when the lease is released.
        const [ended, staged] = await Promise.allSettled([writer.complete(), staging.settleStaged()]);
        if (ended.status === 'rejected') throw ended.reason;
        if (staged.status === 'rejected') throw staged.reason;
        const fact = ended.value;
        await staging.adopt(fact.version);
        this.#completed = fact;
        return fact;
      } catch (thrown) {
        await staging.drop();
        throw thrown;
      } finally {
        lease.release();
      }
    });
  }

  /** Leaves no trace. Nothing happens when it is over already. */
  async abort(): Promise<void> {
    if (this.#ended) return;
    this.#ended = true;
    const { writer, staging, lease } = this.#parts;
    await this.#writing;
    try {
      await writer.abort();
    } finally {
      await staging.drop().finally(() => lease.release());
    }
  }

  #checkOpen(): void {
    if (!this.#ended) return;
    throw new SluiceError('NOT_FOUND', `Upload of ${this.#parts.path} was aborted or has failed: begin a new one`);
  }

  /** A writer that has failed cannot go on. */
  async #write(writer: UfsWriter, chunk: Uint8Array): Promise<void> {
    this.#checkOpen();
    const write = writer.write(chunk);
    this.#writing = write.catch(() => undefined);
    try {
      await write;
    } catch (thrown) {
      await this.abort();
      throw thrown;
    }
  }

  async #alone<T>(task: () => Promise<T>): Promise<T> {
    this.#requests += 1;
    const run = this.#last.then(task);
    this.#last = run.then(
      () => undefined,
      () => undefined,
    );
    try {
      return await run;
    } finally {
      this.#requests -= 1;
    }
  }
}
