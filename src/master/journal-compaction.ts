import { type Entry, entrySizeBytes } from '../raft/entry.ts';
import type { LogStore } from '../raft/log-store.ts';
import type { LogIndex, Position } from '../raft/position.ts';

/** Where the log may be cut, and how many bytes had been applied when it was reached. */
interface Mark {
  readonly position: Position;
  readonly bytes: number;
}

export interface CompactionParts {
  readonly log: LogStore;
  readonly keepEntries: number;
  readonly keepBytes: number;
  /** The last entry whose changes are durable in the state store. */
  flushed(): Position;
  failed(error: unknown): void;
}

/** Marks between the end and what is kept. */
const MARKS = 8;
const MAX_MARKS = 1024;

/**
 * Shortens the log on disk. Nothing is forgotten that a member may still need: the leader notes in the journal itself
 * up to where all members hold it (`heldByAll`), and each master, when it applies such a note, forgets what is before
 * an earlier note that is old enough. So a member that is down for long keeps the log of the others long.
 */
export class JournalCompaction {
  readonly #parts: CompactionParts;
  #marks: Mark[] = [];
  #bytes = 0;
  #markedIndex: LogIndex;
  #markedBytes = 0;
  #running: Promise<void> | undefined;

  /** @param applied Where applying begins. */
  constructor(parts: CompactionParts, applied: LogIndex) {
    this.#parts = parts;
    this.#markedIndex = applied;
  }

  /** Counts an applied entry. @returns whether the leader should note again what all members hold. */
  applied(entry: Entry): boolean {
    this.#bytes += entrySizeBytes(entry);
    const { keepEntries, keepBytes } = this.#parts;
    const entries = entry.index - this.#markedIndex;
    return entries * MARKS >= keepEntries || (this.#bytes - this.#markedBytes) * MARKS >= keepBytes;
  }

  /** A note has been applied: `entry` says that all members hold the log up to `held`. */
  noted(entry: Entry, held: LogIndex): void {
    const position = { term: entry.term, index: entry.index };
    this.#markedIndex = entry.index;
    this.#markedBytes = this.#bytes;
    this.#marks.push({ position, bytes: this.#bytes });
    if (this.#marks.length > MAX_MARKS) this.#marks = this.#marks.filter((_, i) => i % 2 === 0);
    const upTo = Math.min(held, this.#parts.flushed().index);
    const { keepEntries, keepBytes } = this.#parts;
    const old = this.#marks.findLastIndex(
      (mark) =>
        mark.position.index <= upTo &&
        (entry.index - mark.position.index >= keepEntries || this.#bytes - mark.bytes >= keepBytes),
    );
    const mark = this.#marks[old];
    if (mark === undefined || this.#running !== undefined) return;
    this.#marks = this.#marks.slice(old + 1);
    this.#running = this.#parts.log
      .compact(mark.position)
      .catch(this.#parts.failed)
      .finally(() => {
        this.#running = undefined;
      });
  }

  /** Resolves when no compaction runs. */
  async idle(): Promise<void> {
    await this.#running;
  }
}
