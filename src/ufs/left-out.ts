import type { Logger } from '../host/logger.ts';

/** Examples that one report shows at most. */
const MAX_EXAMPLES = 5;

/** Counts what a listing cannot show, so that nothing is dropped in silence. */
export class LeftOut {
  readonly #counts = new Map<string, number>();
  readonly #examples: string[] = [];

  /** @param reason one of a few constants. */
  add(reason: string, name: string): void {
    this.#counts.set(reason, (this.#counts.get(reason) ?? 0) + 1);
    if (this.#examples.length < MAX_EXAMPLES) this.#examples.push(name);
  }

  get total(): number {
    let total = 0;
    for (const count of this.#counts.values()) total += count;
    return total;
  }

  /** Writes one line when anything was left out. */
  report(logger: Logger, path: string): void {
    if (this.total === 0) return;
    const reasons = Object.fromEntries(this.#counts);
    logger.warn({ path, total: this.total, reasons, examples: this.#examples }, 'listing left out entries');
  }
}
