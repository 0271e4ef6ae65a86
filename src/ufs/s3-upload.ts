import { createHash } from 'node:crypto';
import type { CompletedPart, CreateMultipartUploadRequest } from '@aws-sdk/client-s3';
import type { S3Connection } from './s3-connection.ts';
import { s3CodeOf, s3Error } from './s3-errors.ts';
import { bareEtag, headObject, refuseS3 } from './s3-object.ts';

/** Parts that one upload may have. */
export const MAX_PARTS = 10_000;

/** How to send one part: its bytes, or a range of another object. */
export type PartRequest = (part: {
  readonly Bucket: string;
  readonly Key: string;
  readonly UploadId: string;
  readonly PartNumber: number;
  readonly signal: AbortSignal;
}) => Promise<Omit<CompletedPart, 'PartNumber'>>;

/** A multipart upload to one key. Nothing is visible before `complete`. */
export class S3Upload {
  readonly #connection: S3Connection;
  readonly #path: string;
  readonly #id: string;
  readonly #parts: CompletedPart[] = [];
  readonly #flights = new Set<Promise<void>>();
  readonly #aborter = new AbortController();
  #failure: { readonly thrown: unknown } | undefined;
  #begun = 0;

  private constructor(connection: S3Connection, path: string, id: string) {
    this.#connection = connection;
    this.#path = path;
    this.#id = id;
  }

  static async begin(
    connection: S3Connection,
    path: string,
    metadata: Partial<CreateMultipartUploadRequest>,
    signal?: AbortSignal,
  ): Promise<S3Upload> {
    const input = { ...metadata, Bucket: connection.bucket, Key: connection.key(path) };
    const said = await connection.send(path, signal, (s3, options) => s3.createMultipartUpload(input, options));
    if (said.UploadId === undefined) throw refuseS3(connection, 'UNAVAILABLE', path, 'got no upload from its server');
    return new S3Upload(connection, path, said.UploadId);
  }

  get begun(): number {
    return this.#begun;
  }

  /** Sends the next part; resolves when fewer than `limit` parts are under way. @throws the failure of any part */
  async add(limit: number, request: PartRequest): Promise<void> {
    this.#throwIfFailed();
    this.#begun += 1;
    const flight = this.#send(this.#begun, request).finally(() => this.#flights.delete(flight));
    this.#flights.add(flight);
    while (this.#flights.size >= limit) await Promise.race(this.#flights);
    this.#throwIfFailed();
  }

  /** Makes the object visible once all parts are there. */
  async complete(signal?: AbortSignal): Promise<void> {
    await Promise.all(this.#flights);
    this.#throwIfFailed();
    const parts = this.#parts.sort((a, b) => (a.PartNumber ?? 0) - (b.PartNumber ?? 0));
    const input = { ...this.#target, MultipartUpload: { Parts: parts } };
    try {
      await this.#connection.sendRaw(signal, (s3, options) => s3.completeMultipartUpload(input, options));
    } catch (thrown) {
      // The answer to an attempt that succeeded may have been lost: then the next attempt finds no upload.
      if (s3CodeOf(thrown) === 'NoSuchUpload' && (await this.#isComplete(parts))) return;
      throw s3Error(thrown, this.#connection.contextOf(this.#path));
    }
  }

  /** Gives back what the parts take. Never throws. */
  async abort(): Promise<void> {
    this.#aborter.abort();
    await Promise.all(this.#flights);
    try {
      await this.#connection.sendRaw(undefined, (s3) => s3.abortMultipartUpload(this.#target));
    } catch (thrown) {
      if (s3CodeOf(thrown) === 'NoSuchUpload') return;
      const fields = { object: this.#connection.uriOf(this.#path), upload: this.#id, err: thrown };
      this.#connection.logger.warn(
        fields,
        'cannot abort an upload; its parts stay until a lifecycle rule removes them',
      );
    }
  }

  get #target() {
    return { Bucket: this.#connection.bucket, Key: this.#connection.key(this.#path), UploadId: this.#id };
  }

  /** Never rejects: the failure is kept for whoever adds, completes or aborts. */
  async #send(number: number, request: PartRequest): Promise<void> {
    try {
      const said = await request({ ...this.#target, PartNumber: number, signal: this.#aborter.signal });
      this.#parts.push({ ...said, PartNumber: number });
    } catch (thrown) {
      this.#failure ??= { thrown };
    }
  }

  #throwIfFailed(): void {
    if (this.#failure !== undefined) throw this.#failure.thrown;
  }

  /** Whether the object is what these parts make, by S3's rule: MD5 of the parts' MD5s, a dash, their number. */
  async #isComplete(parts: readonly CompletedPart[]): Promise<boolean> {
    const hash = createHash('md5');
    for (const part of parts) hash.update(Buffer.from(bareEtag(part.ETag), 'hex'));
    const object = await headObject(this.#connection, this.#path, undefined);
    return object?.version === `${hash.digest('hex')}-${parts.length}`;
  }
}
