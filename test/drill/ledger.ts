import { createHash } from 'node:crypto';

/** What writers were promised, to be compared with what is there afterwards. */
export class Ledger {
  readonly #acknowledged = new Map<string, string>();
  readonly #failed = new Map<string, string>();
  readonly #surprises: string[] = [];
  #heardMs = performance.now();
  #silenceMs = 0;

  /** The write of `content` to `path` was acknowledged. */
  acknowledged(path: string, content: Uint8Array): void {
    if (this.#acknowledged.has(path)) this.#surprises.push(`${path} was acknowledged twice`);
    this.#acknowledged.set(path, digestOf(content));
    const now = performance.now();
    this.#silenceMs = Math.max(this.#silenceMs, now - this.#heardMs);
    this.#heardMs = now;
  }

  /** The longest time without an acknowledgement since this was asked before, in ms. */
  takeSilence(): number {
    const silence = this.#silenceMs;
    this.#silenceMs = 0;
    return silence;
  }

  /** The write of `path` failed without an answer: it may be there or not, but never with other bytes. */
  failed(path: string, why: string): void {
    this.#failed.set(path, why);
  }

  /** An answer that can only come from an operation that took effect twice, or of something that was lost. */
  surprise(what: string): void {
    this.#surprises.push(what);
  }

  get surprises(): readonly string[] {
    return this.#surprises;
  }

  get size(): number {
    return this.#acknowledged.size;
  }

  /** What the writes said that failed without an answer. */
  get unanswered(): readonly string[] {
    return [...this.#failed].map(([path, why]) => `${path}: ${why}`);
  }

  /** Paths with what their content must hash to. */
  entries(): Iterable<[string, string]> {
    return this.#acknowledged;
  }
}

export function digestOf(content: Uint8Array): string {
  return createHash('sha256').update(content).digest('hex');
}
