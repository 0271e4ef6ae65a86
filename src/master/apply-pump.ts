import { must } from '../base/assert.ts';
import type { Clock } from '../base/clock.ts';
import type { Applied } from '../model/command.ts';
import type { Entry } from '../raft/entry.ts';
import type { LogStore } from '../raft/log-store.ts';
import type { LogIndex } from '../raft/position.ts';
import { applyEntry } from './apply-entry.ts';
import type { JournalRing } from './journal-ring.ts';
import type { LevelStateStore } from './level-state-store.ts';

export interface ApplyPumpParts {
  readonly state: LevelStateStore;
  readonly ring: JournalRing;
  readonly log: LogStore;
  readonly clock: Clock;
  /** The entry has been applied; `applied` is what came of its command, undefined for entries without one. */
  applied(entry: Entry, applied: Applied | undefined): void;
  /** A slice is done. */
  sliced(entries: number, ms: number): void;
  /** The state cannot go on: an invariant is broken, or the disk failed. */
  failed(error: unknown): void;
}

/** Committed entries that wait. */
interface Behind {
  readonly to: LogIndex;
  readonly sinceMs: number;
}

/** The event loop gets its turn after this long. */
const SLICE_MS = 5;
/** The clock is looked at after so many entries. */
const ENTRIES_PER_LOOK = 16;
const READ_BYTES = 1024 * 1024;

/**
 * Hands committed entries to the state machine, in order, a slice per turn. It stops while the state store has more
 * changes in memory than it may.
 */
export class ApplyPump {
  readonly #parts: ApplyPumpParts;
  /** Entries up to here may be applied. */
  #committed: LogIndex;
  /** Entries that came from the disk; the first is at `#readFrom`. */
  #read: readonly Entry[] = [];
  #readFrom: LogIndex = 0;
  /** Something else will call `run`: a read, the state store, or the next turn. */
  #waiting = false;
  /** The oldest entries that are not applied, and those behind them: how far each goes, and when its first came. */
  #front: Behind = { to: 0, sinceMs: 0 };
  #rest: Behind | undefined;
  #stopped = false;
  /** Grows when the state is replaced: what was waited for before is of no interest. */
  #generation = 0;

  constructor(parts: ApplyPumpParts) {
    this.#parts = parts;
    this.#committed = parts.state.applied.index;
  }

  /** Entries that are committed and not applied. */
  get backlog(): number {
    return this.#committed - this.#parts.state.applied.index;
  }

  /** For how long the oldest entry that is not applied has been committed; too long by at most one such time. */
  get lagMs(): number {
    return this.backlog === 0 ? 0 : this.#parts.clock.monotonicMs() - this.#front.sinceMs;
  }

  /** Entries up to `to` are committed and durable here. */
  extend(to: LogIndex): void {
    if (this.backlog === 0) this.#front = { to, sinceMs: this.#parts.clock.monotonicMs() };
    else this.#rest = { to, sinceMs: this.#rest?.sinceMs ?? this.#parts.clock.monotonicMs() };
    this.#committed = to;
  }

  stop(): void {
    this.#stopped = true;
  }

  /** Applies nothing until `restart`. */
  suspend(): void {
    this.#generation += 1;
    this.#waiting = true;
  }

  /** The state is another one: goes on behind it. */
  restart(): void {
    this.#committed = this.#parts.state.applied.index;
    this.#read = [];
    this.#rest = undefined;
    this.#waiting = false;
  }

  /** Applies a slice. */
  run(): void {
    if (this.#waiting || this.#stopped || this.backlog === 0) return;
    const { state, clock } = this.#parts;
    const began = clock.monotonicMs();
    let count = 0;
    try {
      while (this.backlog > 0 && !this.#waiting && !this.#stopped) {
        if (!state.pause()) {
          this.#wait((go) => state.whenRoom(go));
        } else if (count > 0 && count % ENTRIES_PER_LOOK === 0 && clock.monotonicMs() - began > SLICE_MS) {
          this.#wait((go) => setImmediate(go));
        } else {
          const entry = this.#entry(state.applied.index + 1);
          if (entry === undefined) break;
          this.#apply(entry);
          count += 1;
        }
      }
      state.pause();
    } catch (thrown) {
      this.#parts.failed(thrown);
      return;
    }
    if (this.#rest !== undefined && state.applied.index >= this.#front.to) {
      this.#front = this.#rest;
      this.#rest = undefined;
    }
    if (count > 0) this.#parts.sliced(count, clock.monotonicMs() - began);
  }

  #wait(until: (go: () => void) => void): void {
    this.#waiting = true;
    const generation = this.#generation;
    until(() => {
      if (generation !== this.#generation) return;
      this.#waiting = false;
      this.run();
    });
  }

  /** The entry at `index`; undefined when it has to be read first, which then begins. */
  #entry(index: LogIndex): Entry | undefined {
    const known = this.#parts.ring.get(index) ?? this.#read[index - this.#readFrom];
    if (known !== undefined) return known;
    const generation = this.#generation;
    this.#wait((go) => {
      this.#parts.log.read(index, this.#committed, READ_BYTES).then(
        (entries) => {
          if (generation !== this.#generation) return;
          this.#read = entries;
          this.#readFrom = must(entries[0], 'A read gives at least one entry').index;
          go();
        },
        (thrown) => {
          if (generation === this.#generation) this.#parts.failed(thrown);
        },
      );
    });
    return undefined;
  }

  #apply(entry: Entry): void {
    this.#parts.applied(entry, applyEntry(this.#parts.state, entry));
  }
}
