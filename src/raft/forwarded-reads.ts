import type { ReadToken } from './event.ts';

interface Batch {
  readonly token: number;
  readonly reads: readonly ReadToken[];
  readonly since: number;
}

/** A follower's reads: one question to the leader at a time, for all reads that arrived before it left. */
export class ForwardedReads {
  readonly #limit: number;
  #nextToken: number;
  #waiting: ReadToken[] = [];
  #asked: Batch | undefined;

  /**
   * `firstToken` must differ between lives of a node: an answer to an earlier life must fit no question of this one.
   */
  constructor(limit: number, firstToken: number) {
    this.#limit = limit;
    this.#nextToken = firstToken;
  }

  /** Reads that the leader has not answered. */
  get pending(): number {
    return this.#waiting.length + (this.#asked?.reads.length ?? 0);
  }

  /** @returns false when there is no room. */
  add(read: ReadToken): boolean {
    if (this.#waiting.length >= this.#limit) return false;
    this.#waiting.push(read);
    return true;
  }

  /** Begins a question for all who wait: the token to send, or undefined when one is out or nobody waits. */
  ask(now: number): number | undefined {
    if (this.#asked !== undefined || this.#waiting.length === 0) return undefined;
    this.#asked = { token: this.#nextToken, reads: this.#waiting, since: now };
    this.#nextToken += 1;
    this.#waiting = [];
    return this.#asked.token;
  }

  /** The reads that the answer to `token` is for. */
  answered(token: number): readonly ReadToken[] {
    if (this.#asked?.token !== token) return [];
    const { reads } = this.#asked;
    this.#asked = undefined;
    return reads;
  }

  /** Takes out the reads of a question that was asked before tick `before`. */
  expire(before: number): readonly ReadToken[] {
    return this.#asked !== undefined && this.#asked.since < before ? this.answered(this.#asked.token) : [];
  }

  clear(): readonly ReadToken[] {
    const all = [...(this.#asked?.reads ?? []), ...this.#waiting];
    this.#asked = undefined;
    this.#waiting = [];
    return all;
  }
}
