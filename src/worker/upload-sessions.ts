import { randomUUID } from 'node:crypto';
import type { CancelTimer, Clock, Timers } from '../base/clock.ts';
import type { PageStore } from '../cache/page-store.ts';
import type { Logger } from '../host/logger.ts';
import type { UfsFact } from '../model/command.ts';
import { SluiceError } from '../model/errors.ts';
import { type AppendUpload, type OpenUpload, stagedVersion, type UploadOpened } from '../wire/block-protocol.ts';
import type { ByteBudget } from './byte-budget.ts';
import type { MountTable } from './mount-table.ts';
import { Upload } from './upload.ts';
import { UploadStaging } from './upload-staging.ts';
import type { WorkerMetrics } from './worker-metrics.ts';

export interface UploadSessionsOptions {
  readonly mounts: MountTable;
  readonly store: PageStore;
  /** For pages that pass by on their way into the cache. */
  readonly budget: ByteBudget;
  readonly maxOpen: number;
  readonly idleMs: number;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly metrics: WorkerMetrics;
  readonly logger: Logger;
}

interface Session {
  readonly upload: Upload;
  usedMs: number;
}

/**
 * Completed uploads are remembered, so that a lost reply can be asked for again; not more than this times the open
 * ones.
 */
const REMEMBERED_FACTOR = 8;

/** The uploads of a worker by id. Idle ones are aborted, completed ones forgotten after the same time. */
export class UploadSessions {
  readonly #options: UploadSessionsOptions;
  readonly #sessions = new Map<string, Session>();
  readonly #cancelSweep: CancelTimer;
  #opening = 0;
  #closed = false;

  constructor(options: UploadSessionsOptions) {
    this.#options = options;
    this.#cancelSweep = options.timers.every(Math.max(50, options.idleMs / 4), () => this.#sweep());
  }

  /**
   * @param first what the file begins with; when it cannot be appended there is no upload
   * @throws READ_ONLY, EXHAUSTED, UNAVAILABLE, and what the UFS says.
   */
  async open(request: OpenUpload, first?: AsyncIterable<Uint8Array>): Promise<UploadOpened> {
    const opened = await this.#open(request);
    if (first === undefined) return opened;
    const { uploadId } = opened;
    const { cache = false } = request;
    try {
      await this.append({ kind: 'appendUpload', uploadId, block: 0, offset: 0, cache }, first);
      return opened;
    } catch (thrown) {
      await this.abort(uploadId).catch((err: unknown) => {
        this.#options.logger.error({ err, upload: uploadId }, 'an upload that failed could not be aborted');
      });
      throw thrown;
    }
  }

  async #open(request: OpenUpload): Promise<UploadOpened> {
    const { mounts, store, budget, metrics, logger, maxOpen } = this.#options;
    if (this.#closed) throw new SluiceError('UNAVAILABLE', 'This worker is closing: ask another one');
    let open = this.#opening;
    for (const { upload } of this.#sessions.values()) if (upload.open) open += 1;
    if (open >= maxOpen)
      throw new SluiceError(
        'EXHAUSTED',
        `This worker has ${maxOpen} uploads open: try later, or raise worker.upload.max`,
      );
    const lease = mounts.acquire(request.mount);
    this.#opening += 1;
    try {
      if (lease.readOnly)
        throw new SluiceError(
          'READ_ONLY',
          `${lease.ufs.uri} is mounted read-only: unmount it and mount it without --readonly`,
        );
      const { fileId, path, blockSize, mode, owner, group } = request;
      const attributes = {
        ...(mode === undefined ? {} : { mode }),
        ...(owner === undefined ? {} : { owner }),
        ...(group === undefined ? {} : { group }),
      };
      const writer = await lease.ufs.create(path, attributes);
      const id = randomUUID();
      const version = stagedVersion(id);
      const staging = new UploadStaging(store, budget, logger, { fileId, version });
      const upload = new Upload({ id, path, blockSize, writer, staging, lease });
      // The worker may have begun to close while the UFS answered.
      if (this.#closed) {
        await upload.abort();
        throw new SluiceError('UNAVAILABLE', 'This worker is closing: ask another one');
      }
      this.#sessions.set(id, { upload, usedMs: this.#options.clock.monotonicMs() });
      this.#forgetOldest();
      metrics.uploadsOpened.add(1);
      return { uploadId: id, stagedVersion: version };
    } catch (thrown) {
      lease.release();
      throw thrown;
    } finally {
      this.#opening -= 1;
    }
  }

  /** @throws NOT_FOUND for an unknown upload. */
  async append(request: AppendUpload, chunks: AsyncIterable<Uint8Array>): Promise<void> {
    const { metrics } = this.#options;
    const counted = async function* (): AsyncGenerator<Uint8Array> {
      for await (const chunk of chunks) {
        yield chunk;
        metrics.ufsWrittenBytes.add(chunk.length);
      }
    };
    await this.#use(request.uploadId, (upload) =>
      upload.append(request.block, request.offset, request.cache, counted()),
    );
  }

  async complete(uploadId: string, lengthBytes: number): Promise<UfsFact> {
    return this.#use(uploadId, async (upload) => {
      const first = upload.open;
      const fact = await upload.complete(lengthBytes);
      if (first) this.#options.metrics.uploadsCompleted.add(1);
      return fact;
    });
  }

  /** An unknown upload is no error. */
  async abort(uploadId: string): Promise<void> {
    const session = this.#sessions.get(uploadId);
    if (session === undefined) return;
    this.#sessions.delete(uploadId);
    await this.#abort(session.upload);
  }

  async #abort(upload: Upload): Promise<void> {
    if (upload.open) this.#options.metrics.uploadsAborted.add(1);
    await upload.abort();
  }

  async #use<T>(uploadId: string, task: (upload: Upload) => Promise<T>): Promise<T> {
    const session = this.#sessions.get(uploadId);
    if (session === undefined)
      throw new SluiceError(
        'NOT_FOUND',
        `Upload ${uploadId.slice(0, 64)} is unknown here: it was aborted, was idle for too long, ` +
          'or the worker restarted; begin a new one',
      );
    try {
      return await task(session.upload);
    } finally {
      session.usedMs = this.#options.clock.monotonicMs();
    }
  }

  #forgetOldest(): void {
    for (const [id, { upload }] of this.#sessions) {
      if (this.#sessions.size <= this.#options.maxOpen * REMEMBERED_FACTOR) return;
      if (!upload.open) this.#sessions.delete(id);
    }
  }

  #sweep(): void {
    const { clock, idleMs, logger } = this.#options;
    const now = clock.monotonicMs();
    for (const [id, session] of this.#sessions) {
      if (session.upload.busy || now - session.usedMs < idleMs) continue;
      this.#sessions.delete(id);
      if (!session.upload.open) continue;
      logger.warn({ upload: id, idleMs }, 'aborted an upload that nobody continued');
      this.#abort(session.upload).catch((thrown: unknown) => {
        logger.error({ err: thrown, upload: id }, 'an idle upload could not be aborted');
      });
    }
  }

  /** Aborts all open uploads. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#cancelSweep();
    const sessions = [...this.#sessions.values()];
    this.#sessions.clear();
    await Promise.all(sessions.map(({ upload }) => this.#abort(upload)));
  }
}
