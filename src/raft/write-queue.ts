import { assert } from '../base/assert.ts';
import type { Ballot, Effect } from './effect.ts';
import type { Entry } from './entry.ts';
import type { WriteId } from './event.ts';
import type { LogIndex } from './position.ts';

interface WriteInFlight {
  readonly id: WriteId;
  readonly hasBallot: boolean;
  readonly since: number;
  /** The last index whose durability its completion proves; lowered when entries of it are replaced meanwhile. */
  last: LogIndex;
}

/**
 * What is in the log and not yet on its way to the disk. At most one write is in flight; the next collects meanwhile.
 */
export class WriteQueue {
  #pending: Entry[] = [];
  #truncateFrom: LogIndex | undefined;
  #inFlight: WriteInFlight | undefined;
  #lastId: WriteId = 0;
  /** The last index on disk once the write in flight is done and `#truncateFrom` obeyed. */
  #taken: LogIndex;

  constructor(last: LogIndex) {
    this.#taken = last;
  }

  get inFlight(): Readonly<WriteInFlight> | undefined {
    return this.#inFlight;
  }

  get hasPending(): boolean {
    return this.#pending.length > 0 || this.#truncateFrom !== undefined;
  }

  /** Whether entries up to `index` are on disk or in the write in flight. */
  covers(index: LogIndex): boolean {
    return index <= this.#taken;
  }

  /** The log on disk begins anew behind `last`. */
  restart(last: LogIndex): void {
    assert(this.#inFlight === undefined && !this.hasPending, 'The log begins anew while writes are under way');
    this.#taken = last;
  }

  append(entries: readonly Entry[]): void {
    for (const entry of entries) this.#pending.push(entry);
  }

  truncate(from: LogIndex): void {
    const first = this.#pending[0];
    if (first !== undefined) this.#pending.length = Math.max(0, Math.min(this.#pending.length, from - first.index));
    if (from > this.#taken) return;
    this.#truncateFrom = Math.min(this.#truncateFrom ?? from, from);
    this.#taken = from - 1;
    if (this.#inFlight !== undefined) this.#inFlight.last = Math.min(this.#inFlight.last, from - 1);
  }

  /** Makes one write of everything collected. */
  issue(ballot: Ballot | undefined, commit: LogIndex, now: number): Extract<Effect, { kind: 'write' }> {
    assert(this.#inFlight === undefined, 'Two writes in flight');
    this.#lastId += 1;
    const entries = this.#pending;
    this.#pending = [];
    this.#taken = entries.at(-1)?.index ?? this.#taken;
    this.#inFlight = { id: this.#lastId, hasBallot: ballot !== undefined, since: now, last: this.#taken };
    const truncateFrom = this.#truncateFrom;
    this.#truncateFrom = undefined;
    return {
      kind: 'write',
      id: this.#lastId,
      ...(ballot === undefined ? {} : { ballot }),
      ...(truncateFrom === undefined ? {} : { truncateFrom }),
      entries,
      commit,
    };
  }

  /** The write in flight is done. Undefined when `id` is not its id. */
  finish(id: WriteId): Readonly<WriteInFlight> | undefined {
    const done = this.#inFlight;
    if (done === undefined || done.id !== id) return undefined;
    this.#inFlight = undefined;
    return done;
  }
}
