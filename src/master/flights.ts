import { SluiceError } from '../model/errors.ts';

/** Work that is shared by all who ask for the same thing while it runs. Giving up ends the waiting, not the work. */
export class Flights<K> {
  readonly #running = new Map<K, Promise<void>>();

  /**
   * Runs `work` for `key`, or joins the run that is under way. With `strict` a run that began before the call does not
   * count: the caller waits for it, and joins or begins the next.
   * @throws what the work throws, or SluiceError CANCELLED when `signal` is aborted first
   */
  async join(key: K, strict: boolean, work: () => Promise<void>, signal: AbortSignal): Promise<void> {
    let running = this.#running.get(key);
    if (running !== undefined && strict) {
      // Its error is told to those who asked before.
      await orAbort(
        running.catch(() => undefined),
        signal,
      );
      running = this.#running.get(key);
    }
    await orAbort(running ?? this.#begin(key, work), signal);
  }

  #begin(key: K, work: () => Promise<void>): Promise<void> {
    const run = work().finally(() => this.#running.delete(key));
    this.#running.set(key, run);
    return run;
  }
}

function orAbort(work: Promise<void>, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(new SluiceError('CANCELLED', 'The caller gave up while the under storage was asked'));
    if (signal.aborted) {
      work.catch(() => undefined);
      abort();
      return;
    }
    signal.addEventListener('abort', abort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}
