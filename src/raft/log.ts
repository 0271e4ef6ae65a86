import { assert, must } from '../base/assert.ts';
import { type Entry, entrySizeBytes } from './entry.ts';
import type { StoredLog, TermRun } from './log-store.ts';
import type { LogIndex, Position, Term } from './position.ts';
import { SizeHistory } from './size-history.ts';

/**
 * What the core knows of its log: not the bytes, but which term each index has (as runs), how far it is durable,
 * committed and handed to the state machine. `base ≤ applied ≤ issued ≤ min(commit, durable) ≤ last`.
 */
export class RaftLog {
  readonly sizes: SizeHistory;
  #base: Position;
  #runs: TermRun[];
  #last: Position;
  #durable: LogIndex;
  #commit: LogIndex;
  #issued: LogIndex;
  #applied: LogIndex;

  constructor(stored: StoredLog, applied: LogIndex) {
    this.#base = stored.base;
    this.#runs = stored.runs.filter(
      (_, i) => (stored.runs[i + 1]?.first ?? Number.POSITIVE_INFINITY) > stored.base.index + 1,
    );
    this.#last = stored.last;
    this.#durable = stored.last.index;
    this.#commit = Math.max(stored.commit, applied);
    this.#issued = applied;
    this.#applied = applied;
    this.sizes = new SizeHistory(stored.last.index);
  }

  /** The entry before the first one kept. */
  get base(): Position {
    return this.#base;
  }

  get last(): Position {
    return this.#last;
  }

  /** Everything up to here is on disk, and is what the log holds now. */
  get durable(): LogIndex {
    return this.#durable;
  }

  get commit(): LogIndex {
    return this.#commit;
  }

  get applied(): LogIndex {
    return this.#applied;
  }

  /** Handed to the state machine, though not all of it may be applied yet. */
  get issued(): LogIndex {
    return this.#issued;
  }

  /** The term at `index`; undefined outside `base … last`. */
  termAt(index: LogIndex): Term | undefined {
    if (index > this.#last.index || index < this.base.index) return undefined;
    if (index === this.base.index) return this.base.term;
    return this.#runs[this.#runOf(index)]?.term;
  }

  /**
   * The largest position at or below `index` whose term is at most `term`: nothing above it can match a log that has
   * `term` at `index`. Never below `base`.
   */
  lastAtMost(index: LogIndex, term: Term): Position {
    let at = Math.min(index, this.#last.index);
    while (at > this.base.index) {
      const run = must(this.#runs[this.#runOf(at)], `No term is known at index ${at}`);
      if (run.term <= term) return { term: run.term, index: at };
      at = run.first - 1;
    }
    return this.base;
  }

  append(entries: readonly Entry[]): void {
    for (const entry of entries) {
      assert(entry.index === this.#last.index + 1, `Entry ${entry.index} does not follow ${this.#last.index}`);
      assert(entry.term >= this.#last.term, `Term of the log would fall from ${this.#last.term} to ${entry.term}`);
      if (entry.term !== this.#last.term || this.#runs.length === 0)
        this.#runs.push({ first: entry.index, term: entry.term });
      this.#last = { term: entry.term, index: entry.index };
      this.sizes.push(entrySizeBytes(entry));
    }
  }

  truncate(from: LogIndex): void {
    assert(from > this.#commit, `Committed entries would be removed: ${from} … ${this.#commit}`);
    assert(from <= this.#last.index, `Nothing to remove from ${from} on`);
    while ((this.#runs.at(-1)?.first ?? 0) >= from) this.#runs.pop();
    this.#last = {
      index: from - 1,
      term: from - 1 === this.base.index ? this.base.term : (this.#runs.at(-1)?.term ?? 0),
    };
    this.#durable = Math.min(this.#durable, from - 1);
    this.sizes.truncate(from);
  }

  markDurable(index: LogIndex): void {
    assert(index <= this.#last.index, `Durable index ${index} is beyond the log`);
    this.#durable = Math.max(this.#durable, index);
  }

  /** @returns whether the commit index grew. */
  commitTo(index: LogIndex): boolean {
    if (index <= this.#commit) return false;
    assert(index <= this.#last.index, `Commit index ${index} is beyond the log`);
    this.#commit = index;
    return true;
  }

  /** What may be applied now and was not handed out before. */
  issue(): { readonly from: LogIndex; readonly to: LogIndex } | undefined {
    const to = Math.min(this.#commit, this.#durable);
    if (to <= this.#issued) return undefined;
    const from = this.#issued + 1;
    this.#issued = to;
    return { from, to };
  }

  markApplied(index: LogIndex): void {
    assert(index <= this.#issued, `Applied index ${index} was never handed out`);
    this.#applied = Math.max(this.#applied, index);
  }

  /** Entries up to `base` are no longer kept. */
  compactTo(base: Position): void {
    if (base.index <= this.#base.index) return;
    assert(base.index <= this.#applied, `Entries up to ${base.index} were removed, but only ${this.#applied} applied`);
    assert(this.termAt(base.index) === base.term, `Entry ${base.index} is not of term ${base.term}`);
    this.#base = base;
    this.#runs = this.#runs.filter((_, i) => (this.#runs[i + 1]?.first ?? Number.POSITIVE_INFINITY) > base.index + 1);
  }

  /** The state machine is at `position` now. Unless the log goes on from there, it begins anew behind it. */
  restore(position: Position): void {
    const { index, term } = position;
    assert(index > this.#commit, `A snapshot of ${index} comes after ${this.#commit} was committed`);
    if (this.termAt(index) !== term) {
      this.#base = position;
      this.#runs = [];
      this.#last = position;
      this.#durable = index;
      this.sizes.reset(index);
    }
    this.#commit = index;
    this.#issued = index;
    this.#applied = index;
  }

  #runOf(index: LogIndex): number {
    const runs = this.#runs;
    let low = 0;
    let high = runs.length - 1;
    if ((runs[high]?.first ?? 0) <= index) return high;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((runs[middle]?.first ?? 0) <= index) low = middle;
      else high = middle - 1;
    }
    return low;
  }
}
