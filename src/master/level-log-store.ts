import { assert, must } from '../base/assert.ts';
import { systemFiles } from '../host/file-operations.ts';
import { LevelDatabase, type LevelOptions } from '../host/level-database.ts';
import { findTableDamage } from '../host/level-table-check.ts';
import { SluiceError } from '../model/errors.ts';
import type { Ballot } from '../raft/effect.ts';
import { type Entry, entrySizeBytes } from '../raft/entry.ts';
import type { LogStore, LogWrite, StoredLog } from '../raft/log-store.ts';
import { type LogIndex, ORIGIN, type Position } from '../raft/position.ts';
import {
  type Chain,
  chainBehind,
  decodeBlock,
  decodeLogBase,
  decodeLogMark,
  encodeBlock,
  encodeLogBase,
  encodeLogMark,
} from '../wire/codec/log-record.ts';
import { journalDiskError } from './journal-disk-error.ts';
import { checkStoreKind, journalFiles } from './journal-store-kind.ts';
import {
  BASE_KEY,
  type BlockKey,
  blockKey,
  damaged,
  FIRST_BLOCK_KEY,
  indexOfKey,
  LAST_BLOCK_KEY,
  LogScan,
  MARK_KEY,
  withWayOut,
} from './level-log-scan.ts';
import { readLogNote, writeLogNote } from './log-note.ts';

const LEVEL_OPTIONS: LevelOptions = { blockCacheBytes: 1024 * 1024, writeBufferBytes: 16 * 1024 * 1024 };
/** Blocks that one batch of a compaction removes: a slice holds up the log's writes for about a millisecond. */
const COMPACT_SLICE = 1000;
/** Writes after which it is noted that they are durable. */
const NOTE_EVERY = 4096;

/** A block and what is behind it that a truncation removes, and where the log then ends. */
interface Cut {
  readonly removed: readonly BlockKey[];
  readonly kept: { readonly key: BlockKey; readonly bytes: Uint8Array } | undefined;
  readonly last: Position;
  readonly chain: Chain;
}

/**
 * The journal in a LevelDB of its own: one record for the entries of a write, keyed by its first index, and one record
 * that is written with each of them and says whom this master voted for, and where the log ends. Both are one synced
 * batch, so a write that was torn by a crash is not there at all; anything else that is missing or changed is damage.
 */
export class LevelLogStore implements LogStore {
  readonly #folder: string;
  readonly #openLevel: typeof LevelDatabase.openBinary;
  #level: LevelDatabase<Uint8Array> | undefined;
  #ballot: Ballot = { term: 0, votedFor: undefined };
  #commit: LogIndex = 0;
  #base: Position = ORIGIN;
  #last: Position = ORIGIN;
  #chain: Chain = 0;
  #writes = 0;
  #noted = 0;
  #noting: Promise<void> | undefined;
  #writing = false;
  #compacting = false;
  #poison: unknown;

  /** @param openLevel For tests of what a failing disk does. */
  constructor(folder: string, openLevel: typeof LevelDatabase.openBinary = LevelDatabase.openBinary) {
    this.#folder = folder;
    this.#openLevel = openLevel;
  }

