import type { S3Connection } from './s3-connection.ts';
import { headObject, isDirectory, refuseS3 } from './s3-object.ts';
import { ancestorsOf } from './ufs-path.ts';

/** How long a directory is remembered to be none that an object hides. */
const TRUSTED_MS = 60_000;
const MAX_TRUSTED = 10_000;

/**
 * S3 lets an object `a` and objects `a/…` be side by side; one of them would then be hidden. This refuses to make such
 * pairs. It asks before it writes and not in the same moment, so a pair that two writers make at once passes.
 */
export class S3Guard {
  readonly #connection: S3Connection;
  /** Paths that were no plain object, with the time until which that is believed. */
  readonly #trusted = new Map<string, number>();

  constructor(connection: S3Connection) {
    this.#connection = connection;
  }

  /** @throws IS_A_DIRECTORY, NOT_A_DIRECTORY when a file at `path` would hide or be hidden */
  async checkFile(path: string, signal?: AbortSignal): Promise<void> {
    const [directory] = await Promise.all([
      isDirectory(this.#connection, path, signal),
      this.#checkAbove(path, signal),
    ]);
    if (!directory) return;
    throw refuseS3(this.#connection, 'IS_A_DIRECTORY', path, 'is a directory: choose another name');
  }

  /** @throws NOT_A_DIRECTORY when `path` or what is above it is an object */
  async checkDirectory(path: string, signal?: AbortSignal): Promise<void> {
    await Promise.all([this.#checkPlain(path, signal), this.#checkAbove(path, signal)]);
  }

  /** To be called when a file has appeared at `path`. */
  forget(path: string): void {
    this.#trusted.delete(path);
  }

  async #checkAbove(path: string, signal: AbortSignal | undefined): Promise<void> {
    await Promise.all(ancestorsOf(path).map((ancestor) => this.#checkPlain(ancestor, signal)));
  }

  async #checkPlain(path: string, signal: AbortSignal | undefined): Promise<void> {
    const now = performance.now();
    if ((this.#trusted.get(path) ?? 0) > now) return;
    const object = await headObject(this.#connection, path, signal);
    if (object !== undefined && !(await isDirectory(this.#connection, path, signal))) {
      throw refuseS3(this.#connection, 'NOT_A_DIRECTORY', path, 'is not a directory: it is an object');
    }
    if (this.#trusted.size >= MAX_TRUSTED) this.#trusted.clear();
    this.#trusted.set(path, now + TRUSTED_MS);
  }
}
