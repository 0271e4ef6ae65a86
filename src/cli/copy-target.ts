import { createHash } from 'node:crypto';
import { type FileHandle, mkdir, open, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import type { FileSystem } from '../client/file-system.ts';
import { SluiceError } from '../model/errors.ts';
import type { WriteType } from '../model/inode.ts';
import { joinPath } from '../model/path.ts';
import { remotePath, statIfExists } from './remote-path.ts';

/** What a copy does at its target. */
export interface TargetOptions {
  /** Replace files. */
  readonly force: boolean;
  readonly writeType: WriteType | undefined;
}

/** Where copies go: a tree of the cluster, or of this machine. Names below the target are relative, with slashes. */
export interface CopyTarget {
  /** As people see the path of `name`; empty is the target itself. */
  show(name: string): string;
  isDirectory(): Promise<boolean>;
  /** Makes the directory unless it exists. */
  makeDirectory(name: string): Promise<void>;
  /** Writes a file whole; when it fails nothing of it stays. @returns bytes that are there. */
  write(name: string, bytes: AsyncIterable<Uint8Array>): Promise<number>;
}

/** Whether a path of the command line is one of this machine: `file:///abs`, `file://relative`, `file:relative`. */
export function isLocalPath(text: string): boolean {
  return text.startsWith('file:');
}

/** The path of this machine that `text` means. */
export function localPath(text: string, folder: string): string {
  return resolve(folder, text.replace(/^file:(\/\/)?/, ''));
}

/** Copies into the cluster. */
export class RemoteTarget implements CopyTarget {
  readonly #files: FileSystem;
  readonly #path: string;
  readonly #options: TargetOptions;

  constructor(files: FileSystem, path: string, options: TargetOptions) {
    this.#files = files;
    this.#path = remotePath(path);
    this.#options = options;
  }

  show(name: string): string {
    return name === '' ? this.#path : joinPath(this.#path, name);
  }

  async isDirectory(): Promise<boolean> {
    return (await statIfExists(this.#files, this.#path))?.kind === 'directory';
  }

  async makeDirectory(name: string): Promise<void> {
    await this.#files.mkdir(this.show(name), { recursive: true });
  }

  async write(name: string, bytes: AsyncIterable<Uint8Array>): Promise<number> {
    const { writeType, force: overwrite } = this.#options;
    const options = writeType === undefined ? { overwrite } : { overwrite, writeType };
    return (await this.#files.writeFile(this.show(name), bytes, options)).lengthBytes;
  }
}

/** Copies to this machine. A file appears under its name when it is whole. */
export class LocalTarget implements CopyTarget {
  readonly #path: string;
  readonly #options: TargetOptions;

  constructor(path: string, options: TargetOptions) {
    this.#path = path;
    this.#options = options;
  }

  show(name: string): string {
    return name === '' ? this.#path : join(this.#path, name);
  }

  async isDirectory(): Promise<boolean> {
    return (await statOf(this.#path))?.isDirectory() === true;
  }

  async makeDirectory(name: string): Promise<void> {
    try {
      await mkdir(this.show(name), { recursive: true });
    } catch (thrown) {
      throw localError(thrown, this.show(name));
    }
  }

  async write(name: string, bytes: AsyncIterable<Uint8Array>): Promise<number> {
    const path = this.show(name);
    const there = await statOf(path);
    if (there?.isDirectory() === true)
      throw new SluiceError('IS_A_DIRECTORY', `${path} is a directory, which no file can replace: use another path`);
    if (there !== undefined && !this.#options.force)
      throw new SluiceError('ALREADY_EXISTS', `${path} exists already: use another path, or -f to replace it`);
    const partial = join(dirname(path), `.${shortName(path)}.${process.pid}.partial`);
    let file: FileHandle | undefined;
    try {
      file = await open(partial, 'wx');
      let length = 0;
      for await (const piece of bytes) {
        await file.writeFile(piece);
        length += piece.length;
      }
      await file.close();
      file = undefined;
      await rename(partial, path);
      return length;
    } catch (thrown) {
      await file?.close();
      await rm(partial, { force: true });
      throw localError(thrown, path);
    }
  }
}

/** Names may be as long as the file system lets them be; the partial file's must not be longer. */
function shortName(path: string): string {
  const name = basename(path);
  return name.length <= 100 ? name : createHash('sha256').update(name).digest('hex').slice(0, 32);
}

async function statOf(path: string): Promise<Awaited<ReturnType<typeof stat>> | undefined> {
  try {
    return await stat(path);
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw localError(thrown, path);
  }
}

const ERRNO_CODES = {
  ENOENT: 'NOT_FOUND',
  EEXIST: 'ALREADY_EXISTS',
  ENOTDIR: 'NOT_A_DIRECTORY',
  EISDIR: 'IS_A_DIRECTORY',
  EACCES: 'PERMISSION_DENIED',
  EPERM: 'PERMISSION_DENIED',
  EROFS: 'READ_ONLY',
  ENOSPC: 'EXHAUSTED',
  EDQUOT: 'EXHAUSTED',
} as const;

/** An error of this machine's files with the path that it is about. */
export function localError(thrown: unknown, path: string): SluiceError {
  if (thrown instanceof SluiceError) return thrown;
  if (thrown instanceof Error && thrown.name === 'AbortError')
    return new SluiceError('CANCELLED', `Copying ${path} was interrupted`, { cause: thrown });
  const errno = (thrown as NodeJS.ErrnoException).code ?? '';
  const code = Object.hasOwn(ERRNO_CODES, errno) ? ERRNO_CODES[errno as keyof typeof ERRNO_CODES] : 'INTERNAL';
  return SluiceError.from(thrown, code, path);
}
