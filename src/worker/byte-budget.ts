import { assert } from '../base/assert.ts';
import { formatBytes } from '../base/units.ts';
import { SluiceError } from '../model/errors.ts';

interface Waiter {
  readonly bytes: number;
  readonly grant: () => void;
}

const MAX_WAITERS = 10_000;

/** Bounds the bytes in memory at a time; who wants more waits, first come first served. */
export class ByteBudget {
  readonly capacityBytes: number;
  #freeBytes: number;
  readonly #waiters = new Set<Waiter>();

  constructor(capacityBytes: number) {
    this.capacityBytes = capacityBytes;
    this.#freeBytes = capacityBytes;
  }

  get usedBytes(): number {
    return this.capacityBytes - this.#freeBytes;
  }

  /** Takes bytes when they are free now and nobody waits. */
  tryAcquire(bytes: number): boolean {
    if (this.#waiters.size > 0 || bytes > this.#freeBytes) return false;
    this.#freeBytes -= bytes;
    return true;
  }

  /** Takes bytes as soon as they are free. @throws CANCELLED on abort, EXHAUSTED when too many wait already. */
  async acquire(bytes: number, signal?: AbortSignal): Promise<void> {
    assert(bytes <= this.capacityBytes, `${bytes} bytes of a budget of ${this.capacityBytes} are wanted`);
    if (signal?.aborted === true) throw new SluiceError('CANCELLED', 'The caller gave up');
    if (this.tryAcquire(bytes)) return;
    if (this.#waiters.size >= MAX_WAITERS)
      throw new SluiceError(
        'EXHAUSTED',
        `All ${formatBytes(this.capacityBytes)} for data under way are in use and ${MAX_WAITERS} requests wait: ` +
          'try later, or raise worker.memory',
      );
    await new Promise<void>((resolve, reject) => {
      const waiter: Waiter = {
        bytes,
        grant: () => {
          signal?.removeEventListener('abort', abort);
          resolve();
        },
      };
      const abort = (): void => {
        this.#waiters.delete(waiter);
        this.#grant();
        reject(new SluiceError('CANCELLED', 'The caller gave up'));
      };
      signal?.addEventListener('abort', abort, { once: true });
      this.#waiters.add(waiter);
    });
  }

  release(bytes: number): void {
    this.#freeBytes += bytes;
    assert(this.#freeBytes <= this.capacityBytes, 'More bytes are released than were taken');
    this.#grant();
  }

  #grant(): void {
    for (const waiter of this.#waiters) {
      if (waiter.bytes > this.#freeBytes) return;
      this.#freeBytes -= waiter.bytes;
      this.#waiters.delete(waiter);
      waiter.grant();
    }
  }
}
