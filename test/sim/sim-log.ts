import type { Entry } from '../../src/raft/entry.ts';
import { type LogIndex, ORIGIN, type Position, type Term } from '../../src/raft/position.ts';
import type { SimDisk } from './disk.ts';

/** A member's log in memory: on disk, in flight or collected. */
export class SimLog {
  #base: Position;
  readonly #entries: Entry[];

  constructor({ base, entries }: Pick<SimDisk, 'base' | 'entries'> = { base: ORIGIN, entries: [] }) {
    this.#base = base;
    this.#entries = [...entries];
  }

  get base(): Position {
    return this.#base;
  }

  get last(): Position {
    const last = this.#entries.at(-1);
    return last === undefined ? this.#base : { term: last.term, index: last.index };
  }

  at(index: LogIndex): Entry | undefined {
    return this.#entries[index - 1 - this.#base.index];
  }

  /** Undefined outside of what is kept. */
  termAt(index: LogIndex): Term | undefined {
    return index === this.#base.index ? this.#base.term : this.at(index)?.term;
  }

  /** Entries `from … to`. */
  range(from: LogIndex, to: LogIndex): Entry[] {
    return this.#entries.slice(from - 1 - this.#base.index, to - this.#base.index);
  }

  truncate(from: LogIndex): void {
    this.#entries.length = from - 1 - this.#base.index;
  }

  push(entries: readonly Entry[]): void {
    this.#entries.push(...entries);
  }

  compact(base: Position): void {
    this.#entries.splice(0, base.index - this.#base.index);
    this.#base = base;
  }

  reset(base: Position): void {
    this.#entries.length = 0;
    this.#base = base;
  }
}
