/** Read positions whose sending is remembered; more than are on their way at a time. */
const REMEMBERED = 1024;

/**
 * When a leader sent each of its read positions: who echoes one has heard this leader at that time or later, and
 * promises with it not to help another one for a while (thesis §6.4.1). So a lease begins when what was answered was
 * sent, never when the answer came.
 */
export class Lease {
  #first = 1;
  #sentMs: number[] = [];
  #givenUp = true;

  /** Another leadership begins, which nobody has promised anything to. */
  begin(): void {
    this.#first = 1;
    this.#sentMs = [];
    this.#givenUp = false;
  }

  /**
   * There is no lease any more as long as this leadership lasts: somebody was asked to take over, and whenever that
   * message arrives, he and his voters are free of their promises.
   */
  giveUp(): void {
    this.#givenUp = true;
  }

  get givenUp(): boolean {
    return this.#givenUp;
  }

  /** `position` follows the last one, and leaves at `timeMs` or later. */
  sent(position: number, timeMs: number): void {
    if (position !== this.#first + this.#sentMs.length) this.#forget(position);
    this.#sentMs.push(timeMs);
    if (this.#sentMs.length > 2 * REMEMBERED) this.#forget(this.#first + REMEMBERED);
  }

  /** Undefined when it was long ago. */
  sentMs(position: number): number | undefined {
    return this.#sentMs[position - this.#first];
  }

  #forget(before: number): void {
    this.#sentMs = this.#sentMs.slice(before - this.#first);
    this.#first = before;
  }
}
