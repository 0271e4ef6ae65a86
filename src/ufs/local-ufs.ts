import { randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import { access, type FileHandle, lstat, open, opendir, rename, rmdir, unlink } from 'node:fs/promises';
import type { Logger } from '../host/logger.ts';
import type { UfsFact } from '../model/command.ts';
import { SluiceError } from '../model/errors.ts';
import { throwIfAborted } from './abort.ts';
import { LocalAccounts } from './local-accounts.ts';
import { changeableAt, setLocalAttributes } from './local-attributes.ts';
import { deleteTree } from './local-delete.ts';
import { errnoOf, localError } from './local-errors.ts';
import { localFact, localVersion } from './local-fact.ts';
import { listLocal, NAMES_PER_PASS } from './local-list.ts';
import { joinLocal, LocalRoot, syncDirectory } from './local-root.ts';
import { sweepTemporaries } from './local-sweep.ts';
import { LocalWriter } from './local-writer.ts';
import type { Ufs, UfsAttributes, UfsReadRange, UfsWriter } from './ufs.ts';
import {
  baseName,
  checkChangeable,
  checkRename,
  checkUfsPath,
  isTemporaryName,
  parentPath,
  temporaryName,
} from './ufs-path.ts';

const CHUNK_BYTES = 2 ** 20;

export interface LocalUfsSettings {
  /** Names that a listing sorts in memory at once. */
  readonly namesPerPass?: number;
}

/** A directory of this host, or of a network file system that this host has mounted. */
export class LocalUfs implements Ufs {
  readonly uri: string;
  readonly #root: LocalRoot;
  readonly #logger: Logger;
  readonly #accounts: LocalAccounts;
  readonly #namesPerPass: number;
  /** Only who may write here sweeps here. */
  #mayWrite = false;

  /** @param root absolute normal path */
  constructor(root: string, logger: Logger, settings: LocalUfsSettings = {}) {
    this.uri = `file://${root}`;
    this.#root = new LocalRoot(root);
    this.#logger = logger.child({ ufs: this.uri });
    this.#accounts = new LocalAccounts(this.#logger);
    this.#namesPerPass = settings.namesPerPass ?? NAMES_PER_PASS;
  }

  check(readOnly: boolean): Promise<void> {
    return this.#run('', async () => {
      const root = await this.#root.real('NOT_FOUND');
      await access(root, constants.R_OK | constants.X_OK);
      if (readOnly) return;
      const probe = joinLocal(root, temporaryName(randomUUID()));
      const handle = await open(probe, 'wx', 0o600);
      await handle.close();
      await unlink(probe);
      this.#mayWrite = true;
    });
  }

  stat(path: string, signal?: AbortSignal): Promise<UfsFact | undefined> {
    return this.#run(path, async () => {
      checkUfsPath(path);
      throwIfAborted(signal);
      const found = await this.#root.find(path);
      return found && localFact(baseName(path), found.stats, await this.#accounts.names());
    });
  }

  async *list(path: string, signal?: AbortSignal): AsyncGenerator<readonly UfsFact[]> {
    try {
      checkUfsPath(path);
      const temporaries: string[] = [];
      const directory = await this.#root.directory(path);
      const accounts = await this.#accounts.names();
      const context = { root: this.#root, logger: this.#logger, namesPerPass: this.#namesPerPass };
      yield* listLocal({ ...context, path, directory, accounts, signal }, temporaries);
      if (this.#mayWrite) await sweepTemporaries(directory, temporaries, this.#logger);
    } catch (thrown) {
      throw await localError(thrown, this.#root.shown(path));
    }
  }

  async *read(path: string, range: UfsReadRange): AsyncGenerator<Uint8Array> {
    let handle: FileHandle | undefined;
    try {
      checkUfsPath(path);
      throwIfAborted(range.signal);
      handle = await this.#open(path);
      yield* this.#readFrom(handle, path, range);
    } catch (thrown) {
      throw await localError(thrown, this.#root.shown(path));
    } finally {
      await handle?.close();
    }
  }

  create(path: string, attributes: UfsAttributes): Promise<UfsWriter> {
    return this.#run(path, async () => {
      checkChangeable(this.uri, path, 'create');
      this.#mayWrite = true;
      const directory = await this.#root.makeDirectories(parentPath(path));
      const name = baseName(path);
      if (await this.#isDirectory(joinLocal(directory, name), path))
        throw this.#refuse('IS_A_DIRECTORY', path, 'is a directory: choose another name');
      const target = { directory, name, attributes };
      return LocalWriter.open(target, await this.#accounts.names(), this.#logger);
    });
  }

  makeDirectory(path: string, attributes: UfsAttributes): Promise<void> {
    return this.#run(path, async () => {
      checkUfsPath(path);
      if (path === '') return void (await this.#root.real());
      checkChangeable(this.uri, path, 'create');
      this.#mayWrite = true;
      if ((await this.#root.find(path))?.stats.isDirectory()) return;
      const directory = await this.#root.makeDirectories(path);
      await setLocalAttributes(changeableAt(directory), attributes, await this.#accounts.names());
    });
  }

  delete(path: string, options: { readonly recursive: boolean; readonly signal?: AbortSignal }): Promise<void> {
    return this.#run(path, async () => {
      checkChangeable(this.uri, path, 'delete');
      throwIfAborted(options.signal);
      this.#mayWrite = true;
      const entry = await this.#root.entry(path);
      if (entry === undefined) return;
      try {
        if (!(await lstat(entry)).isDirectory()) await unlink(entry);
        else if (options.recursive) await deleteTree(entry, options.signal);
        else await this.#removeDirectory(entry);
      } catch (thrown) {
        if (errnoOf(thrown) === 'ENOENT') return;
        throw thrown;
      }
      await syncDirectory(entry.slice(0, entry.lastIndexOf('/')) || '/');
    });
  }

  rename(source: string, target: string, signal?: AbortSignal): Promise<UfsFact> {
    return this.#run(source, async () => {
      checkRename(this.uri, source, target);
      throwIfAborted(signal);
      this.#mayWrite = true;
      const found = await this.#root.find(source);
      const from = await this.#root.entry(source);
      if (found === undefined || from === undefined) throw this.#refuse('NOT_FOUND', source, 'does not exist');
      const directory = await this.#root.makeDirectories(parentPath(target));
      const to = joinLocal(directory, baseName(target));
      try {
        await rename(from, to);
      } catch (thrown) {
        throw await localError(thrown, this.#root.shown(target));
      }
      await syncDirectory(directory);
      await syncDirectory(from.slice(0, from.lastIndexOf('/')) || '/');
      const moved = await this.stat(target);
      if (moved === undefined) throw this.#refuse('NOT_FOUND', target, 'has vanished just after it was renamed');
      return moved;
    });
  }

  setAttributes(path: string, attributes: UfsAttributes): Promise<void> {
    return this.#run(path, async () => {
      checkUfsPath(path);
      const found = await this.#root.find(path);
      if (found === undefined) throw this.#refuse('NOT_FOUND', path, 'does not exist');
      await setLocalAttributes(changeableAt(found.absolute), attributes, await this.#accounts.names());
    });
  }

  async close(): Promise<void> {}

  /** Whether a directory is at `absolute`, or a link that counts as one. */
  async #isDirectory(absolute: string, path: string): Promise<boolean> {
    try {
      const stats = await lstat(absolute);
      if (!stats.isSymbolicLink()) return stats.isDirectory();
    } catch (thrown) {
      if (errnoOf(thrown) === 'ENOENT') return false;
      throw thrown;
    }
    return (await this.#root.find(path))?.stats.isDirectory() ?? false;
  }

  /** Runs `task` and turns what it throws into our errors about `path`. */
  async #run<T>(path: string, task: () => Promise<T>): Promise<T> {
    try {
      return await task();
    } catch (thrown) {
      throw await localError(thrown, this.#root.shown(path));
    }
  }

  async #open(path: string): Promise<FileHandle> {
    const found = await this.#root.find(path);
    if (found === undefined) throw this.#refuse('NOT_FOUND', path, 'does not exist');
    if (found.stats.isDirectory()) throw this.#refuse('IS_A_DIRECTORY', path, 'is a directory: list it');
    if (!found.stats.isFile()) throw this.#refuse('NOT_FOUND', path, 'is neither file nor directory');
    return open(found.absolute, constants.O_RDONLY | constants.O_NOFOLLOW);
  }

  async *#readFrom(handle: FileHandle, path: string, range: UfsReadRange): AsyncGenerator<Uint8Array> {
    const stats = await handle.stat({ bigint: true });
    this.#checkVersion(localVersion(stats), path, range);
    const end = Math.min(range.offset + range.lengthBytes, Number(stats.size));
    for (let at = range.offset; at < end; ) {
      throwIfAborted(range.signal);
      const chunk = Buffer.allocUnsafeSlow(Math.min(CHUNK_BYTES, end - at));
      const { bytesRead } = await handle.read(chunk, 0, chunk.byteLength, at);
      // Bytes count as this version's only when it still is this version after they were read.
      if (range.version !== '') {
        this.#checkVersion(localVersion(await handle.stat({ bigint: true })), path, range);
      }
      if (bytesRead === 0) return;
      at += bytesRead;
      yield chunk.subarray(0, bytesRead);
    }
  }

  #checkVersion(version: string, path: string, range: UfsReadRange): void {
    if (range.version === '' || range.version === version) return;
    const shown = this.#root.shown(path);
    throw new SluiceError(
      'STALE',
      `${shown} is now version ${version}, not ${range.version}: ask for its status again`,
    );
  }

  /** Removes an empty directory; what only stale temporary files fill counts as empty. */
  async #removeDirectory(directory: string): Promise<void> {
    try {
      await rmdir(directory);
    } catch (thrown) {
      if (errnoOf(thrown) !== 'ENOTEMPTY' && errnoOf(thrown) !== 'EEXIST') throw thrown;
      const temporaries: string[] = [];
      for await (const { name } of await opendir(directory)) {
        if (!isTemporaryName(name)) throw thrown;
        temporaries.push(name);
        if (temporaries.length > 1000) throw thrown;
      }
      if ((await sweepTemporaries(directory, temporaries, this.#logger)) > 0) throw thrown;
      await rmdir(directory);
    }
  }

  #refuse(code: 'NOT_FOUND' | 'IS_A_DIRECTORY', path: string, says: string): SluiceError {
    return new SluiceError(code, `${this.#root.shown(path)} ${says}`);
  }
}
