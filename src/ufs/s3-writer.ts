import { assert } from '../base/assert.ts';
import type { UfsFact } from '../model/command.ts';
import { SluiceError } from '../model/errors.ts';
import { PartBuffer } from './part-buffer.ts';
import type { S3Connection } from './s3-connection.ts';
import { fileFact, headObject, refuseS3 } from './s3-object.ts';
import { MAX_PARTS, type PartRequest, S3Upload } from './s3-upload.ts';
import type { UfsWriter } from './ufs.ts';
import { baseName } from './ufs-path.ts';

/**
 * Parts double after so many: 8 MiB parts reach 5 TiB, and files below 8 GB have equal parts, as some servers demand.
 */
const PARTS_OF_ONE_SIZE = 1000;

/**
 * Writes an object: one PUT when it fits into a part, a multipart upload otherwise. Every request has its length.
 * Memory: the parts under way and the one being filled, (`s3.upload-parts` + 1) × `s3.part-size` for most files.
 */
export class S3Writer implements UfsWriter {
  readonly #connection: S3Connection;
  readonly #path: string;
  /** Refuses what must not be written there; runs while the first bytes come. */
  readonly #guard: Promise<SluiceError | undefined>;
  readonly #onVisible: () => void;
  #buffer: PartBuffer;
  #upload: S3Upload | undefined;
  #lengthBytes = 0;
  #ended = false;
  /** An object that lacks bytes must never be completed. */
  #failed = false;

  constructor(connection: S3Connection, path: string, guard: Promise<void>, onVisible: () => void) {
    this.#connection = connection;
    this.#path = path;
    this.#onVisible = onVisible;
    this.#guard = guard.then(
      () => undefined,
      (thrown: unknown) => SluiceError.from(thrown),
    );
    this.#buffer = new PartBuffer(connection.settings.partSize);
  }

  async write(chunk: Uint8Array): Promise<void> {
    assert(!this.#ended && !this.#failed, 'Write to a file that has ended or failed');
    try {
      for (let at = 0; at < chunk.byteLength; ) {
        // A full buffer goes only when more follows: a file of exactly one part is one PUT.
        if (this.#buffer.isFull) await this.#sendPart();
        at += this.#buffer.add(chunk.subarray(at));
      }
      this.#lengthBytes += chunk.byteLength;
    } catch (thrown) {
      this.#failed = true;
      throw thrown;
    }
  }

  async complete(): Promise<UfsFact> {
    assert(!this.#ended && !this.#failed, 'Completion of a file that has ended or failed');
    this.#ended = true;
    try {
      if (this.#upload === undefined) await this.#put();
      else {
        await this.#sendPart();
        await this.#upload.complete();
      }
    } catch (thrown) {
      await this.#upload?.abort();
      throw thrown;
    }
    this.#onVisible();
    return this.#look();
  }

  async abort(): Promise<void> {
    if (this.#ended) return;
    this.#ended = true;
    await this.#upload?.abort();
  }

  async #put(): Promise<void> {
    await this.#passGuard();
    const body = this.#buffer.content();
    const input = {
      Bucket: this.#connection.bucket,
      Key: this.#connection.key(this.#path),
      Body: body,
      ContentLength: body.byteLength,
    };
    await this.#connection.send(this.#path, undefined, (s3) => s3.putObject(input));
  }

  async #sendPart(): Promise<void> {
    if (this.#upload === undefined) {
      await this.#passGuard();
      this.#upload = await S3Upload.begin(this.#connection, this.#path, {});
    }
    if (this.#upload.begun === MAX_PARTS) {
      const says = `has ${MAX_PARTS} parts, as many as S3 takes: raise s3.part-size`;
      throw new SluiceError('EXHAUSTED', `${this.#connection.uriOf(this.#path)} ${says}`);
    }
    const { partSize, uploadParts } = this.#connection.settings;
    const body = this.#buffer.content();
    const limit = Math.max(1, Math.floor((uploadParts * partSize) / body.byteLength));
    this.#buffer = new PartBuffer(partSize * 2 ** Math.floor((this.#upload.begun + 1) / PARTS_OF_ONE_SIZE));
    await this.#upload.add(Math.min(limit, uploadParts), this.#partOf(body));
  }

  #partOf(body: Buffer): PartRequest {
    return async ({ signal, ...target }) => {
      const input = { ...target, Body: body, ContentLength: body.byteLength };
      const said = await this.#connection.send(this.#path, signal, (s3, options) => s3.uploadPart(input, options));
      return said.ChecksumCRC32 === undefined
        ? { ETag: said.ETag }
        : { ETag: said.ETag, ChecksumCRC32: said.ChecksumCRC32 };
    };
  }

  async #passGuard(): Promise<void> {
    const refusal = await this.#guard;
    if (refusal !== undefined) throw refusal;
  }

  /** Answers to uploads tell no time, and some no ETag: what `stat` would say is asked for. */
  async #look(): Promise<UfsFact> {
    const object = await headObject(this.#connection, this.#path, undefined);
    if (object === undefined) {
      throw refuseS3(this.#connection, 'NOT_FOUND', this.#path, 'has vanished just after it was written');
    }
    if (object.lengthBytes !== this.#lengthBytes) {
      const fields = {
        object: this.#connection.uriOf(this.#path),
        written: this.#lengthBytes,
        found: object.lengthBytes,
      };
      this.#connection.logger.warn(fields, 'object was replaced by someone else just after it was written');
    }
    return fileFact(baseName(this.#path), object);
  }
}
