import type { Logger } from '../host/logger.ts';
import type { UfsFact } from '../model/command.ts';
import { checkS3 } from './s3-check.ts';
import { S3Connection, type S3Place } from './s3-connection.ts';
import { COPY_LIMITS, type S3CopyLimits } from './s3-copy.ts';
import { S3Deleter } from './s3-delete.ts';
import { S3Guard } from './s3-guard.ts';
import { listS3 } from './s3-list.ts';
import { headObject, listOnce, refuseS3, statS3 } from './s3-object.ts';
import type { S3Settings } from './s3-options.ts';
import { readS3 } from './s3-read.ts';
import { moveObject, moveTree } from './s3-rename.ts';
import { S3Writer } from './s3-writer.ts';
import type { Ufs, UfsAttributes, UfsReadRange, UfsWriter } from './ufs.ts';
import { ancestorsOf, checkChangeable, checkRename, checkUfsPath, isHidden } from './ufs-path.ts';

/**
 * A bucket, or what is below a prefix of it. Directories are what keys imply, and empty objects whose keys end with a
 * slash (markers). S3 has neither owners nor rights nor renames: the namespace keeps the former, copies make the
 * latter.
 */
export class S3Ufs implements Ufs {
  readonly uri: string;
  readonly #connection: S3Connection;
  readonly #guard: S3Guard;
  readonly #deleter: S3Deleter;
  readonly #copyLimits: S3CopyLimits;

  constructor(place: S3Place, settings: S3Settings, logger: Logger, copyLimits: S3CopyLimits = COPY_LIMITS) {
    this.uri = `s3://${place.bucket}/${place.prefix}`.replace(/\/$/, '');
    this.#connection = new S3Connection(place, settings, logger.child({ ufs: this.uri }));
    this.#guard = new S3Guard(this.#connection);
    this.#deleter = new S3Deleter(this.#connection);
    this.#copyLimits = copyLimits;
  }

  check(readOnly: boolean): Promise<void> {
    return checkS3(this.#connection, readOnly);
  }

  async stat(path: string, signal?: AbortSignal): Promise<UfsFact | undefined> {
    checkUfsPath(path);
    return isHidden(path) ? undefined : statS3(this.#connection, path, signal);
  }

  async *list(path: string, signal?: AbortSignal): AsyncGenerator<readonly UfsFact[]> {
    checkUfsPath(path);
    yield* listS3(this.#connection, path, signal);
  }

  async *read(path: string, range: UfsReadRange): AsyncGenerator<Uint8Array> {
    checkUfsPath(path);
    if (path === '') throw refuseS3(this.#connection, 'IS_A_DIRECTORY', path, 'is a directory: list it');
    yield* readS3(this.#connection, path, range);
  }

  async create(path: string, _attributes: UfsAttributes): Promise<UfsWriter> {
    checkChangeable(this.uri, path, 'create');
    return new S3Writer(this.#connection, path, this.#guard.checkFile(path), () => this.#guard.forget(path));
  }

  async makeDirectory(path: string, _attributes: UfsAttributes): Promise<void> {
    checkUfsPath(path);
    if (path === '') return;
    checkChangeable(this.uri, path, 'create');
    await this.#guard.checkDirectory(path);
    await Promise.all([...ancestorsOf(path), path].map((step) => this.#mark(step)));
  }

  async delete(path: string, options: { readonly recursive: boolean; readonly signal?: AbortSignal }): Promise<void> {
    checkChangeable(this.uri, path, 'delete');
    const { recursive, signal } = options;
    const keys = await this.#firstKeys(path, signal);
    if (keys.length === 0) return this.#deleter.one(path, signal);
    if (recursive) return this.#deleter.tree(path, signal);
    const marker = this.#connection.directoryKey(path);
    if (keys.length === 1 && keys[0] === marker) return this.#deleter.one(`${path}/`, signal);
    throw refuseS3(this.#connection, 'NOT_EMPTY', path, 'is not empty: delete it recursively');
  }

  async rename(source: string, target: string, signal?: AbortSignal): Promise<UfsFact> {
    checkRename(this.uri, source, target);
    const [from, to] = await Promise.all([this.stat(source, signal), this.stat(target, signal)]);
    if (from === undefined) throw refuseS3(this.#connection, 'NOT_FOUND', source, 'does not exist');
    if (source === target) return from;
    await this.#checkTarget(from.kind, target, to, signal);
    const mover = { connection: this.#connection, deleter: this.#deleter, limits: this.#copyLimits };
    if (from.kind === 'file') await moveObject(mover, source, target, signal);
    else await moveTree(mover, source, target, signal);
    this.#guard.forget(target);
    const moved = await this.stat(target, signal);
    if (moved === undefined) {
      throw refuseS3(this.#connection, 'NOT_FOUND', target, 'has vanished just after it was renamed');
    }
    return moved;
  }

  /** S3 has no attributes that could be changed: the namespace keeps them. */
  async setAttributes(path: string, _attributes: UfsAttributes): Promise<void> {
    checkUfsPath(path);
  }

  close(): Promise<void> {
    return this.#connection.close();
  }

  /** Puts the marker of a directory unless it is there. */
  async #mark(path: string): Promise<void> {
    if ((await headObject(this.#connection, `${path}/`, undefined)) !== undefined) return;
    const input = {
      Bucket: this.#connection.bucket,
      Key: this.#connection.directoryKey(path),
      Body: '',
      ContentLength: 0,
    };
    await this.#connection.send(path, undefined, (s3) => s3.putObject(input));
  }

  /** Two keys of a directory at most: enough to tell absent, empty and full. */
  async #firstKeys(path: string, signal: AbortSignal | undefined): Promise<string[]> {
    const said = await listOnce(this.#connection, path, { MaxKeys: 2 }, signal);
    return (said.Contents ?? []).map(({ Key }) => Key ?? '');
  }

  async #checkTarget(
    kind: UfsFact['kind'],
    target: string,
    there: UfsFact | undefined,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    if (kind === 'file') return this.#guard.checkFile(target, signal);
    await this.#guard.checkDirectory(target, signal);
    if (there === undefined) return;
    const keys = await this.#firstKeys(target, signal);
    if (keys.some((key) => key !== this.#connection.directoryKey(target))) {
      throw refuseS3(this.#connection, 'NOT_EMPTY', target, 'is not empty: delete it first');
    }
  }
}
