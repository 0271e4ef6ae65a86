import { randomUUID } from 'node:crypto';
import { type FileHandle, open, rename, unlink } from 'node:fs/promises';
import { assert, must } from '../base/assert.ts';
import type { Logger } from '../host/logger.ts';
import type { UfsFact } from '../model/command.ts';
import type { AccountNames } from './local-accounts.ts';
import { setLocalAttributes } from './local-attributes.ts';
import { errnoOf, localError } from './local-errors.ts';
import { localFact } from './local-fact.ts';
import { joinLocal, syncDirectory } from './local-root.ts';
import type { UfsAttributes, UfsWriter } from './ufs.ts';
import { temporaryName } from './ufs-path.ts';

/** Rights of a file for which none are given. */
const DEFAULT_MODE = 0o644;

/** Where a file is to appear. */
export interface LocalTarget {
  /** Real path of its directory. */
  readonly directory: string;
  readonly name: string;
  readonly attributes: UfsAttributes;
}

/** Writes a file beside its place under a temporary name: fsync, rename, fsync of the directory. */
export class LocalWriter implements UfsWriter {
  readonly #target: LocalTarget;
  readonly #accounts: AccountNames;
  readonly #logger: Logger;
  readonly #handle: FileHandle;
  readonly #temporary: string;
  #ended = false;
  /** A file that lacks bytes must never be completed. */
  #failed = false;

  private constructor(target: LocalTarget, accounts: AccountNames, logger: Logger, handle: FileHandle, path: string) {
    this.#target = target;
    this.#accounts = accounts;
    this.#logger = logger;
    this.#handle = handle;
    this.#temporary = path;
  }

  static async open(target: LocalTarget, accounts: AccountNames, logger: Logger): Promise<LocalWriter> {
    const temporary = joinLocal(target.directory, temporaryName(randomUUID()));
    try {
      const handle = await open(temporary, 'wx', 0o600);
      return new LocalWriter(target, accounts, logger, handle, temporary);
    } catch (thrown) {
      throw await localError(thrown, joinLocal(target.directory, target.name));
    }
  }

  async write(chunk: Uint8Array): Promise<void> {
    assert(!this.#ended && !this.#failed, 'Write to a file that has ended or failed');
    try {
      for (let at = 0; at < chunk.byteLength; ) {
        const { bytesWritten } = await this.#handle.write(chunk, at, chunk.byteLength - at);
        at += bytesWritten;
      }
    } catch (thrown) {
      this.#failed = true;
      throw await localError(thrown, this.#path);
    }
  }

  async complete(): Promise<UfsFact> {
    assert(!this.#ended && !this.#failed, 'Completion of a file that has ended or failed');
    this.#ended = true;
    try {
      const { attributes, directory, name } = this.#target;
      await setLocalAttributes(this.#handle, { mode: DEFAULT_MODE, ...attributes }, this.#accounts);
      await this.#handle.sync();
      await rename(this.#temporary, this.#path);
      await syncDirectory(directory);
      const stats = await this.#handle.stat({ bigint: true });
      return must(localFact(name, stats, this.#accounts), 'a regular file is no longer one');
    } catch (thrown) {
      await this.#remove();
      throw await localError(thrown, this.#path);
    } finally {
      await this.#handle.close();
    }
  }

  async abort(): Promise<void> {
    if (this.#ended) return;
    this.#ended = true;
    await this.#remove();
    await this.#handle.close().catch((thrown: unknown) => this.#lament(thrown));
  }

  get #path(): string {
    return joinLocal(this.#target.directory, this.#target.name);
  }

  async #remove(): Promise<void> {
    try {
      await unlink(this.#temporary);
    } catch (thrown) {
      if (errnoOf(thrown) !== 'ENOENT') this.#lament(thrown);
    }
  }

  /** What stays behind is hidden, and swept when it is old. */
  #lament(thrown: unknown): void {
    this.#logger.warn({ path: this.#temporary, err: thrown }, 'cannot clean up an aborted file');
  }
}
