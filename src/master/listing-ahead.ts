import type { Located } from '../model/status.ts';
import type { ReaderSync } from './reader-sync.ts';

/** Directories that one recursive listing loads at a time: their commands share the journal's writes. */
const MAX_RUNNING = 16;
const MAX_WAITING = 4096;

/**
 * Loads the directories that a recursive listing will enter soon, nearest first, so that it seldom waits. Only an
 * offer: whoever enters a directory asks for it again, joins the run that is under way, and hears its error.
 */
export class ListingAhead {
  readonly #sync: ReaderSync;
  readonly #signal: AbortSignal;
  /** The nearest is last. */
  #waiting: Located[] = [];
  #running = 0;
  #stopped = false;

  constructor(sync: ReaderSync, signal: AbortSignal) {
    this.#sync = sync;
    this.#signal = signal;
  }

  /** These come before all that were told earlier: a listing goes down before it goes on. */
  foresee(directories: readonly Located[]): void {
    const useful = directories.filter((directory) => this.#sync.mayListAhead(directory));
    this.#waiting.push(...useful.reverse());
    if (this.#waiting.length > MAX_WAITING) this.#waiting = this.#waiting.slice(-MAX_WAITING);
    this.#start();
  }

  /** Begins no more; what is under way ends by itself. */
  stop(): void {
    this.#stopped = true;
    this.#waiting = [];
  }

  #start(): void {
    while (this.#running < MAX_RUNNING && !this.#stopped && !this.#signal.aborted) {
      const next = this.#waiting.pop();
      if (next === undefined) return;
      this.#running += 1;
      const ended = (): void => {
        this.#running -= 1;
        this.#start();
      };
      // A failure is told to who enters the directory, which asks again. Nobody needs to be let go early.
      this.#sync.list(next.path, next.inode.id, new AbortController().signal).then(ended, ended);
    }
  }
}
