import { must } from '../base/assert.ts';
import type { Logger } from '../host/logger.ts';
import { SluiceError } from '../model/errors.ts';
import type { FileStatus } from '../model/status.ts';
import type { UploadOpened } from '../wire/block-protocol.ts';
import type { BlockClient } from './block-client.ts';
import type { BlockRouter } from './block-router.ts';
import type { BlockSink, Chunk, WrittenContent } from './block-sink.ts';

interface Upload extends UploadOpened {
  /** The worker that writes to the UFS. */
  readonly address: string;
}

/** Where the pages of the current block are cached. */
interface CacheHome {
  readonly block: number;
  /** Undefined: nowhere, its worker failed or none is live. */
  readonly address: string | undefined;
}

/** A chunk whose connection broke is sent again so often, from where the worker has got to. */
const ATTEMPTS = 4;

/**
 * Writes content to the UFS through the worker of block 0, and, with CACHE_THROUGH, the pages of each block to the
 * worker that will be asked for them. The UFS decides whether the write succeeds; what cannot be cached is left out.
 */
export class UploadSink implements BlockSink {
  readonly #status: FileStatus;
  readonly #router: BlockRouter;
  readonly #client: BlockClient;
  readonly #logger: Logger | undefined;
  readonly #cached: boolean;
  /** Workers, beside the uploading one, that hold staged pages. */
  readonly #staged = new Set<string>();
  #upload: Upload | undefined;
  /** Empty until an upload was opened. */
  #stagedVersion = '';
  #home: CacheHome = { block: -1, address: undefined };

  constructor(status: FileStatus, router: BlockRouter, client: BlockClient, logger: Logger | undefined) {
    this.#status = status;
    this.#router = router;
    this.#client = client;
    this.#logger = logger;
    this.#cached = status.writeType === 'CACHE_THROUGH';
  }

