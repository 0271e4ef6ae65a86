import type { BigIntStats } from 'node:fs';
import { lstat, mkdir, open, realpath, stat } from 'node:fs/promises';
import { SluiceError } from '../model/errors.ts';
import { errnoOf } from './local-errors.ts';
import { ancestorsOf, baseName, isAtOrBelow, isHidden, parentPath } from './ufs-path.ts';

/** What realpath answers where nothing is, or where links lead nowhere. */
const ABSENT = new Set(['ENOENT', 'ENOTDIR', 'ELOOP']);

/** `directory/name` on this host. */
export function joinLocal(directory: string, name: string): string {
  return directory.endsWith('/') ? `${directory}${name}` : `${directory}/${name}`;
}

/** Makes the entries of a directory durable. File systems that cannot say EINVAL; then there is nothing to wait for. */
export async function syncDirectory(absolute: string): Promise<void> {
  const handle = await open(absolute, 'r');
  try {
    await handle.sync();
  } catch (thrown) {
    if (errnoOf(thrown) !== 'EINVAL') throw thrown;
  } finally {
    await handle.close();
  }
}

async function realpathOf(absolute: string): Promise<string | undefined> {
  try {
    return await realpath(absolute);
  } catch (thrown) {
    if (ABSENT.has(errnoOf(thrown))) return undefined;
    throw thrown;
  }
}

/**
 * The directory that a local UFS must not leave. Every path is resolved before it is used: a symbolic link counts
 * only when its target is inside the root and is no directory above the link, so that every tree is finite. The check
 * comes before the use: who may write in the root and is faster than we are can still swap a directory for a link in
 * between.
 */
export class LocalRoot {
  /** As it was given: absolute and normal. */
  readonly path: string;
  /** Inode of the root when it was first seen. */
  #inode: bigint | undefined;

  constructor(path: string) {
    this.path = path;
  }

  /**
   * Where the root really is. A root that is gone, or that has become another directory, must not pass for an empty
   * one, nor its files for absent: that is how an unmounted disk looks.
   * @throws NOT_A_DIRECTORY, UNAVAILABLE, and `whenGone` when nothing is there
   */
  async real(whenGone: 'NOT_FOUND' | 'UNAVAILABLE' = 'UNAVAILABLE'): Promise<string> {
    const [real, stats] = await Promise.all([realpathOf(this.path), this.#stats()]);
    if (real === undefined || stats === undefined) {
      throw new SluiceError(whenGone, `Root ${this.path} does not exist: is its disk mounted? Mount it or create it`);
    }
    if (!stats.isDirectory()) {
      throw new SluiceError(
        'NOT_A_DIRECTORY',
        `Root ${this.path} is not a directory: name the directory that holds it`,
      );
    }
    this.#inode ??= stats.ino;
    if (this.#inode === stats.ino) return real;
    const change = `is another directory than before (inode ${stats.ino}, was ${this.#inode})`;
    throw new SluiceError(
      'UNAVAILABLE',
      `Root ${this.path} ${change}: mount its disk again, or if that is meant, unmount and mount the UFS`,
    );
  }

  /** The real absolute path of what is at `path`; undefined when nothing is, or only a link that does not count. */
  async resolve(path: string): Promise<string | undefined> {
    const root = await this.real();
    if (path === '') return root;
    if (isHidden(path)) return undefined;
    const direct = joinLocal(root, path);
    const real = await realpathOf(direct);
    if (real === undefined || real === direct) return real;
    return (await this.#isConfined(root, path)) ? real : undefined;
  }

  /** Where `path` really is and what it is, links followed. */
  async find(path: string): Promise<{ readonly absolute: string; readonly stats: BigIntStats } | undefined> {
    const absolute = await this.resolve(path);
    if (absolute === undefined) return undefined;
    try {
      return { absolute, stats: await stat(absolute, { bigint: true }) };
    } catch (thrown) {
      if (ABSENT.has(errnoOf(thrown))) return undefined;
      throw thrown;
    }
  }

  /** The real path of a directory. @throws NOT_FOUND, NOT_A_DIRECTORY */
  async directory(path: string): Promise<string> {
    const found = await this.find(path);
    if (found === undefined) throw new SluiceError('NOT_FOUND', `Directory ${this.shown(path)} does not exist`);
    if (!found.stats.isDirectory()) throw this.#notADirectory(path);
    return found.absolute;
  }

  /** The entry itself, its last link not followed; undefined when its directory is not there. */
  async entry(path: string): Promise<string | undefined> {
    const parent = await this.find(parentPath(path));
    if (parent === undefined || !parent.stats.isDirectory()) return undefined;
    return joinLocal(parent.absolute, baseName(path));
  }

  /** Makes a directory and its parents durably where they are missing. @returns its real path. */
  async makeDirectories(path: string): Promise<string> {
    const found = await this.find(path);
    if (found?.stats.isDirectory()) return found.absolute;
    let at = await this.real();
    for (const step of [...ancestorsOf(path), path]) at = await this.#makeDirectory(at, step);
    return at;
  }

  /** How a path of this UFS is named to people. */
  shown(path: string): string {
    return path === '' ? this.path : joinLocal(this.path, path);
  }

  async #makeDirectory(parent: string, path: string): Promise<string> {
    const absolute = joinLocal(parent, baseName(path));
    try {
      await mkdir(absolute);
      await syncDirectory(parent);
      return absolute;
    } catch (thrown) {
      if (errnoOf(thrown) !== 'EEXIST') throw thrown;
    }
    const found = await this.find(path);
    if (found?.stats.isDirectory()) return found.absolute;
    if ((await lstat(absolute)).isSymbolicLink()) throw this.#leaves(path);
    throw this.#notADirectory(path);
  }

  async #stats(): Promise<BigIntStats | undefined> {
    try {
      return await stat(this.path, { bigint: true });
    } catch (thrown) {
      if (ABSENT.has(errnoOf(thrown))) return undefined;
      throw thrown;
    }
  }

  /** Whether each step of `path` stays inside the root and none goes back to a directory above an earlier one. */
  async #isConfined(root: string, path: string): Promise<boolean> {
    const base = root === '/' ? '' : root;
    const passed = [root];
    for (const step of [...ancestorsOf(path), path]) {
      const real = await realpathOf(joinLocal(root, step));
      if (real === undefined || !isAtOrBelow(real, base)) return false;
      if (passed.some((earlier) => isAtOrBelow(earlier, real))) return false;
      passed.push(real);
    }
    return true;
  }

  #notADirectory(path: string): SluiceError {
    return new SluiceError('NOT_A_DIRECTORY', `${this.shown(path)} is not a directory: choose another name`);
  }

  #leaves(path: string): SluiceError {
    return new SluiceError(
      'PERMISSION_DENIED',
      `${this.shown(path)} is a symbolic link that leaves the root or leads nowhere: replace it by a directory`,
    );
  }
}