  async open(): Promise<StoredLog> {
    assert(this.#level === undefined, 'A log store is opened once');
    let level: LevelDatabase<Uint8Array> | undefined;
    try {
      checkStoreKind(this.#folder, await journalFiles(this.#folder), 'level');
      await this.#refuseTableDamage();
      level = await this.#openLevel(this.#folder, LEVEL_OPTIONS);
      const stored = await this.#verify(level);
      // Made now, its files need no space when the disk is full.
      if (this.#noted === 0) await this.#note();
      this.#level = level;
      return stored;
    } catch (thrown) {
      await level?.close();
      throw withWayOut(thrown);
    }
  }

  write(write: LogWrite): Promise<void> {
    return this.#alone((level) => this.#write(level, write));
  }

  async read(from: LogIndex, to: LogIndex, maxBytes: number): Promise<readonly Entry[]> {
    const level = this.#opened();
    const start = from <= this.#base.index ? undefined : await this.#blockOf(level, from);
    if (start === undefined || to > this.#last.index) throw this.#gone(from, to);
    const found: Entry[] = [];
    let bytes = 0;
    for await (const [key, record] of level.range({ gte: start, lte: blockKey(to) })) {
      // A compaction has overtaken this read.
      if (found.length === 0 && indexOfKey(key) > from) throw this.#gone(from, to);
      for (const entry of this.#decode(key, record).entries) {
        if (entry.index < from) continue;
        if (entry.index > to || bytes >= maxBytes) return found;
        found.push(entry);
        bytes += entrySizeBytes(entry);
      }
      if (bytes >= maxBytes) break;
    }
    if (found.length === 0) throw this.#gone(from, to);
    return found;
  }

  async compact(upTo: Position): Promise<void> {
    const level = this.#opened();
    assert(!this.#compacting, 'Two compactions of the log at a time');
    assert(upTo.index <= this.#last.index, `Compaction up to ${upTo.index} is beyond the log`);
    this.#checkPoison();
    this.#compacting = true;
    try {
      await this.#compact(level, upTo);
    } catch (thrown) {
      this.#poison ??= thrown;
      throw thrown;
    } finally {
      this.#compacting = false;
    }
  }

  async reset(base: Position): Promise<void> {
    assert(!this.#compacting, 'A compaction of the log runs');
    return this.#alone((level) => this.#reset(level, base));
  }

  /** When nothing has failed, notes that all writes are durable: the loss of any of them is then noticed. */
  async close(): Promise<void> {
    await this.#noting;
    const level = this.#level;
    this.#level = undefined;
    await level?.close();
    if (level !== undefined && this.#poison === undefined && this.#writes > this.#noted) await this.#note();
  }

  /** How many entries are kept. */
  get entries(): number {
    return this.#last.index - this.#base.index;
  }

  /** LevelDB ends the process when a table makes no sense to it; all of them are read anyway. */
  async #refuseTableDamage(): Promise<void> {
    const table = await findTableDamage(this.#folder, new AbortController().signal);
    if (table === undefined) return;
    throw new SluiceError('CORRUPT', `Journal ${this.#folder} is damaged (${table} has a wrong checksum)`);
  }

  async #verify(level: LevelDatabase<Uint8Array>): Promise<StoredLog> {
    const baseRecord = level.getSync(BASE_KEY);
    const markRecord = level.getSync(MARK_KEY);
    const base = baseRecord === undefined ? { base: ORIGIN, chain: 0 } : decodeLogBase(baseRecord);
    const scan = new LogScan(this.#folder, base);
    for await (const [key, record] of level.range({ gte: FIRST_BLOCK_KEY, lte: LAST_BLOCK_KEY })) scan.add(key, record);
    const mark = markRecord === undefined ? undefined : decodeLogMark(markRecord);
    const note = await readLogNote(systemFiles, this.#folder);
    scan.finish(mark, note);
    this.#base = base.base;
    this.#last = scan.last;
    this.#chain = scan.chain;
    this.#writes = mark?.writes ?? 0;
    this.#noted = note?.writes ?? 0;
    if (mark !== undefined) this.#ballot = mark.ballot;
    this.#commit = Math.max(mark?.commit ?? 0, base.base.index);
    const { runs, configs } = scan;
    return { ballot: this.#ballot, base: this.#base, last: this.#last, runs, commit: this.#commit, configs };
  }

  /** One change at a time, and none after one that failed: what is on disk then is unknown. */
  async #alone(change: (level: LevelDatabase<Uint8Array>) => Promise<void>): Promise<void> {
    const level = this.#opened();
    assert(!this.#writing, 'Two writes of the log at a time');
    this.#checkPoison();
    this.#writing = true;
    try {
      await change(level);
      this.#writes += 1;
      if (this.#writes >= this.#noted + NOTE_EVERY && this.#noting === undefined) this.#noteSoon();
    } catch (thrown) {
      this.#poison = thrown;
      throw thrown;
    } finally {
      this.#writing = false;
    }
  }

  async #note(): Promise<void> {
    const note = { writes: this.#writes, commit: this.#commit };
    await writeLogNote(systemFiles, this.#folder, note).catch((thrown: unknown) => {
      throw journalDiskError(this.#folder, thrown);
    });
    this.#noted = note.writes;
  }

  #noteSoon(): void {
    this.#noting = this.#note()
      .catch((thrown: unknown) => {
        this.#poison ??= thrown;
      })
      .finally(() => {
        this.#noting = undefined;
      });
  }

  #checkPoison(): void {
    if (this.#poison === undefined) return;
    const { message } = SluiceError.from(this.#poison);
    throw new SluiceError('INTERNAL', `Journal ${this.#folder} failed before (${message}): restart this master`, {
      cause: this.#poison,
    });
  }

  async #write(level: LevelDatabase<Uint8Array>, write: LogWrite): Promise<void> {
    const cut = write.truncateFrom === undefined ? undefined : await this.#cut(level, write.truncateFrom);
    let last = cut?.last ?? this.#last;
    let chain = cut?.chain ?? this.#chain;
    const batch = level.batch();
    for (const key of cut?.removed ?? []) batch.delete(key);
    if (cut?.kept !== undefined) batch.put(cut.kept.key, cut.kept.bytes);
    const [first] = write.entries;
    if (first !== undefined) {
      assert(first.index === last.index + 1, `Entry ${first.index} does not follow ${last.index}`);
      const block = encodeBlock(write.entries, chain);
      batch.put(blockKey(first.index), block.bytes);
      const end = must(write.entries.at(-1), 'A block has a last entry');
      last = { term: end.term, index: end.index };
      chain = block.after;
    }
    const ballot = write.ballot ?? this.#ballot;
    const commit = Math.max(this.#commit, write.commit);
    assert(commit <= last.index, `Commit index ${commit} is beyond the log (${last.index})`);
    batch.put(MARK_KEY, encodeLogMark({ ballot, commit, last, chain, writes: this.#writes + 1 }));
    await batch.write({ sync: true });
    this.#ballot = ballot;
    this.#commit = commit;
    this.#last = last;
    this.#chain = chain;
  }

  async #compact(level: LevelDatabase<Uint8Array>, upTo: Position): Promise<void> {
    let ended: BlockKey[] = [];
    let open: BlockKey | undefined;
    for await (const keys of level.keys({ gte: FIRST_BLOCK_KEY, lte: blockKey(upTo.index + 1) })) {
      for (const key of keys) {
        if (open !== undefined) ended.push(open);
        open = key;
        if (ended.length < COMPACT_SLICE) continue;
        await this.#drop(level, ended);
        ended = [];
      }
    }
    // The log's last block ends at `upTo` when nothing is behind it.
    if (open !== undefined && indexOfKey(open) <= upTo.index && upTo.index === this.#last.index) ended.push(open);
    if (ended.length > 0) await this.#drop(level, ended);
  }

  async #reset(level: LevelDatabase<Uint8Array>, base: Position): Promise<void> {
    const batch = level.batch();
    for await (const keys of level.keys({ gte: FIRST_BLOCK_KEY, lte: LAST_BLOCK_KEY }))
      for (const key of keys) batch.delete(key);
    const chain = chainBehind(base);
    batch.put(BASE_KEY, encodeLogBase({ base, chain }));
    const mark = { ballot: this.#ballot, commit: base.index, last: base, chain, writes: this.#writes + 1 };
    batch.put(MARK_KEY, encodeLogMark(mark));
    await batch.write({ sync: true });
    this.#base = base;
    this.#last = base;
    this.#commit = base.index;
    this.#chain = chain;
  }

  /** What to change so that the log ends before `from`. */
  async #cut(level: LevelDatabase<Uint8Array>, from: LogIndex): Promise<Cut> {
    assert(from > this.#commit && from <= this.#last.index, `The log cannot be cut at ${from}`);
    const key = must(await this.#blockOf(level, from), `A block holds entry ${from}`);
    const removed: BlockKey[] = [];
    for await (const keys of level.keys({ gte: key, lte: LAST_BLOCK_KEY })) removed.push(...keys);
    const { header, entries } = this.#decode(key, must(level.getSync(key), 'A key that was found has a record'));
    const stay = entries.slice(0, from - header.first);
    const end = stay.at(-1);
    if (end !== undefined) {
      const { bytes, after } = encodeBlock(stay, header.before);
      return { removed, kept: { key, bytes }, last: { term: end.term, index: end.index }, chain: after };
    }
    return { removed, kept: undefined, last: await this.#endBefore(level, header.first), chain: header.before };
  }

  /** The position before `first`, which begins a block. */
  async #endBefore(level: LevelDatabase<Uint8Array>, first: LogIndex): Promise<Position> {
    if (first - 1 === this.#base.index) return this.#base;
    const key = must(await this.#blockOf(level, first - 1), `A block holds entry ${first - 1}`);
    return this.#endOf(level, key);
  }

  #endOf(level: LevelDatabase<Uint8Array>, key: BlockKey): Position {
    const { entries } = this.#decode(key, must(level.getSync(key), 'A key that was found has a record'));
    const { term, index } = must(entries.at(-1), 'A block has a last entry');
    return { term, index };
  }

  /** Removes the first blocks, together with the note where the log begins. */
  async #drop(level: LevelDatabase<Uint8Array>, keys: readonly BlockKey[]): Promise<void> {
    const end = must(keys.at(-1), 'There is a block to drop');
    const { header } = this.#decode(end, must(level.getSync(end), 'A key that was found has a record'));
    const base = this.#endOf(level, end);
    const batch = level.batch();
    for (const key of keys) batch.delete(key);
    batch.put(BASE_KEY, encodeLogBase({ base, chain: header.after }));
    await batch.write({ sync: true });
    this.#base = base;
    this.#commit = Math.max(this.#commit, base.index);
  }

  async #blockOf(level: LevelDatabase<Uint8Array>, index: LogIndex): Promise<BlockKey | undefined> {
    const range = { gte: FIRST_BLOCK_KEY, lte: blockKey(index), reverse: true, limit: 1 };
    for await (const keys of level.keys(range)) return keys[0];
    return undefined;
  }

  #decode(key: BlockKey, record: Uint8Array): ReturnType<typeof decodeBlock> {
    try {
      return decodeBlock(record);
    } catch (thrown) {
      throw damaged(this.#folder, indexOfKey(key), SluiceError.from(thrown).message, thrown);
    }
  }

  #gone(from: LogIndex, to: LogIndex): SluiceError {
    return new SluiceError('NOT_FOUND', `Journal ${this.#folder} does not have entries ${from} to ${to}`);
  }

  #opened(): LevelDatabase<Uint8Array> {
    return must(this.#level, 'The log store is not open');
  }
}
