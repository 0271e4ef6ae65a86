import { SluiceError } from '../model/errors.ts';
import { compareKeys } from '../model/path.ts';
import { LeftOut } from './left-out.ts';
import { mapBounded } from './map-bounded.ts';
import type { S3Connection } from './s3-connection.ts';
import { copyObject, type S3CopyLimits } from './s3-copy.ts';
import type { S3Deleter } from './s3-delete.ts';
import { listKeys, type S3Entry } from './s3-list.ts';
import { refuseS3, type S3Object } from './s3-object.ts';

/** Objects that are copied at once. */
const CONCURRENT_COPIES = 16;

export interface S3Mover {
  readonly connection: S3Connection;
  readonly deleter: S3Deleter;
  readonly limits: S3CopyLimits;
}

/** Moves one object. Someone who writes the source between copy and delete loses that write, as S3 has no moves. */
export async function moveObject(
  mover: S3Mover,
  source: string,
  target: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  await copyObject(mover.connection, source, target, mover.limits, signal);
  await mover.deleter.one(source, signal);
}

/**
 * Moves all that is below a directory to an empty one: everything is copied before anything is deleted, and an object
 * is deleted only when a second look shows a copy that is not older. After a failure the copies are removed and the
 * source is whole. A process that dies on the way leaves both; then the target must be deleted by hand.
 */
export async function moveTree(
  mover: S3Mover,
  source: string,
  target: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  try {
    await copyTree(mover, source, target, signal);
  } catch (thrown) {
    await removeCopies(mover, source, target);
    throw thrown;
  }
  try {
    // From here on there is no way back: the caller may give up, the rename goes on.
    await deleteCopied(mover, source, target);
  } catch (thrown) {
    const { connection } = mover;
    const context = `${connection.uriOf(source)} is copied to ${connection.uriOf(target)}; delete what is left of it`;
    throw SluiceError.from(thrown, 'INTERNAL', context);
  }
}

async function copyTree(mover: S3Mover, source: string, target: string, signal: AbortSignal | undefined) {
  const leftOut = new LeftOut();
  for await (const entries of listKeys(mover.connection, source, undefined, leftOut, signal)) {
    if (leftOut.total > 0) break;
    await mapBounded(entries, CONCURRENT_COPIES, ({ name }) =>
      copyObject(mover.connection, `${source}/${name}`, `${target}/${name}`, mover.limits, signal),
    );
  }
  if (leftOut.total === 0) return;
  const says = 'has keys that are not UTF-8 and cannot be moved: rename them with a tool of the server';
  throw refuseS3(mover.connection, 'UNSUPPORTED', source, says);
}

/** Deletes the sources that have a good copy; what has none (it came or changed in the meantime) is copied first. */
async function deleteCopied(mover: S3Mover, source: string, target: string) {
  const copies = new Follower(keysOf(mover.connection, target, undefined));
  for await (const entries of listKeys(mover.connection, source, undefined, new LeftOut(), undefined)) {
    const missing: S3Entry[] = [];
    for (const entry of entries) {
      const copy = await copies.find(entry.name);
      if (copy === undefined || !isCopyOf(copy, entry.object)) missing.push(entry);
    }
    await mapBounded(missing, CONCURRENT_COPIES, ({ name }) =>
      copyObject(mover.connection, `${source}/${name}`, `${target}/${name}`, mover.limits),
    );
    await mover.deleter.many(entries.map(({ name }) => `${source}/${name}`));
  }
}

/** Removes from the target what the source has too. A failure is only logged: the first one is reported. */
async function removeCopies(mover: S3Mover, source: string, target: string): Promise<void> {
  try {
    const originals = new Follower(keysOf(mover.connection, source, undefined));
    for await (const entries of listKeys(mover.connection, target, undefined, new LeftOut(), undefined)) {
      const copies: string[] = [];
      for (const { name } of entries) {
        if ((await originals.find(name)) !== undefined) copies.push(`${target}/${name}`);
      }
      await mover.deleter.many(copies);
    }
  } catch (thrown) {
    mover.connection.logger.warn({ source, target, err: thrown }, 'copies of a failed rename stay');
  }
}

function isCopyOf(copy: S3Object, original: S3Object | undefined): boolean {
  if (original === undefined || copy.lengthBytes !== original.lengthBytes) return false;
  return copy.version === original.version || copy.modifiedMs >= original.modifiedMs;
}

async function* keysOf(connection: S3Connection, path: string, signal: AbortSignal | undefined) {
  for await (const entries of listKeys(connection, path, undefined, new LeftOut(), signal)) yield* entries;
}

/** Walks a sorted listing beside another one. */
class Follower {
  readonly #entries: AsyncIterator<S3Entry>;
  #current: S3Entry | undefined;
  #ended = false;

  constructor(entries: AsyncIterable<S3Entry>) {
    this.#entries = entries[Symbol.asyncIterator]();
  }

  /** The object of that name. Names must ascend from call to call. */
  async find(name: string): Promise<S3Object | undefined> {
    while (!this.#ended && (this.#current === undefined || compareKeys(this.#current.name, name) < 0)) {
      const next = await this.#entries.next();
      if (next.done === true) this.#ended = true;
      else this.#current = next.value;
    }
    return this.#current?.name === name ? this.#current.object : undefined;
  }
}
