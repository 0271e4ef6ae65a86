import { assert } from '../base/assert.ts';
import type { Outcome } from '../model/command.ts';
import type { SluiceError } from '../model/errors.ts';
import type { LogIndex, Position, Term } from '../raft/position.ts';

/** Somebody who waits for the outcome of a proposal. */
export interface Waiter {
  resolve(outcome: Outcome): void;
  reject(error: SluiceError): void;
}

/** What an applied entry means for the one who waited at its index. */
export interface Settled {
  readonly waiter: Waiter;
  /** Whether it is the entry that was proposed; otherwise that one never took effect and never will. */
  readonly same: boolean;
}

const COMPACT_AT = 4096;

/**
 * Who waits for entries of the term that this master leads in. While it leads, its proposals follow each other in the
 * journal, with nothing between them but entries that the core makes itself (changes of the membership), so a queue is
 * enough: no map, nothing to search. When leadership ends the queue is emptied.
 */
export class Waiters {
  /** Nobody waits where the core's own entries are. */
  #queue: (Waiter | undefined)[] = [];
  #head = 0;
  /** Index that the waiter at `#head` waits for. */
  #first: LogIndex = 0;
  #term: Term = 0;

  /** Entries from the first that is waited for to the last. */
  get size(): number {
    return this.#queue.length - this.#head;
  }

  /** Index that the newest waiter waits for, or the last one that was waited for. */
  get last(): LogIndex {
    return this.#first + this.size - 1;
  }

  /** The waiter's proposal has this position. */
  add(at: Position, waiter: Waiter): void {
    if (this.size === 0) {
      this.#first = at.index;
      this.#term = at.term;
    }
    const next = this.#first + this.size;
    assert(at.index >= next && at.term === this.#term, 'Proposals of a term follow each other');
    for (let index = next; index < at.index; index += 1) this.#queue.push(undefined);
    this.#queue.push(waiter);
  }

  /** An entry was applied. @returns who waited at its index. */
  applied(at: Position): Settled | undefined {
    if (this.size === 0 || at.index < this.#first) return undefined;
    if (at.index !== this.#first) assert(false, `Entry ${this.#first} was not applied before ${at.index}`);
    const waiter = this.#queue[this.#head];
    this.#head += 1;
    this.#first += 1;
    if (this.#head >= COMPACT_AT && this.#head * 2 >= this.#queue.length) {
      this.#queue = this.#queue.slice(this.#head);
      this.#head = 0;
    }
    return waiter === undefined ? undefined : { waiter, same: at.term === this.#term };
  }

  /** Empties the queue. @returns who was in it. */
  clear(): readonly Waiter[] {
    const left = this.#queue.slice(this.#head).filter((waiter) => waiter !== undefined);
    this.#queue = [];
    this.#head = 0;
    return left;
  }
}
