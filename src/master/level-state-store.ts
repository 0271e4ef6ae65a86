import { assert } from '../base/assert.ts';
import type { CancelTimer, Timers } from '../base/clock.ts';
import { LevelDatabase } from '../host/level-database.ts';
import { SluiceError } from '../model/errors.ts';
import { compareKeys } from '../model/path.ts';
import {
  type KeyedTable,
  replyKey,
  type ScanRange,
  type StateScanner,
  type StateStore,
  type TableName,
  type Tables,
} from '../model/state-store.ts';
import type { Membership } from '../raft/membership.ts';
import { ORIGIN, type Position } from '../raft/position.ts';
import {
  decodeApplied,
  decodeRow,
  decodeStoredMembership,
  encodeApplied,
  encodeStoredMembership,
} from '../wire/codec/state.ts';
import { withWayOut } from './level-log-scan.ts';
import { APPLIED_KEY, CONDEMNED_KEY, MEMBERSHIP_KEY, TABLE_LETTERS } from './state-keys.ts';
import { type RowFlush, StateRows } from './state-rows.ts';
import { openStateView, type StateView } from './state-view.ts';

/** Changed rows at which a flush begins at once, and at which applying waits for the flush. */
const FLUSH_ROWS = 16_384;
const MAX_ROWS = 2 * FLUSH_ROWS;
/**
 * Changes wait this long for more: a row that changes with each command (the counters) is written once, and one that
 * comes and goes meanwhile (a remembered answer) never.
 */
const FLUSH_DELAY_MS = 1000;
/** Rows that are encoded before the event loop gets its turn. */
const ENCODE_SLICE = 1000;

export interface LevelStateStoreOptions {
  readonly folder: string;
  /** Memory for rows. */
  readonly cacheBytes: number;
  readonly timers: Timers;
  /** A flush failed: what is in memory can no longer become durable. The process must stop. */
  onFatal(error: SluiceError): void;
}

/**
 * Replicated state in a LevelDB of its own. Changes collect in memory and are flushed as one synced batch together with
 * the position of the last entry they came from, one flush at a time; a restart replays the journal from there. Every
 * flush is synced, because LevelDB may lose the middle of what was not.
 */
export class LevelStateStore implements StateStore, StateScanner {
  readonly #options: LevelStateStoreOptions;
  /** Undefined while another state takes the place of this one. */
  #level: LevelDatabase<string> | undefined;
  #rows: StateRows;
  #flight: Promise<void> | undefined;
  #applied: Position;
  #membership: Membership | undefined;
  /** `#membership` is not on disk yet. */
  #membershipChanged = false;
  /** `StateRows.version` at the end of the last finished entry. */
  #appliedVersion = 0;
  #flushed: Position;
  #cancelDelay: CancelTimer | undefined;
  #roomWanted: (() => void)[] = [];
  #failure: SluiceError | undefined;
  #closing: Promise<void> | undefined;

  private constructor(options: LevelStateStoreOptions, opened: Opened) {
    this.#options = options;
    this.#level = opened.level;
    this.#rows = new StateRows(options.cacheBytes);
    this.#applied = opened.applied;
    this.#flushed = opened.applied;
    this.#membership = opened.membership;
  }

  /** @throws SluiceError as `LevelDatabase.openText`; CORRUPT when the record of the applied position is damaged. */
  static async open(options: LevelStateStoreOptions): Promise<LevelStateStore> {
    return new LevelStateStore(options, await openState(options));
  }

  /** The last entry whose changes `get` shows. */
  get applied(): Position {
    return this.#applied;
  }

  /** The members as of `applied`; undefined until an entry has said so. */
  get membership(): Membership | undefined {
    return this.#membership;
  }

  /** Of the namespace; empty before it is formatted, and while another state takes the place of this one. */
  get clusterId(): string {
    return this.#level === undefined ? '' : (this.get('cluster', '')?.clusterId ?? '');
  }

  /** The last entry whose changes are on disk. */
  get flushed(): Position {
    return this.#flushed;
  }

  /** Rows that wait for the disk. */
  get pendingRows(): number {
    return this.#rows.changed + this.#rows.flushing;
  }

  get cachedBytes(): number {
    return this.#rows.bytes;
  }

