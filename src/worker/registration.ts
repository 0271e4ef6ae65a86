import type { CancelTimer, Timers } from '../base/clock.ts';
import type { PageStore } from '../cache/page-store.ts';
import type { Logger } from '../host/logger.ts';
import { SluiceError } from '../model/errors.ts';
import type { RegistryLink, RegistryLinkListener } from '../wire/registry-link.ts';
import type { LeaderMessage } from '../wire/registry-messages.ts';
import type { MountTable } from './mount-table.ts';

export interface RegistrationOptions {
  readonly store: PageStore;
  readonly mounts: MountTable;
  readonly timers: Timers;
  readonly logger: Logger;
  /** Opens the link to the leader, which calls the listener from then on. */
  connect(listener: RegistryLinkListener): Pick<RegistryLink, 'send' | 'close' | 'refusal'>;
}

/** Files in one message. */
const SLICE_FILES = 10_000;
/** What a lost `forget` left behind is found at the next report. */
const REPORT_INTERVAL_MS = 10 * 60_000;
/** A link that does not take a message is asked again after this long. */
const RETRY_MS = 100;

/** The worker's part of the conversation with the leader: it reports what it protects, and does what it is told. */
export class Registration {
  readonly #options: RegistrationOptions;
  readonly #link: Pick<RegistryLink, 'send' | 'close' | 'refusal'>;
  readonly #cancelReports: CancelTimer;
  #cancelRetry: CancelTimer = () => undefined;
  #registered = false;
  /** The next table of mounts is the first that this leader tells. */
  #anew = false;
  readonly #forgetting = new Set<number>();
  #forgetRun: Promise<void> | undefined;
  #closed = false;

  constructor(options: RegistrationOptions) {
    this.#options = options;
    this.#link = options.connect({ message: (message) => this.#receive(message), lost: () => this.#lost() });
    this.#cancelReports = options.timers.every(REPORT_INTERVAL_MS, () => this.#report());
  }

  /** Why masters do not take this worker; empty when they may. */
  get refusal(): string {
    return this.#link.refusal;
  }

  /** Whether the present leader knows this worker. */
  get registered(): boolean {
    return this.#registered;
  }

  #lost(): void {
    this.#registered = false;
    this.#cancelRetry();
  }

  #receive(message: LeaderMessage): void {
    const { mounts, logger } = this.#options;
    switch (message.kind) {
      case 'registered':
        this.#registered = true;
        this.#anew = true;
        this.#report();
        return;
      case 'mounts':
        logger.info({ version: message.version, mounts: message.mounts.length }, 'the leader told the mounts');
        mounts.update(message.version, message.mounts, this.#anew);
        this.#anew = false;
        return;
      case 'forget':
        for (const fileId of message.fileIds) this.#forgetting.add(fileId);
        this.#forgetRun ??= this.#forget();
        return;
      case 'workers':
        // The ring matters to those who read and write through workers.
        return;
    }
  }

  #report(): void {
    if (this.#registered) this.#reportFrom(this.#options.store.protectedFiles(), 0);
  }

  #reportFrom(files: readonly number[], start: number): void {
    this.#cancelRetry();
    for (let at = start; at < files.length; at += SLICE_FILES) {
      if (this.#link.send({ kind: 'protectedFiles', fileIds: files.slice(at, at + SLICE_FILES) })) continue;
      this.#cancelRetry = this.#options.timers.after(RETRY_MS, () => this.#reportFrom(files, at));
      return;
    }
  }

  /** Drops file by file; what comes meanwhile joins the set, so it is bounded by the files there are. */
  async #forget(): Promise<void> {
    const { store, logger } = this.#options;
    let dropped = 0;
    for (const fileId of this.#forgetting) {
      if (this.#closed) break;
      this.#forgetting.delete(fileId);
      try {
        await store.drop(fileId);
        dropped += 1;
      } catch (thrown) {
        if (!(thrown instanceof SluiceError)) throw thrown;
        logger.warn({ err: thrown, fileId }, 'a forgotten file could not be dropped, the leader will say it again');
      }
    }
    this.#forgetRun = undefined;
    logger.debug({ files: dropped }, 'dropped forgotten files');
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#registered = false;
    this.#cancelReports();
    this.#cancelRetry();
    await this.#link.close();
    await this.#forgetRun;
  }
}
