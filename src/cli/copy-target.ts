import { createHash } from 'node:crypto';
import { type FileHandle, mkdir, open, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import type { FileSystem } from '../client/file-system.ts';
import { type ErrorCode, SluiceError } from '../model/errors.ts';
import type { WriteType } from '../model/inode.ts';
import { joinPath } from '../model/path.ts';
import { remotePath, statIfExists } from './remote-path.ts';

/** Bits of a mode that a copy takes over: none of setuid, setgid and sticky. */
const PERMISSIONS = 0o777;
/** A directory must take what is copied into it. */
const OWNER_MAY_ALL = 0o700;

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
  /** Makes the directory, with the permissions of `mode` as `write` has it, unless it exists. */
  makeDirectory(name: string, mode: number): Promise<void>;
  /**
   * Writes a file whole; when it fails nothing of it stays. A file that is replaced keeps its permissions, a new one
   * gets those of `mode` that the umask of this process lets through. @returns bytes that are there.
   */
  write(name: string, bytes: AsyncIterable<Uint8Array>, mode: number): Promise<number>;
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

  async makeDirectory(name: string, mode: number): Promise<void> {
    await this.#files.mkdir(this.show(name), { recursive: true, mode: permissionsOfCopy(mode | OWNER_MAY_ALL) });
  }

  async write(name: string, bytes: AsyncIterable<Uint8Array>, mode: number): Promise<number> {
    const { writeType, force: overwrite } = this.#options;
    const path = this.show(name);
    const there = overwrite ? await statIfExists(this.#files, path) : undefined;
    const options = {
      overwrite,
      mode: there?.mode ?? permissionsOfCopy(mode),
      ...(writeType === undefined ? {} : { writeType }),
    };
    return (await this.#files.writeFile(path, bytes, options)).lengthBytes;
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

  async makeDirectory(name: string, mode: number): Promise<void> {
    try {
      await mkdir(this.show(name), { recursive: true, mode: (mode | OWNER_MAY_ALL) & PERMISSIONS });
    } catch (thrown) {
      throw localError(thrown, this.show(name));
    }
  }

  async write(name: string, bytes: AsyncIterable<Uint8Array>, mode: number): Promise<number> {
    const path = this.show(name);
    const there = await statOf(path);
    if (there?.isDirectory() === true)
      throw new SluiceError('IS_A_DIRECTORY', `${path} is a directory, which no file can replace: use another path`);
    if (there !== undefined && !this.#options.force)
      throw new SluiceError('ALREADY_EXISTS', `${path} exists already: use another path, or -f to replace it`);
    const partial = join(dirname(path), `.${shortName(path)}.${process.pid}.partial`);
    let file: FileHandle | undefined;
    try {
      file = await open(partial, 'wx', mode & PERMISSIONS);
      if (there !== undefined) await file.chmod(Number(there.mode) & PERMISSIONS);
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

/** What this machine would give a copy on its own disk. */
function permissionsOfCopy(mode: number): number {
  return mode & PERMISSIONS & ~process.umask();
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

/** Code, and what is said behind the path. */
const ERRNO_MEANINGS: Readonly<Record<string, readonly [ErrorCode, string]>> = {
  ENOENT: ['NOT_FOUND', 'does not exist on this machine'],
  EEXIST: ['ALREADY_EXISTS', 'exists already on this machine'],
  ENOTDIR: ['NOT_A_DIRECTORY', 'is below a file on this machine, not a directory'],
  EISDIR: ['IS_A_DIRECTORY', 'is a directory on this machine'],
  EACCES: ['PERMISSION_DENIED', 'may not be accessed by you on this machine: change its rights'],
  EPERM: ['PERMISSION_DENIED', 'may not be changed by you on this machine: change its rights'],
  EROFS: ['READ_ONLY', 'is on a read-only file system of this machine'],
  ENOSPC: ['EXHAUSTED', 'does not fit: the disk of this machine is full'],
  EDQUOT: ['EXHAUSTED', 'does not fit: your quota on this machine is used up'],
  ENAMETOOLONG: ['INVALID_ARGUMENT', 'is a longer name than this machine takes'],
};

/** An error of this machine's files with the path that it is about. */
export function localError(thrown: unknown, path: string): SluiceError {
  if (thrown instanceof SluiceError) return thrown;
  if (thrown instanceof Error && thrown.name === 'AbortError')
    return new SluiceError('CANCELLED', `Copying ${path} was interrupted`, { cause: thrown });
  const errno = (thrown as NodeJS.ErrnoException).code ?? '';
  const meaning = ERRNO_MEANINGS[errno];
  if (meaning === undefined) return SluiceError.from(thrown, 'INTERNAL', path);
  const [code, says] = meaning;
  return new SluiceError(code, `${path} ${says}`, { cause: thrown });
}