  get<T extends KeyedTable>(table: T, key: string): Tables[T] | undefined {
    const known = this.#rows.find(table, key);
    if (known !== undefined) return known.row as Tables[T] | undefined;
    if (this.#rows.isNowhere(table, key)) return undefined;
    const bytes = this.#database.getSync(TABLE_LETTERS[table] + key);
    if (bytes === undefined) {
      this.#rows.keepAbsence(table, key);
      return undefined;
    }
    const row = decodeRow(table, bytes);
    this.#rows.keep(table, key, row, bytes);
    return row;
  }

  put<T extends KeyedTable>(table: T, key: string, row: Tables[T]): void {
    this.#rows.put(table, key, row, false);
  }

  insert<T extends KeyedTable>(table: T, key: string, row: Tables[T]): void {
    this.#rows.put(table, key, row, true);
  }

  delete(table: KeyedTable, key: string): void {
    this.#rows.delete(table, key);
  }

  reply(client: string, sequence: number): Tables['reply'] | undefined {
    const known = this.#rows.findReply(client, sequence);
    if (known !== undefined) return known.reply;
    const bytes = this.#database.getSync(TABLE_LETTERS.reply + replyKey(client, sequence));
    return bytes && decodeRow('reply', bytes);
  }

  insertReply(client: string, sequence: number, reply: Tables['reply']): void {
    this.#rows.insertReply(client, sequence, reply);
  }

  deleteReplies(client: string, from: number, below: number): void {
    this.#rows.deleteReplies(client, from, below);
  }

  /** The entry that is being applied changes the membership. */
  putMembership(membership: Membership): void {
    this.#membership = membership;
    this.#membershipChanged = true;
  }

  /** All changes of the entry at `position` have been made. Call it for every entry, in order, also without changes. */
  finishEntry(position: Position): void {
    if (position.index !== this.#applied.index + 1)
      assert(false, `Entry ${position.index} does not follow ${this.#applied.index}`);
    this.#applied = position;
    this.#appliedVersion = this.#rows.version;
  }

  /** Between two entries: lets a flush begin. @returns whether more entries may be applied now. */
  pause(): boolean {
    if (this.#rows.changed >= FLUSH_ROWS) this.#beginFlush();
    else if (this.#cancelDelay === undefined && this.#applied.index > this.#flushed.index)
      this.#cancelDelay = this.#options.timers.after(FLUSH_DELAY_MS, () => this.#beginFlush());
    return this.#rows.changed < MAX_ROWS;
  }

  /** Calls `task` once when `pause` would answer true again. */
  whenRoom(task: () => void): void {
    this.#roomWanted.push(task);
  }

  /** Flushes everything applied so far. @throws SluiceError when the disk refuses, or an entry was left unfinished. */
  async flush(): Promise<void> {
    const { index } = this.#applied;
    while (this.#flushed.index < index) {
      if (this.#failure !== undefined) throw this.#failure;
      if (this.#torn) throw new SluiceError('INTERNAL', `Applying what follows entry ${index} broke off: restart`);
      this.#beginFlush();
      await this.#flight;
    }
  }

  async scan<T extends TableName>(
    table: T,
    range: ScanRange,
  ): Promise<readonly { readonly key: string; readonly row: Tables[T] }[]> {
    const { prefix, after } = range;
    const changes = [...this.#rows.collect(table, prefix)].filter(
      ([key]) => after === '' || compareKeys(key, after) > 0,
    );
    const sorted = changes.sort(([a], [b]) => compareKeys(a, b));
    // A generator runs up to its first await at once, and LevelDB's iterator keeps what it saw then.
    return this.#merge(table, range, sorted, this.#rows);
  }

  /** All rows as they are now, between two entries, whatever changes later. The caller closes it. */
  view(): StateView {
    assert(!this.#torn, 'A view shows whole entries');
    return openStateView(this.#database, this.#rows, this.#applied);
  }

  /**
   * Replaces everything by the state that `swap` puts into the folder, whole. What was not flushed is given up. Until
   * it has resolved, reads that memory cannot answer are refused with UNAVAILABLE, and views break.
   * @throws as `open`, and what `swap` throws
   */
  async replace(swap: () => Promise<void>): Promise<void> {
    const level = this.#database;
    this.#cancelDelay?.();
    this.#cancelDelay = undefined;
    this.#level = undefined;
    this.#roomWanted = [];
    await this.#flight;
    if (this.#failure !== undefined) throw this.#failure;
    await level.close();
    await swap();
    const { level: next, applied, membership } = await openState(this.#options);
    this.#level = next;
    this.#rows = new StateRows(this.#options.cacheBytes);
    this.#appliedVersion = 0;
    this.#applied = applied;
    this.#flushed = applied;
    this.#membership = membership;
    this.#membershipChanged = false;
  }

  /** From now on this state is refused at its opening, with `reason`. @throws SluiceError when the disk refuses */
  async condemn(reason: string): Promise<void> {
    const batch = this.#database.batch();
    batch.put(CONDEMNED_KEY, Buffer.from(reason, 'utf8'));
    await batch.write({ sync: true });
  }

  /** Flushes and closes; an unfinished entry, and what no flush took before it, is left to the journal. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    try {
      if (this.#level !== undefined && this.#failure === undefined && !this.#torn) await this.flush();
    } finally {
      this.#cancelDelay?.();
      await this.#flight?.catch(() => undefined);
      await this.#level?.close();
    }
  }

  get #database(): LevelDatabase<string> {
    if (this.#level !== undefined) return this.#level;
    throw new SluiceError('UNAVAILABLE', 'This master is taking over a snapshot: ask another one, or try again soon');
  }

  async #merge<T extends TableName>(
    table: T,
    range: ScanRange,
    changes: readonly (readonly [string, Tables[T] | undefined])[],
    rows: StateRows,
  ): Promise<readonly { readonly key: string; readonly row: Tables[T] }[]> {
    const { version } = rows;
    const letter = TABLE_LETTERS[table];
    const begin = compareKeys(range.after, range.prefix) > 0 ? range.after : range.prefix;
    const found: { key: string; row: Tables[T] }[] = [];
    let next = 0;
    const takeChangesBelow = (key: string | undefined) => {
      for (; next < changes.length && found.length < range.limit; next += 1) {
        const [changed, row] = changes[next] ?? [''];
        if (key !== undefined && compareKeys(changed, key) >= 0) return;
        if (row !== undefined) found.push({ key: changed, row });
      }
    };
    /** @returns whether more may follow. */
    const takeStored = (storedKey: string, bytes: Uint8Array): boolean => {
      const key = storedKey.slice(letter.length);
      if (!storedKey.startsWith(letter) || !key.startsWith(range.prefix)) return false;
      if (key === range.after && range.after !== '') return true;
      takeChangesBelow(key);
      if (found.length < range.limit && changes[next]?.[0] !== key) {
        const known = rows.asOf(version, table, key) as Tables[T] | undefined;
        found.push({ key, row: known ?? decodeRow(table, bytes) });
      }
      return found.length < range.limit;
    };
    // Each change can hide one stored row.
    const stored = this.#database.chunks({ gte: letter + begin, limit: range.limit + changes.length + 1 });
    for await (const pairs of stored) if (!pairs.every(([key, bytes]) => takeStored(key, bytes))) break;
    takeChangesBelow(undefined);
    return found;
  }

  /**
   * An entry has changed rows and is not finished. Between turns that means that its applying broke off: half of it
   * must not become durable, or a restart would apply it a second time.
   */
  get #torn(): boolean {
    return this.#rows.version !== this.#appliedVersion;
  }

  #beginFlush(): void {
    this.#cancelDelay?.();
    this.#cancelDelay = undefined;
    const idle = this.#flight === undefined && this.#failure === undefined && this.#level !== undefined;
    if (!idle || this.#torn || this.#applied.index === this.#flushed.index) return;
    const membership = this.#membershipChanged ? this.#membership : undefined;
    this.#membershipChanged = false;
    this.#flight = this.#flush(this.#rows.beginFlush(), this.#applied, membership).catch((thrown: unknown) => {
      this.#failure = SluiceError.from(thrown);
      this.#options.onFatal(this.#failure);
    });
  }

  /** @param membership when it has changed */
  async #flush(changes: RowFlush, position: Position, membership: Membership | undefined): Promise<void> {
    const batch = this.#database.batch();
    for (let from = 0; from < changes.length; from += ENCODE_SLICE) {
      if (from > 0) await new Promise((resolve) => setImmediate(resolve));
      changes.addTo(batch, from, Math.min(from + ENCODE_SLICE, changes.length));
    }
    batch.put(APPLIED_KEY, encodeApplied(position));
    if (membership !== undefined) batch.put(MEMBERSHIP_KEY, encodeStoredMembership(membership));
    await batch.write({ sync: true });
    this.#rows.endFlush();
    this.#flushed = position;
    this.#flight = undefined;
    const wanted = this.#roomWanted;
    this.#roomWanted = [];
    this.pause();
    for (const task of wanted) task();
  }
}

interface Opened {
  readonly level: LevelDatabase<string>;
  readonly applied: Position;
  readonly membership: Membership | undefined;
}

async function openState({ folder, cacheBytes }: LevelStateStoreOptions): Promise<Opened> {
  let level: LevelDatabase<string> | undefined;
  try {
    level = await LevelDatabase.openText(folder, {
      blockCacheBytes: Math.ceil(cacheBytes / 2),
      writeBufferBytes: 16 * 1024 * 1024,
    });
    const record = level.getSync(APPLIED_KEY);
    if (record === undefined && !(await level.isEmpty()))
      throw new SluiceError('CORRUPT', `State store ${folder} has lost its position`);
    const condemned = level.getSync(CONDEMNED_KEY);
    if (condemned !== undefined) throw new SluiceError('CORRUPT', Buffer.from(condemned).toString('utf8'));
    const members = level.getSync(MEMBERSHIP_KEY);
    return {
      level,
      applied: record === undefined ? ORIGIN : decodeApplied(record),
      membership: members === undefined ? undefined : decodeStoredMembership(members),
    };
  } catch (thrown) {
    await level?.close();
    throw withWayOut(thrown);
  }
}
