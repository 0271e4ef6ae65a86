import { createReadStream } from 'node:fs';
import { opendir, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { FileSystem } from '../client/file-system.ts';
import { SluiceError } from '../model/errors.ts';
import { nameOf } from '../model/path.ts';
import type { FileStatus } from '../model/status.ts';
import { localError } from './copy-target.ts';
import { remotePath, treeOf } from './remote-path.ts';

/** A file or directory at or below the source of a copy. */
export interface CopyEntry {
  /** As people see it. */
  readonly path: string;
  /** Below the source, with slashes; empty is the source itself. */
  readonly name: string;
  readonly kind: 'file' | 'directory';
  readonly lengthBytes: number;
  readonly mode: number;
  read(signal: AbortSignal): AsyncIterable<Uint8Array>;
}

/** Where copies come from. */
export interface CopySource {
  /** Last name of its path. */
  readonly name: string;
  top(): Promise<CopyEntry>;
  /** The top and everything below, a directory before its children. */
  tree(signal: AbortSignal): AsyncIterable<CopyEntry>;
}

const READ_BYTES = 1024 * 1024;

/** Copies from the cluster. */
export class RemoteSource implements CopySource {
  readonly name: string;
  readonly #files: FileSystem;
  readonly #path: string;

  constructor(files: FileSystem, path: string) {
    this.#files = files;
    this.#path = remotePath(path);
    this.name = nameOf(this.#path);
  }

  async top(): Promise<CopyEntry> {
    return this.#entry(await this.#files.stat(this.#path));
  }

  async *tree(signal: AbortSignal): AsyncGenerator<CopyEntry> {
    for await (const status of treeOf(this.#files, this.#path, signal)) yield this.#entry(status);
  }

  #entry({ path, kind, lengthBytes, mode }: FileStatus): CopyEntry {
    const files = this.#files;
    const name = path === this.#path ? '' : path.slice(this.#path === '/' ? 1 : this.#path.length + 1);
    async function* read(signal: AbortSignal): AsyncGenerator<Uint8Array> {
      const reader = await files.open(path, { signal });
      yield* reader.stream({ signal });
    }
    return { path, name, kind, lengthBytes, mode, read };
  }
}

/** Copies from this machine. Links are followed, but not to directories, where they could lead in circles. */
export class LocalSource implements CopySource {
  readonly name: string;
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
    this.name = basename(path);
  }

  top(): Promise<CopyEntry> {
    return this.#entry('', true);
  }

  async *tree(): AsyncGenerator<CopyEntry> {
    const waiting = [await this.top()];
    for (let entry = waiting.pop(); entry !== undefined; entry = waiting.pop()) {
      yield entry;
      if (entry.kind === 'file') continue;
      for await (const child of await opendir(entry.path)) {
        const name = entry.name === '' ? child.name : `${entry.name}/${child.name}`;
        const found = await this.#entry(name, child.isDirectory());
        if (found.kind === 'directory') waiting.push(found);
        else yield found;
      }
    }
  }

  async #entry(name: string, mayBeDirectory: boolean): Promise<CopyEntry> {
    const path = join(this.#path, name);
    const stats = await stat(path).catch((thrown: unknown) => {
      throw localError(thrown, path);
    });
    const directory = stats.isDirectory();
    if (directory && !mayBeDirectory)
      throw new SluiceError(
        'UNSUPPORTED',
        `${path} links to a directory, which is not copied: name the directory itself`,
      );
    if (!directory && !stats.isFile())
      throw new SluiceError('UNSUPPORTED', `${path} is neither a file nor a directory: leave it out`);
    async function* read(signal: AbortSignal): AsyncGenerator<Uint8Array> {
      try {
        yield* createReadStream(path, { highWaterMark: READ_BYTES, signal });
      } catch (thrown) {
        throw localError(thrown, path);
      }
    }
    const kind = directory ? 'directory' : 'file';
    return { path, name, kind, lengthBytes: stats.size, mode: stats.mode, read };
  }
}
