import type { ListObjectsV2Output, ListObjectsV2Request } from '@aws-sdk/client-s3';
import type { UfsFact } from '../model/command.ts';
import { SluiceError } from '../model/errors.ts';
import type { S3Connection } from './s3-connection.ts';
import { s3CodeOf, s3Error, statusOf } from './s3-errors.ts';
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
    // An answer to HEAD has no body: a missing bucket looks the same. Who concludes absence also lists, which tells.
    if (statusOf(thrown) === 404) return undefined;
    throw s3Error(thrown, connection.contextOf(path));
  }
}

/**
 * One answer about the keys below a directory. Something that is no listing (the page of a proxy, a wrong port) must
 * not pass for an empty one: whoever believes it would delete what is cached.
 */
export async function listOnce(
  connection: S3Connection,
  path: string,
  more: Omit<ListObjectsV2Request, 'Bucket' | 'Prefix'>,
  signal: AbortSignal | undefined,
): Promise<ListObjectsV2Output> {
  const input = { ...more, Bucket: connection.bucket, Prefix: connection.directoryKey(path) };
  let said: ListObjectsV2Output;
  try {
    said = await connection.sendRaw(signal, (s3, options) => s3.listObjectsV2(input, options));
  } catch (thrown) {
    // S3 lists what does not exist as empty: a 404 that is not about the bucket is none of S3's.
    if (statusOf(thrown) === 404 && s3CodeOf(thrown) !== 'NoSuchBucket') throw noListing(connection, thrown);
    throw s3Error(thrown, connection.contextOf(path));
  }
  if (said.IsTruncated !== undefined || said.Name !== undefined || said.KeyCount !== undefined) return said;
  throw noListing(connection, undefined);
}

function noListing(connection: S3Connection, cause: unknown): SluiceError {
  const message = `${connection.endpoint} answers with something that is no S3 listing: check s3.endpoint`;
  return new SluiceError('UNAVAILABLE', message, { cause });
}

/** Whether any key is in the directory, its own marker included. @throws NOT_FOUND when the bucket is missing */
export async function isDirectory(
  connection: S3Connection,
  path: string,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  const said = await listOnce(connection, path, { MaxKeys: 1 }, signal);
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
  const looking = headObject(connection, path, signal);
  const [directory, object] = await Promise.allSettled([isDirectory(connection, path, signal), looking]);
  // The answer to the listing has a body that tells what is wrong, so its failure is the one to show.
  if (directory.status === 'rejected') throw directory.reason;
  if (object.status === 'rejected') throw object.reason;
  if (directory.value) return directoryFact(name);
  return object.value && fileFact(name, object.value);
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
