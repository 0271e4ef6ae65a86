import type { Ballot } from '../../src/raft/effect.ts';
import type { Entry } from '../../src/raft/entry.ts';
import type { LogWrite, StoredLog, TermRun } from '../../src/raft/log-store.ts';
import type { LogIndex } from '../../src/raft/position.ts';
import { ORIGIN } from '../../src/raft/position.ts';

/** A disk that survives crashes: what was written is there; the one write in flight is there wholly or not at all. */
export class SimDisk {
  ballot: Ballot = { term: 0, votedFor: undefined };
  commit: LogIndex = 0;
  readonly entries: Entry[] = [];

  write({ ballot, truncateFrom, entries, commit }: LogWrite): void {
    if (ballot !== undefined) this.ballot = ballot;
    if (truncateFrom !== undefined) this.entries.length = truncateFrom - 1;
    for (const entry of entries) {
      if (entry.index !== this.entries.length + 1) throw new Error(`Hole in the log at ${entry.index}`);
      this.entries.push(entry);
    }
    this.commit = commit;
  }

  holds(index: LogIndex, term: number): boolean {
    return this.entries[index - 1]?.term === term;
  }

  open(): StoredLog {
    const runs: TermRun[] = [];
    for (const { index, term } of this.entries) if (runs.at(-1)?.term !== term) runs.push({ first: index, term });
    const last = this.entries.at(-1);
    return {
      ballot: this.ballot,
      base: ORIGIN,
      last: last === undefined ? ORIGIN : { term: last.term, index: last.index },
      runs,
      commit: this.commit,
      configs: [],
    };
  }
}