  async append(chunk: Chunk): Promise<void> {
    if (this.#upload === undefined) {
      await this.#open(chunk.bytes);
      return;
    }
    const upload = this.#upload;
    if (this.#cached && this.#home.block !== chunk.block) this.#home = await this.#homeOf(chunk.block);
    const home = this.#home.address;
    const here = this.#cached && home === upload.address;
    const staged = home === undefined || here ? undefined : this.#stage(home, chunk, upload.stagedVersion);
    const sent = this.#send(upload, chunk, here);
    // Both are awaited although one fails, so that nothing is under way when the sink is aborted.
    const [result] = await Promise.allSettled([sent, staged]);
    if (result.status === 'rejected') throw result.reason;
  }

  async finish(lengthBytes: number): Promise<WrittenContent> {
    const { address, uploadId } = this.#upload ?? (await this.#open(undefined));
    for (let attempt = 1; ; attempt++) {
      try {
        const fact = await this.#client.completeUpload(address, {
          kind: 'completeUpload',
          uploadId,
          length: lengthBytes,
        });
        this.#upload = undefined;
        return { ufsVersion: fact.version, ufsModifiedMs: fact.modifiedMs };
      } catch (thrown) {
        const error = SluiceError.from(thrown);
        if (error.details['unreachable'] !== true || attempt >= ATTEMPTS)
          throw this.#failed(address, error, 'may or may not be in the UFS');
      }
    }
  }

  async published(content: WrittenContent): Promise<void> {
    const { id } = this.#status;
    const to = content.ufsVersion;
    const from = this.#stagedVersion;
    await this.#quietly('staged pages were not taken into the cache', (address) =>
      this.#client.adopt(address, { kind: 'adoptContent', fileId: id, from, to, protect: false }),
    );
  }

  async abort(): Promise<void> {
    const upload = this.#upload;
    this.#upload = undefined;
    if (this.#stagedVersion === '') return;
    await this.#quietly('staged pages of an aborted file stay until they are evicted', (address) =>
      this.#client.drop(address, this.#status.id, this.#stagedVersion),
    );
    if (upload === undefined) return;
    await this.#client.abortUpload(upload.address, upload.uploadId).catch((err: unknown) => {
      const { path } = this.#status;
      this.#logger?.debug({ err, path, worker: upload.address }, 'upload was not aborted, the worker will do it');
    });
  }

  /**
   * Begins the upload, with the first chunk if there is one, at the first worker that takes it. Those whose connection
   * broke or stood still, perhaps in the middle of the chunk, are asked once more.
   */
  async #open(first: Uint8Array | undefined): Promise<Upload> {
    const { id, mode, owner, group, mountId, ufsPath, blockSizeBytes, path } = this.#status;
    const request = {
      kind: 'openUpload',
      fileId: id,
      mount: mountId,
      path: ufsPath,
      blockSize: blockSizeBytes,
      ...(first === undefined ? {} : { cache: this.#cached }),
    } as const;
    const all = await this.#router.candidates(id, 0);
    const failures: SluiceError[] = [];
    const live = all.flatMap(({ state, address }) => (state === 'live' ? [address] : []));
    const again: string[] = [];
    for (let next = 0; next < live.length + again.length; next += 1) {
      const address = must(live[next] ?? again[next - live.length], 'Workers were counted');
      try {
        const opened = await this.#client.openUpload(address, { ...request, mode, owner, group }, first);
        this.#router.reached(address);
        this.#stagedVersion = opened.stagedVersion;
        this.#upload = { ...opened, address };
        if (this.#cached) this.#home = { block: 0, address };
        return this.#upload;
      } catch (thrown) {
        const error = SluiceError.from(thrown);
        if (error.details['unreachable'] === true) this.#router.failed(address);
        if (!['UNAVAILABLE', 'TIMED_OUT', 'EXHAUSTED', 'INTERNAL', 'CORRUPT'].includes(error.code)) throw error;
        failures.push(error);
        if (error.details['unreachable'] === true && next < live.length) again.push(address);
      }
    }
    const last = failures.at(-1);
    const said = new Set(failures.map((error) => error.message));
    const why = last === undefined ? 'no worker is live, start one' : [...said].join('; ');
    const message = `Cannot write ${path} to the UFS through any worker: ${why}`;
    throw new SluiceError(last?.code ?? 'UNAVAILABLE', message, last === undefined ? {} : { cause: last });
  }

  async #homeOf(block: number): Promise<CacheHome> {
    const all = await this.#router.candidates(this.#status.id, block);
    return { block, address: all.find((worker) => worker.state === 'live')?.address };
  }

  /** Appends from where the worker has got to, however often the connection breaks. */
  async #send(upload: Upload, chunk: Chunk, cache: boolean): Promise<void> {
    const { address, uploadId } = upload;
    const begin = chunk.block * this.#status.blockSizeBytes + chunk.offset;
    let done = 0;
    for (let attempt = 1; done < chunk.bytes.length; attempt++) {
      const offset = chunk.offset + done;
      try {
        const request = { kind: 'appendUpload', uploadId, block: chunk.block, offset, cache } as const;
        await this.#client.append(address, request, chunk.bytes.subarray(done));
        return;
      } catch (thrown) {
        const error = SluiceError.from(thrown);
        const position = error.code === 'INVALID_ARGUMENT' ? error.details['position'] : undefined;
        const broken = error.details['unreachable'] === true;
        if ((!broken && typeof position !== 'number') || attempt >= ATTEMPTS)
          throw this.#failed(address, error, 'is not in the UFS');
        if (typeof position !== 'number') continue;
        if (position < begin + done || position > begin + chunk.bytes.length)
          throw this.#failed(address, error, 'is not in the UFS');
        done = position - begin;
      }
    }
  }

  #failed(address: string, error: SluiceError, fate: string): SluiceError {
    if (error.details['unreachable'] === true) this.#router.failed(address);
    const message = `Worker ${address}, which was writing ${this.#status.path} to the UFS, failed: ${error.message}`;
    return new SluiceError(error.code, `${message}; the file ${fate}, write it again`, { cause: error });
  }

  /** Puts pages where they will be asked for. After a failure the rest of the block is not cached. */
  async #stage(address: string, chunk: Chunk, version: string): Promise<void> {
    const { block, offset, bytes } = chunk;
    const request = { kind: 'writeBlock', fileId: this.#status.id, block, version, offset, protect: false } as const;
    this.#staged.add(address);
    try {
      await this.#client.write(address, request, bytes);
    } catch (thrown) {
      const err = SluiceError.from(thrown);
      if (err.details['unreachable'] === true) this.#router.failed(address);
      this.#home = { block, address: undefined };
      this.#logger?.debug({ err, path: this.#status.path, worker: address, block }, 'block was not cached');
    }
  }

  async #quietly(message: string, act: (address: string) => Promise<void>): Promise<void> {
    const { path } = this.#status;
    await Promise.all(
      [...this.#staged].map((address) =>
        act(address).catch((err: unknown) => this.#logger?.debug({ err, path, worker: address }, message)),
      ),
    );
  }
}
