import { assert } from '../../src/base/assert.ts';
import type { Ballot } from '../../src/raft/effect.ts';
import type { Entry } from '../../src/raft/entry.ts';
import type { LogWrite, StoredLog, TermRun } from '../../src/raft/log-store.ts';
import { type LogIndex, ORIGIN, type Position } from '../../src/raft/position.ts';

/** What was done to a disk. */
export type DiskDeed =
  | { readonly kind: 'open' }
  | { readonly kind: 'write'; readonly write: LogWrite }
  | { readonly kind: 'compact'; readonly upTo: Position }
  | { readonly kind: 'reset'; readonly base: Position };

/** A disk that survives crashes: what was written is there; the one write in flight is there wholly or not at all. */
export class SimDisk {
  readonly #deeds: DiskDeed[] | undefined;
  ballot: Ballot = { term: 0, votedFor: undefined };
  commit: LogIndex = 0;
  base: Position = ORIGIN;
  /** The first is at `base.index + 1`. */
  readonly entries: Entry[] = [];

  /** @param deeds gets what is done to the disk */
  constructor(deeds?: DiskDeed[]) {
    this.#deeds = deeds;
  }

  get last(): Position {
    const last = this.entries.at(-1);
    return last === undefined ? this.base : { term: last.term, index: last.index };
  }

  at(index: LogIndex): Entry | undefined {
    return this.entries[index - 1 - this.base.index];
  }

  write(write: LogWrite): void {
    const { ballot, truncateFrom, entries, commit } = write;
    this.#deeds?.push({ kind: 'write', write });
    const { index: base } = this.base;
    if (truncateFrom !== undefined) {
      const fits = truncateFrom > Math.max(this.commit, base) && truncateFrom <= this.last.index;
      assert(fits, `The log cannot be cut at ${truncateFrom}`);
      this.entries.length = truncateFrom - 1 - base;
    }
    for (const entry of entries) {
      assert(entry.index === this.last.index + 1, `Entry ${entry.index} does not follow ${this.last.index}`);
      this.entries.push(entry);
    }
    assert(commit <= this.last.index, `Commit index ${commit} is beyond the log (${this.last.index})`);
    if (ballot !== undefined) this.ballot = ballot;
    this.commit = Math.max(this.commit, commit);
  }

  compact(upTo: Position): void {
    if (upTo.index <= this.base.index) return;
    assert(this.holds(upTo.index, upTo.term), `Compaction up to ${upTo.index} is not in the log`);
    this.#deeds?.push({ kind: 'compact', upTo });
    this.entries.splice(0, upTo.index - this.base.index);
    this.base = upTo;
    this.commit = Math.max(this.commit, upTo.index);
  }

  reset(base: Position): void {
    this.#deeds?.push({ kind: 'reset', base });
    this.entries.length = 0;
    this.base = base;
    this.commit = base.index;
  }

  /** Whether the entry is here, or what stands for it: it was committed when it was forgotten. */
  holds(index: LogIndex, term: number): boolean {
    return index <= this.base.index || this.at(index)?.term === term;
  }

  copy(): SimDisk {
    const copy = new SimDisk();
    copy.ballot = this.ballot;
    copy.commit = this.commit;
    copy.base = this.base;
    for (const entry of this.entries) copy.entries.push(entry);
    return copy;
  }

  open(): StoredLog {
    this.#deeds?.push({ kind: 'open' });
    const runs: TermRun[] = [];
    for (const { index, term } of this.entries) if (runs.at(-1)?.term !== term) runs.push({ first: index, term });
    const configs = this.entries.filter(({ kind }) => kind === 'config');
    return { ballot: this.ballot, base: this.base, last: this.last, runs, commit: this.commit, configs };
  }
}
