import { LeftOut } from './left-out.ts';
import { mapBounded } from './map-bounded.ts';
import type { S3Connection } from './s3-connection.ts';
import { s3CodeOf, s3Error, statusOf } from './s3-errors.ts';
import { listKeys } from './s3-list.ts';
import { refuseS3 } from './s3-object.ts';

/** Deletes of one object each under way at once. */
const CONCURRENT_DELETES = 16;

/** Answers by which servers say that they know no DeleteObjects, or not with the checksum that the SDK sends. */
const BULK_REFUSALS = new Set([400, 405, 411, 501]);

/** Refusals that single requests would meet too. */
const NOT_ABOUT_BULK = new Set(['InvalidAccessKeyId', 'ExpiredToken', 'InvalidToken', 'RequestTimeTooSkewed']);

/** Characters that no XML can carry: such keys go one by one, in the URL. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what it is about
const NOT_XML = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff\r]/;

/** Deletes objects, 1,000 at a time where the server can. */
export class S3Deleter {
  readonly #connection: S3Connection;
  #bulk = true;

  constructor(connection: S3Connection) {
    this.#connection = connection;
  }

  /** Deletes one object; `path` may end with a slash, for the marker of a directory. Absence is no error. */
  async one(path: string, signal?: AbortSignal): Promise<void> {
    const input = { Bucket: this.#connection.bucket, Key: this.#connection.key(path) };
    try {
      await this.#connection.sendRaw(signal, (s3, options) => s3.deleteObject(input, options));
    } catch (thrown) {
      if (s3CodeOf(thrown) === 'NoSuchKey') return;
      throw s3Error(thrown, this.#connection.contextOf(path));
    }
  }

  /** At most 1,000. @throws the failure of the first that could not be deleted */
  async many(paths: readonly string[], signal?: AbortSignal): Promise<void> {
    const inXml = this.#bulk ? paths.filter((path) => !NOT_XML.test(path)) : [];
    const deleted = inXml.length > 1 && (await this.#inBulk(inXml, signal));
    const rest = deleted ? paths.filter((path) => NOT_XML.test(path)) : paths;
    await mapBounded(rest, CONCURRENT_DELETES, (path) => this.one(path, signal));
  }

  /** Deletes everything below a directory, and its marker. */
  async tree(path: string, signal?: AbortSignal): Promise<void> {
    const leftOut = new LeftOut();
    for await (const entries of listKeys(this.#connection, path, undefined, leftOut, signal)) {
      await this.many(
        entries.map(({ name }) => `${path}/${name}`),
        signal,
      );
    }
    if (leftOut.total === 0) return;
    const says = `has ${leftOut.total} keys that are not UTF-8: delete them with a tool of the server`;
    throw refuseS3(this.#connection, 'NOT_EMPTY', path, says);
  }

  /** @returns false when the server does not take it */
  async #inBulk(paths: readonly string[], signal: AbortSignal | undefined): Promise<boolean> {
    const connection = this.#connection;
    const objects = paths.map((path) => ({ Key: connection.key(path) }));
    const input = { Bucket: connection.bucket, Delete: { Objects: objects, Quiet: true } };
    try {
      const said = await connection.sendRaw(signal, (s3, options) => s3.deleteObjects(input, options));
      const failed = said.Errors?.find((error) => error.Code !== 'NoSuchKey');
      if (failed === undefined) return true;
      const failure = Object.assign(new Error(failed.Message ?? 'no reason given'), { Code: failed.Code });
      const path = (failed.Key ?? '').slice(connection.place.prefix.length);
      throw s3Error(Object.assign(failure, { $metadata: { httpStatusCode: 500 } }), connection.contextOf(path));
    } catch (thrown) {
      if (!BULK_REFUSALS.has(statusOf(thrown)) || NOT_ABOUT_BULK.has(s3CodeOf(thrown))) {
        throw s3Error(thrown, connection.contextOf(''));
      }
      this.#bulk = false;
      connection.logger.warn({ err: thrown }, 'server refuses batch deletes, deleting one by one');
      return false;
    }
  }
}
