import type { Clock } from '../base/clock.ts';
import { SluiceError } from '../model/errors.ts';
import type { ReadToken } from '../raft/event.ts';
import type { LogIndex } from '../raft/position.ts';
import type { JournalMetrics } from './journal-metrics.ts';

/** Somebody who waits until the state is fresh enough. */
export interface Reader {
  /** Waits however long it takes. */
  readonly patient: boolean;
  /** Hears what has to be applied before it may read. */
  readonly named?: ((index: LogIndex) => void) | undefined;
  resolve(): void;
  reject(error: SluiceError): void;
}

/** Readers behind one question. */
interface Asked {
  readonly readers: readonly Reader[];
  readonly sinceMs: number;
}

interface Ready extends Asked {
  readonly index: LogIndex;
}

/** Readers at the door in one turn, across all stages. */
const MAX_READERS = 65_536;

/**
 * Readers on their way: collected in the turn, then behind one question to Raft for all of them, then waiting until the
 * index that Raft named has been applied.
 */
export class JournalReads {
  #collected: Reader[] = [];
  readonly #clock: Clock;
  readonly #metrics: JournalMetrics;
  readonly #asked = new Map<ReadToken, Asked>();
  #ready: Ready[] = [];
  #lastToken: ReadToken = 0;
  #waiting = 0;

  constructor(clock: Clock, metrics: JournalMetrics) {
    this.#clock = clock;
    this.#metrics = metrics;
  }

  /** Readers, wherever they are. */
  get waiting(): number {
    return this.#waiting;
  }

  /** @throws SluiceError EXHAUSTED when too many wait. */
  add(reader: Reader): void {
    if (this.#waiting >= MAX_READERS)
      throw new SluiceError('EXHAUSTED', `${MAX_READERS} reads wait for the other masters: try again later`);
    this.#waiting += 1;
    this.#collected.push(reader);
  }

  /** Everything collected becomes one question. @returns its token, or undefined when nobody waits. */
  ask(): ReadToken | undefined {
    if (this.#collected.length === 0) return undefined;
    this.#lastToken += 1;
    this.#asked.set(this.#lastToken, { readers: this.#collected, sinceMs: this.#clock.monotonicMs() });
    this.#metrics.asked(this.#collected.length);
    this.#collected = [];
    return this.#lastToken;
  }

  /** The readers behind `token` may read when `index` is applied. */
  answered(token: ReadToken, index: LogIndex): void {
    const asked = this.#take(token);
    if (asked === undefined) return;
    for (const reader of asked.readers) reader.named?.(index);
    this.#ready.push({ index, ...asked });
  }

  failed(token: ReadToken, error: SluiceError): void {
    this.#reject(this.#take(token)?.readers ?? [], error);
  }

  /** Everything up to `index` is applied. */
  applied(index: LogIndex): void {
    if (this.#ready.length === 0) return;
    const now = this.#ready.filter((each) => each.index <= index);
    if (now.length === 0) return;
    this.#ready = this.#ready.filter((each) => each.index > index);
    const nowMs = this.#clock.monotonicMs();
    for (const { readers, sinceMs } of now) {
      this.#waiting -= readers.length;
      this.#metrics.readsWaited(readers.filter(({ patient }) => !patient).length, nowMs - sinceMs);
      for (const reader of readers) reader.resolve();
    }
  }

  /**
   * Fails who is not patient, came `patienceMs` ago or earlier, and waits until what was committed then is applied
   * here: what holds that up, e.g. a disk that stands still, may last, and another master can answer.
   */
  expire(patienceMs: number, error: () => SluiceError): void {
    if (this.#ready.length === 0) return;
    const beforeMs = this.#clock.monotonicMs() - patienceMs;
    const late: Reader[] = [];
    this.#ready = this.#ready.flatMap((each) => {
      if (each.sinceMs > beforeMs) return [each];
      const patient = each.readers.filter((reader) => reader.patient);
      late.push(...each.readers.filter((reader) => !reader.patient));
      return patient.length === 0 ? [] : [{ ...each, readers: patient }];
    });
    if (late.length > 0) this.#reject(late, error());
  }

  failAll(error: SluiceError): void {
    const asked = [...this.#asked.values(), ...this.#ready];
    const all = [this.#collected, ...asked.map(({ readers }) => readers)];
    this.#collected = [];
    this.#asked.clear();
    this.#ready = [];
    for (const readers of all) this.#reject(readers, error);
  }

  #take(token: ReadToken): Asked | undefined {
    const asked = this.#asked.get(token);
    this.#asked.delete(token);
    return asked;
  }

  #reject(readers: readonly Reader[], error: SluiceError): void {
    this.#waiting -= readers.length;
    for (const reader of readers) reader.reject(error);
  }
}
