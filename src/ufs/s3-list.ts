import type { ListObjectsV2Output } from '@aws-sdk/client-s3';
import type { UfsFact } from '../model/command.ts';
import { checkName, compareKeys } from '../model/path.ts';
import { LeftOut } from './left-out.ts';
import { NameOrder } from './name-order.ts';
import type { S3Connection } from './s3-connection.ts';
import {
  directoryFact,
  fileFact,
  headObject,
  isDirectory,
  listOnce,
  refuseS3,
  type S3Object,
  s3Object,
} from './s3-object.ts';
import { childPath, isTemporaryName } from './ufs-path.ts';

const PAGE_ENTRIES = 1000;

/** Entries that wait for a directory at most. */
const MAX_WAITING = 2000;

/** An object or, where a delimiter is used, a common prefix; `name` is the key without the listed prefix. */
export interface S3Entry {
  readonly name: string;
  /** Undefined for a common prefix. */
  readonly object: S3Object | undefined;
}

/**
 * All keys below a directory in S3's order, page by page; with `delimiter` only its children. Ends normally only when
 * S3 has said that the listing is complete.
 */
export async function* listKeys(
  connection: S3Connection,
  path: string,
  delimiter: '/' | undefined,
  leftOut: LeftOut,
  signal: AbortSignal | undefined,
): AsyncGenerator<readonly S3Entry[]> {
  const prefix = connection.directoryKey(path);
  const listing = { MaxKeys: PAGE_ENTRIES, EncodingType: 'url' as const };
  let token: string | undefined;
  let last: string | undefined;
  for (;;) {
    const input = {
      ...listing,
      ...(delimiter === undefined ? {} : { Delimiter: delimiter }),
      ...(token === undefined ? {} : { ContinuationToken: token }),
    };
    const said = await listOnce(connection, path, input, signal);
    const entries = entriesOf(said, prefix, leftOut);
    const page = entries.filter(({ name }) => name !== last);
    for (const { name } of page) {
      if (last !== undefined && compareKeys(name, last) < 0) throw disordered(connection, path, last, name);
      last = name;
    }
    if (page.length > 0) yield page;
    if (said.IsTruncated !== true) return;
    if (said.NextContinuationToken === undefined || said.NextContinuationToken === token) {
      throw refuseS3(connection, 'UNAVAILABLE', path, 'cannot be listed: the server repeats or omits the way to go on');
    }
    token = said.NextContinuationToken;
  }
}

function disordered(connection: S3Connection, path: string, last: string, name: string) {
  const order = `${JSON.stringify(name)} after ${JSON.stringify(last)}`;
  const says = `is listed out of order (${order}): its server cannot be used`;
  return refuseS3(connection, 'UNSUPPORTED', path, says);
}

/** Objects and common prefixes of one answer, merged into the order of their keys. */
function entriesOf(said: ListObjectsV2Output, prefix: string, leftOut: LeftOut): S3Entry[] {
  const entries: S3Entry[] = [];
  const add = (encoded: string | undefined, object: S3Object | undefined): void => {
    const key = decodeKey(encoded ?? '', said.EncodingType);
    if (key === undefined || !key.startsWith(prefix)) leftOut.add('key is not UTF-8', encoded ?? '');
    else entries.push({ name: key.slice(prefix.length), object });
  };
  for (const object of said.Contents ?? []) add(object.Key, s3Object(object, object.Size ?? 0));
  for (const common of said.CommonPrefixes ?? []) add(common.Prefix, undefined);
  return entries.sort((a, b) => compareKeys(a.name, b.name));
}

/** Keys may hold what XML cannot: they come percent-encoded, a space as `+` on some servers. */
function decodeKey(key: string, encoding: string | undefined): string | undefined {
  if (encoding !== 'url') return key;
  try {
    return decodeURIComponent(key.replaceAll('+', '%20'));
  } catch {
    return undefined;
  }
}

/** The children of a directory in the order of their names, each once. @throws NOT_FOUND, NOT_A_DIRECTORY */
export async function* listS3(
  connection: S3Connection,
  path: string,
  signal: AbortSignal | undefined,
): AsyncGenerator<readonly UfsFact[]> {
  const leftOut = new LeftOut();
  const probe = async (name: string): Promise<UfsFact | undefined> =>
    (await isDirectory(connection, childPath(path, name), signal)) ? directoryFact(name) : undefined;
  const order = new NameOrder(MAX_WAITING, probe, (name) => leftOut.add('file beside a directory of its name', name));
  let exists = path === '';
  let ready: UfsFact[] = [];
  for await (const entries of listKeys(connection, path, '/', leftOut, signal)) {
    exists = true;
    for (const entry of entries) {
      const fact = factOf(entry, leftOut);
      if (fact !== undefined) ready.push(...(await order.push(fact)));
    }
    for (; ready.length >= PAGE_ENTRIES; ready = ready.slice(PAGE_ENTRIES)) yield ready.slice(0, PAGE_ENTRIES);
  }
  ready.push(...order.end());
  for (let at = 0; at < ready.length; at += PAGE_ENTRIES) yield ready.slice(at, at + PAGE_ENTRIES);
  leftOut.report(connection.logger, connection.uriOf(path));
  if (!exists && leftOut.total === 0) throw await notListed(connection, path, signal);
}

/** Undefined for the directory's own marker, our own probes and names that no file can have. */
function factOf(entry: S3Entry, leftOut: LeftOut): UfsFact | undefined {
  const name = entry.object === undefined ? entry.name.slice(0, -1) : entry.name;
  if (entry.name === '' || isTemporaryName(name)) return undefined;
  if (checkName(name) === undefined) {
    return entry.object === undefined ? directoryFact(name) : fileFact(name, entry.object);
  }
  leftOut.add('not a name of a file', entry.name);
  return undefined;
}

async function notListed(connection: S3Connection, path: string, signal: AbortSignal | undefined) {
  const object = await headObject(connection, path, signal);
  if (object === undefined) return refuseS3(connection, 'NOT_FOUND', path, 'does not exist');
  return refuseS3(connection, 'NOT_A_DIRECTORY', path, 'is not a directory: it is an object');
}
