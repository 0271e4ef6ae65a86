import { must } from '../base/assert.ts';

interface Waiter {
  readonly exclusive: boolean;
  readonly start: () => void;
}

interface Lane {
  shared: number;
  exclusive: boolean;
  readonly waiters: Waiter[];
}

/** Locks by key, shared or exclusive, in the order of the calls. A key that nobody holds costs nothing. */
export class KeyedLock {
  readonly #lanes = new Map<number, Lane>();

  /** Runs `task` beside other shared tasks of `key`, never beside an exclusive one. */
  shared<T>(key: number, task: () => Promise<T>): Promise<T> {
    return this.#run(key, false, task);
  }

  /** Runs `task` alone among the tasks of `key`. */
  exclusive<T>(key: number, task: () => Promise<T>): Promise<T> {
    return this.#run(key, true, task);
  }

  async #run<T>(key: number, exclusive: boolean, task: () => Promise<T>): Promise<T> {
    const lane = this.#lanes.get(key) ?? { shared: 0, exclusive: false, waiters: [] };
    this.#lanes.set(key, lane);
    if (lane.waiters.length > 0 || !free(lane, exclusive))
      await new Promise<void>((start) => lane.waiters.push({ exclusive, start }));
    else take(lane, exclusive);
    try {
      return await task();
    } finally {
      if (exclusive) lane.exclusive = false;
      else lane.shared -= 1;
      this.#next(key, lane);
    }
  }

  #next(key: number, lane: Lane): void {
    while (lane.waiters.length > 0 && free(lane, must(lane.waiters[0], 'no waiter').exclusive)) {
      const waiter = must(lane.waiters.shift(), 'no waiter');
      take(lane, waiter.exclusive);
      waiter.start();
    }
    if (lane.shared === 0 && !lane.exclusive && lane.waiters.length === 0) this.#lanes.delete(key);
  }
}

function free(lane: Lane, exclusive: boolean): boolean {
  return !lane.exclusive && (!exclusive || lane.shared === 0);
}

function take(lane: Lane, exclusive: boolean): void {
  if (exclusive) lane.exclusive = true;
  else lane.shared += 1;
}
