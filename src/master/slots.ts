import { SluiceError } from '../model/errors.ts';

/** Lets a bounded number of tasks run at a time, first come first served, with a bounded queue before them. */
export class Slots {
  readonly #what: string;
  readonly #queueLimit: number;
  readonly #queue: (() => void)[] = [];
  #free: number;

  /** `what` completes "Too many … wait". */
  constructor(what: string, slots: number, queueLimit: number) {
    this.#what = what;
    this.#free = slots;
    this.#queueLimit = queueLimit;
  }

  /** @throws SluiceError EXHAUSTED when the queue is full, or what `task` throws. */
  async run<T>(task: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free--;
    else if (this.#queue.length < this.#queueLimit) await new Promise<void>((go) => this.#queue.push(go));
    else throw new SluiceError('EXHAUSTED', `Too many ${this.#what} wait (${this.#queueLimit}): try again later`);
    try {
      return await task();
    } finally {
      const next = this.#queue.shift();
      if (next === undefined) this.#free++;
      else next();
    }
  }
}
