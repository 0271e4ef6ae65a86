import type { Logger } from '../host/logger.ts';
import { SluiceError } from '../model/errors.ts';
import { cachedVersion } from '../model/inode.ts';
import type { FileStatus } from '../model/status.ts';
import type { BlockClient } from './block-client.ts';
import type { BlockRouter } from './block-router.ts';
import type { BlockSink, Chunk, WrittenContent } from './block-sink.ts';

/** A worker that has part of a block is asked so often before the write fails. */
const ATTEMPTS_MID_BLOCK = 3;

/**
 * Writes content that only workers have (MUST_CACHE). Each block is whole on one worker: the first on the ring that
 * takes its first chunk. Chunks are on that worker's disk when they are acknowledged, and are not kept here: when it
 * dies in the middle of a block, the write fails and says so.
 */
export class CachedSink implements BlockSink {
  readonly #status: FileStatus;
  readonly #router: BlockRouter;
  readonly #client: BlockClient;
  readonly #logger: Logger | undefined;
  /** Workers that may have pages of the file. */
  readonly #touched = new Set<string>();
  /** Who has the current block. */
  #home: { readonly block: number; readonly address: string } | undefined;

  constructor(status: FileStatus, router: BlockRouter, client: BlockClient, logger: Logger | undefined) {
    this.#status = status;
    this.#router = router;
    this.#client = client;
    this.#logger = logger;
  }

  async append(chunk: Chunk): Promise<void> {
    if (this.#home?.block === chunk.block) return this.#continue(this.#home.address, chunk);
    const all = await this.#router.candidates(this.#status.id, chunk.block);
    const live = all.filter((worker) => worker.state === 'live');
    const failures: SluiceError[] = [];
    for (const { address } of live) {
      const error = await this.#put(address, chunk);
      if (error === undefined) {
        this.#home = { block: chunk.block, address };
        return;
      }
      if (!isWorkersFault(error)) throw error;
      failures.push(error);
    }
    const last = failures.at(-1);
    const why = last === undefined ? 'no worker is live, start one' : failures.map((error) => error.message).join('; ');
    const message = `Cannot write block ${chunk.block} of ${this.#status.path} to any worker: ${why}`;
    throw new SluiceError(last?.code ?? 'UNAVAILABLE', message, last === undefined ? {} : { cause: last });
  }

  finish(): Promise<WrittenContent> {
    return Promise.resolve({ ufsVersion: '', ufsModifiedMs: -1 });
  }

  published(): Promise<void> {
    return Promise.resolve();
  }

  async abort(): Promise<void> {
    const { id, path } = this.#status;
    await Promise.all(
      [...this.#touched].map((address) =>
        this.#client.drop(address, id, cachedVersion(id)).catch((err: unknown) => {
          this.#logger?.debug(
            { err, path, worker: address },
            'pages of an aborted file stay until the master drops them',
          );
        }),
      ),
    );
  }

  /** The block has acknowledged chunks, so only its worker will do. */
  async #continue(address: string, chunk: Chunk): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      const error = await this.#put(address, chunk);
      if (error === undefined) return;
      if (isWorkersFault(error) && error.code !== 'EXHAUSTED' && attempt < ATTEMPTS_MID_BLOCK) continue;
      const where = `block ${chunk.block} of ${this.#status.path}`;
      const what = `Worker ${address} failed when it had the first ${chunk.offset} bytes of ${where}`;
      const message = `${what}, which exist nowhere else: write the file again, or use CACHE_THROUGH: ${error.message}`;
      throw new SluiceError(error.code, message, { cause: error });
    }
  }

  async #put(address: string, chunk: Chunk): Promise<SluiceError | undefined> {
    const { id } = this.#status;
    const { block, offset, bytes } = chunk;
    const request = { fileId: id, block, version: cachedVersion(id), offset, protect: true } as const;
    this.#touched.add(address);
    try {
      await this.#client.write(address, { kind: 'writeBlock', ...request }, bytes);
      this.#router.reached(address);
      return undefined;
    } catch (thrown) {
      const error = SluiceError.from(thrown);
      if (error.details['unreachable'] === true) this.#router.failed(address);
      return error;
    }
  }
}

/** Whether another worker, or the same a little later, may do better. */
function isWorkersFault(error: SluiceError): boolean {
  return ['UNAVAILABLE', 'TIMED_OUT', 'EXHAUSTED', 'INTERNAL', 'CORRUPT'].includes(error.code);
}
