import type { UfsFact } from '../model/command.ts';
import { SluiceError } from '../model/errors.ts';
import type { S3Connection } from './s3-connection.ts';
import { s3Error, statusOf } from './s3-errors.ts';
import { baseName } from './ufs-path.ts';

/** What S3 says of an object, in a listing, an answer to HEAD or one to GET. */
export interface S3Said {
  readonly ETag?: string | undefined;
  readonly LastModified?: Date | undefined;
}

/** An object without its name. */
export interface S3Object {
  readonly lengthBytes: number;
  readonly version: string;
  /** As exact as S3 told: seconds in headers, milliseconds in some listings. */
  readonly modifiedMs: number;
}

const TIME_VERSION = /^t\d+-\d+$/;

/** The ETag without its quotes; time and length on servers that have no ETags. */
export function s3Version(said: S3Said, lengthBytes: number): string {
  const etag = bareEtag(said.ETag);
  return etag === '' ? `t${wholeSeconds(said.LastModified?.getTime() ?? 0)}-${lengthBytes}` : etag;
}

export function bareEtag(etag: string | undefined): string {
  return (etag ?? '').replace(/^W\//, '').replaceAll('"', '');
}

/** What a request must carry so that only this version is touched; undefined when the version is no ETag. */
export function matchOf(version: string): string | undefined {
  return version === '' || TIME_VERSION.test(version) ? undefined : `"${version}"`;
}

export function s3Object(said: S3Said, lengthBytes: number): S3Object {
  return { lengthBytes, version: s3Version(said, lengthBytes), modifiedMs: said.LastModified?.getTime() ?? 0 };
}

/** Listings may know milliseconds that HEAD does not: both must say the same. */
function wholeSeconds(ms: number): number {
  return Math.floor(ms / 1000) * 1000;
}

export function fileFact(name: string, object: S3Object): UfsFact {
  const { lengthBytes, version, modifiedMs } = object;
  return { name, kind: 'file', lengthBytes, version, modifiedMs: wholeSeconds(modifiedMs) };
}

/** S3 knows nothing of a directory but its name. */
export function directoryFact(name: string): UfsFact {
  return { name, kind: 'directory', lengthBytes: 0, version: '', modifiedMs: 0 };
}

/** The object with key `path`, or `path/` for the marker of a directory; undefined when there is none. */
export async function headObject(
  connection: S3Connection,
  path: string,
  signal: AbortSignal | undefined,
): Promise<S3Object | undefined> {
  try {
    const input = { Bucket: connection.bucket, Key: connection.key(path) };
    const said = await connection.sendRaw(signal, (s3, options) => s3.headObject(input, options));
    return s3Object(said, said.ContentLength ?? 0);
  } catch (thrown) {
    // An answer to HEAD has no body: a missing bucket looks the same. Whoever concludes absence also lists, which tells.
    if (statusOf(thrown) === 404) return undefined;
    throw s3Error(thrown, connection.contextOf(path));
  }
}

/** Whether any key is in the directory, its own marker included. @throws NOT_FOUND when the bucket is missing */
export async function isDirectory(
  connection: S3Connection,
  path: string,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  const input = { Bucket: connection.bucket, Prefix: connection.directoryKey(path), MaxKeys: 1 };
  const said = await connection.send(path, signal, (s3, options) => s3.listObjectsV2(input, options));
  return (said.Contents?.length ?? 0) > 0;
}

/**
 * What is at `path`. Where S3 has an object `a` and objects `a/…`, the directory counts: it hides one object, and the
 * other way round would hide many.
 */
export async function statS3(
  connection: S3Connection,
  path: string,
  signal: AbortSignal | undefined,
): Promise<UfsFact | undefined> {
  const name = baseName(path);
  if (path === '') {
    await isDirectory(connection, path, signal);
    return directoryFact(name);
  }
  const [object, directory] = await Promise.all([
    headObject(connection, path, signal),
    isDirectory(connection, path, signal),
  ]);
  if (directory) return directoryFact(name);
  return object && fileFact(name, object);
}

/** A refusal about `path`. */
export function refuseS3(
  connection: S3Connection,
  code: 'NOT_FOUND' | 'NOT_A_DIRECTORY' | 'IS_A_DIRECTORY' | 'NOT_EMPTY' | 'STALE' | 'UNAVAILABLE' | 'UNSUPPORTED',
  path: string,
  says: string,
): SluiceError {
  return new SluiceError(code, `${connection.uriOf(path)} ${says}`);
}
