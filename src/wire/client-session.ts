import { randomUUID } from 'node:crypto';

/**
 * How far a sequence may be ahead of the oldest one that waits for its answer. The masters refuse to remember more than
 * 4,096 answers of a client.
 */
const WINDOW = 4000;

/** A client's identity to the masters, under which each mutation takes effect once. */
export class ClientSession {
  readonly client = randomUUID();
  /** The masters know it: its first mutation was done. */
  opened = false;
  /** No further mutations are begun in it. */
  retired = false;
  /** Mutations that may be sent only once the session is opened, or once older ones are answered. */
  held: { readonly sequence: number }[] = [];
  readonly #waiting = new Set<number>();
  #next = 1;

  /** Takes the next sequence; it counts as unanswered until `settled`. */
  next(): number {
    const sequence = this.#next;
    this.#next += 1;
    this.#waiting.add(sequence);
    return sequence;
  }

  /** The caller has the answer to `sequence`, or does not want it any more. */
  settled(sequence: number): void {
    this.#waiting.delete(sequence);
  }

  /** Every sequence below this one is settled. */
  get acknowledgedBelow(): number {
    for (const oldest of this.#waiting) return oldest;
    return this.#next;
  }

  /** Whether `sequence` may be sent now: number 1 goes alone, because it opens the session. */
  admits(sequence: number): boolean {
    return sequence === 1 || (this.opened && sequence - this.acknowledgedBelow < WINDOW);
  }
}
