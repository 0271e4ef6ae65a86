import { Readable } from 'node:stream';
import type { GetObjectOutput } from '@aws-sdk/client-s3';
import { throwIfAborted } from './abort.ts';
import type { S3Connection } from './s3-connection.ts';
import { s3CodeOf, s3Error, statusOf } from './s3-errors.ts';
import { headObject, isDirectory, matchOf, refuseS3, s3Version } from './s3-object.ts';
import type { UfsReadRange } from './ufs.ts';

/** What an answer holds, by its headers. */
interface Extent {
  readonly start: number;
  readonly lengthBytes: number;
  /** Of the whole object. */
  readonly totalBytes: number;
}

function extentOf(said: GetObjectOutput): Extent | undefined {
  const match = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(said.ContentRange ?? '');
  const lengthBytes = said.ContentLength;
  if (match === null) return lengthBytes === undefined ? undefined : { start: 0, lengthBytes, totalBytes: lengthBytes };
  const [, first, last, total] = match.map(Number) as [number, number, number, number];
  return { start: first, lengthBytes: last - first + 1, totalBytes: total };
}

/** Bytes of an object; see `Ufs.read`. What the server sends is checked against what was asked for. */
export async function* readS3(connection: S3Connection, path: string, range: UfsReadRange): AsyncGenerator<Uint8Array> {
  if (range.lengthBytes === 0) return;
  const said = await get(connection, path, range);
  if (said === undefined) return;
  const body = said.Body;
  if (!(body instanceof Readable)) throw refuseS3(connection, 'UNAVAILABLE', path, 'came without a body');
  const stop = (): void => void body.destroy();
  range.signal?.addEventListener('abort', stop);
  try {
    const extent = checkAnswer(connection, path, range, said);
    let received = 0;
    for await (const chunk of body as AsyncIterable<Uint8Array>) {
      throwIfAborted(range.signal);
      received += chunk.byteLength;
      if (received > extent.lengthBytes) break;
      yield chunk;
    }
    throwIfAborted(range.signal);
    if (received !== extent.lengthBytes) throw cut(connection, path, received, extent.lengthBytes);
  } catch (thrown) {
    throwIfAborted(range.signal);
    throw s3Error(thrown, connection.contextOf(path));
  } finally {
    range.signal?.removeEventListener('abort', stop);
    body.destroy();
  }
}

function cut(connection: S3Connection, path: string, received: number, wanted: number) {
  return refuseS3(connection, 'UNAVAILABLE', path, `gave ${received} bytes of ${wanted}: read it again`);
}

/** Undefined when the range is behind the end. */
async function get(connection: S3Connection, path: string, range: UfsReadRange): Promise<GetObjectOutput | undefined> {
  const end = range.offset + range.lengthBytes - 1;
  const match = matchOf(range.version);
  const input = {
    Bucket: connection.bucket,
    Key: connection.key(path),
    Range: `bytes=${range.offset}-${Number.isSafeInteger(end) ? end : ''}`,
    ...(match === undefined ? {} : { IfMatch: match }),
  };
  try {
    return await connection.sendRaw(range.signal, (s3, options) => s3.getObject(input, options));
  } catch (thrown) {
    const code = s3CodeOf(thrown);
    if (statusOf(thrown) === 416) {
      await checkBehindEnd(connection, path, range);
      return undefined;
    }
    if (statusOf(thrown) === 404 && code !== 'NoSuchBucket' && (await isDirectory(connection, path, range.signal))) {
      throw refuseS3(connection, 'IS_A_DIRECTORY', path, 'is a directory: list it');
    }
    throw s3Error(thrown, connection.contextOf(path));
  }
}

/** A range behind the end is refused before the version is compared: a file that became shorter must not look ended. */
async function checkBehindEnd(connection: S3Connection, path: string, range: UfsReadRange): Promise<void> {
  const object = await headObject(connection, path, range.signal);
  if (object === undefined) throw refuseS3(connection, 'NOT_FOUND', path, 'does not exist');
  if (range.version !== '' && object.version !== range.version) throw stale(connection, path, object.version, range);
  if (object.lengthBytes > range.offset) throw cut(connection, path, 0, object.lengthBytes - range.offset);
}

/** Some servers know no If-Match or no ranges; some caches in between answer with what they have. */
function checkAnswer(connection: S3Connection, path: string, range: UfsReadRange, said: GetObjectOutput): Extent {
  const extent = extentOf(said);
  if (extent === undefined) throw refuseS3(connection, 'UNAVAILABLE', path, 'came without a length: read it again');
  const version = s3Version(said, extent.totalBytes);
  if (range.version !== '' && version !== range.version) throw stale(connection, path, version, range);
  const wanted = Math.min(range.lengthBytes, extent.totalBytes - range.offset);
  if (extent.start === range.offset && extent.lengthBytes === wanted) return extent;
  const got = `${extent.lengthBytes} bytes from ${extent.start}`;
  const says = `gave ${got} for ${wanted} bytes from ${range.offset}: its server must know range requests`;
  throw refuseS3(connection, 'UNSUPPORTED', path, says);
}

function stale(connection: S3Connection, path: string, version: string, range: UfsReadRange) {
  const says = `is now version ${version}, not ${range.version}: ask for its status again`;
  return refuseS3(connection, 'STALE', path, says);
}
