import type { Logger } from '../host/logger.ts';
import type { Counter } from '../host/metrics.ts';
import { SluiceError } from '../model/errors.ts';
import type { PagePlace } from './page-file.ts';
import type { ContentKey } from './page-store.ts';

/** A failing disk fails at each operation: one line in this time tells enough, the counter tells how often. */
const WARN_INTERVAL_MS = 60_000;

const FULL = new Set(['ENOSPC', 'EDQUOT']);

export function isDiskFull(thrown: unknown): boolean {
  return FULL.has((thrown as NodeJS.ErrnoException).code ?? '');
}

/** Counts and reports what goes wrong with a cache folder, and says it in our errors. */
export class DiskTroubles {
  readonly #folder: string;
  readonly #logger: Logger;
  readonly #errors: Counter;
  #lastWarningMs = Number.NEGATIVE_INFINITY;

  constructor(folder: string, logger: Logger, errors: Counter) {
    this.#folder = folder;
    this.#logger = logger;
    this.#errors = errors;
  }

  /** Whether the operating system refused something, and not an invariant of ours. */
  isDiskError(thrown: unknown): boolean {
    return typeof (thrown as NodeJS.ErrnoException).code === 'string';
  }

  /** Counts an error that only costs the cache something. */
  note(thrown: unknown, message: string): void {
    if (!this.isDiskError(thrown)) throw thrown;
    this.#errors.add(1);
    this.#warn({ err: thrown, folder: this.#folder }, message);
  }

  damaged(content: ContentKey, place: PagePlace): void {
    const { fileId, version } = content;
    const { block, page } = place;
    this.#logger.warn({ folder: this.#folder, fileId, version, block, page }, 'dropped a damaged page');
  }

  #warn(fields: Readonly<Record<string, unknown>>, message: string): void {
    const now = performance.now();
    if (now - this.#lastWarningMs < WARN_INTERVAL_MS) return;
    this.#lastWarningMs = now;
    this.#logger.warn(fields, message);
  }

  /** The error for a caller who must know; ours pass as they are. */
  refusal(thrown: unknown, failed: string): unknown {
    if (thrown instanceof SluiceError || !this.isDiskError(thrown)) return thrown;
    const { code = '', message } = thrown as NodeJS.ErrnoException;
    const options = { cause: thrown, details: { errno: code } };
    if (FULL.has(code))
      return new SluiceError(
        'EXHAUSTED',
        `Cache folder ${this.#folder} ${failed}: its disk is full; free space on it, or lower worker.cache.capacity`,
        options,
      );
    return new SluiceError(
      'UNAVAILABLE',
      `Cache folder ${this.#folder} ${failed}: ${message}; check the disk and the rights of this user`,
      options,
    );
  }
}
