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
  /** What stays behind the last applied entry, so that a member that was away for a while needs no snapshot. */
  readonly keepEntries: number;
  readonly keepBytes: number;
  /** The last entry whose changes are durable in the state store. */
  flushed(): Position;
  /** The log has forgotten the entries up to `base`. */
  compacted(base: Position): void;
  failed(error: unknown): void;
}

/** Marks between the end and what is kept. */
const MARKS = 8;

/**
 * Shortens the log on disk: a bounded tail of it stays, whoever may lack what is before; such a member gets a snapshot.
 * While a snapshot is read from this master, the log stays from there on (`pin`).
 */
export class JournalCompaction {
  readonly #parts: CompactionParts;
  readonly #pins = new Set<{ readonly index: LogIndex }>();
  #marks: Mark[] = [];
  #bytes = 0;
  #marked: Mark;
  #running: Promise<void> | undefined;

  /** @param applied Where applying begins. */
  constructor(parts: CompactionParts, applied: Position) {
    this.#parts = parts;
    this.#marked = { position: applied, bytes: 0 };
  }

  /** Counts an applied entry, and begins to compact when there is enough to forget. */
  applied(entry: Entry): void {
    this.#bytes += entrySizeBytes(entry);
    const { keepEntries, keepBytes } = this.#parts;
    const { position, bytes } = this.#marked;
    if ((entry.index - position.index) * MARKS < keepEntries && (this.#bytes - bytes) * MARKS < keepBytes) return;
    this.#marked = { position: { term: entry.term, index: entry.index }, bytes: this.#bytes };
    this.#marks.push(this.#marked);
    this.#compact(entry.index);
  }

  /** Entries behind `index` stay until the pin is let go. @returns lets it go */
  pin(index: LogIndex): () => void {
    const pin = { index };
    this.#pins.add(pin);
    return () => this.#pins.delete(pin);
  }

  /** The log begins anew behind `applied`, or its state does. */
  restart(applied: Position): void {
    this.#marks = [];
    this.#bytes = 0;
    this.#marked = { position: applied, bytes: 0 };
  }

  /** Resolves when no compaction runs. */
  async idle(): Promise<void> {
    await this.#running;
  }

  #compact(applied: LogIndex): void {
    if (this.#running !== undefined) return;
    const { log, keepEntries, keepBytes } = this.#parts;
    const upTo = Math.min(this.#parts.flushed().index, ...[...this.#pins].map((pin) => pin.index));
    const old = this.#marks.findLastIndex(
      ({ position, bytes }) =>
        position.index <= upTo && (applied - position.index >= keepEntries || this.#bytes - bytes >= keepBytes),
    );
    const mark = this.#marks[old];
    if (mark === undefined) return;
    this.#marks = this.#marks.slice(old + 1);
    this.#running = log
      .compact(mark.position)
      .then(() => this.#parts.compacted(mark.position))
      .catch(this.#parts.failed)
      .finally(() => {
        this.#running = undefined;
      });
  }
}
