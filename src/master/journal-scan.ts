import { type FileOperations, systemFiles } from '../host/file-operations.ts';
import { LevelDatabase } from '../host/level-database.ts';
import type { Ballot } from '../raft/effect.ts';
import type { Entry } from '../raft/entry.ts';
import type { TermRun } from '../raft/log-store.ts';
import { type LogIndex, ORIGIN, type Position } from '../raft/position.ts';
import { decodeLogBase, decodeLogMark, type LogMark, type LogNote } from '../wire/codec/log-record.ts';
import type { SegmentMeta } from '../wire/codec/segment-record.ts';
import { BASE_KEY, FIRST_BLOCK_KEY, LAST_BLOCK_KEY, LogScan, MARK_KEY } from './level-log-scan.ts';
import { readLogNote } from './log-note.ts';
import { newSegmentMeta, readSegmentMeta } from './segment-meta.ts';
import { SegmentScan } from './segment-scan.ts';

/** A journal of any store that is read from its begin and changed in nothing. */
export interface JournalScan {
  readonly base: Position;
  /** The last entry that was verified. */
  readonly last: Position;
  /** Of the entries that were verified. */
  readonly runs: readonly TermRun[];
  readonly ballot: Ballot | undefined;
  readonly commit: LogIndex | undefined;
  /** The last entry that is expected, as far as that is known. */
  readonly expected: LogIndex;
  /**
   * Verifies the journal, all of it when it ends without an error. Some of the entries may be gone by later writes.
   * @throws SluiceError CORRUPT that names the first entry that is wrong or missing, UNSUPPORTED
   */
  verify(): AsyncGenerator<readonly Entry[]>;
  /** The entries of the log, and at the first that is wrong the error of `verify`. Only one of both may be asked. */
  entries(): AsyncGenerator<readonly Entry[]>;
  /** The last entry of the log, as far as it is whole. */
  findLast(): Promise<LogIndex>;
  close(): Promise<void>;
}

const LEVEL_OPTIONS = { blockCacheBytes: 1024 * 1024, writeBufferBytes: 16 * 1024 * 1024 };

/** A LevelDB's journal. It is opened, which changes its files: give a copy. */
export class LevelJournalScan implements JournalScan {
  readonly base: Position;
  readonly #level: LevelDatabase<Uint8Array>;
  readonly #mark: LogMark | undefined;
  readonly #note: LogNote | undefined;
  readonly #scan: LogScan;

  private constructor(level: LevelDatabase<Uint8Array>, note: LogNote | undefined, named: string) {
    this.#note = note;
    const baseRecord = level.getSync(BASE_KEY);
    const markRecord = level.getSync(MARK_KEY);
    const start = baseRecord === undefined ? { base: ORIGIN, chain: 0 } : decodeLogBase(baseRecord);
    this.base = start.base;
    this.#mark = markRecord === undefined ? undefined : decodeLogMark(markRecord);
    this.#scan = new LogScan(named, start);
    this.#level = level;
  }

  /** @param named The folder that errors tell of. */
  static async open(folder: string, named: string): Promise<LevelJournalScan> {
    const level = await LevelDatabase.openBinary(folder, LEVEL_OPTIONS);
    try {
      return new LevelJournalScan(level, await readLogNote(systemFiles, folder), named);
    } catch (thrown) {
      await level.close();
      throw thrown;
    }
  }

  get last(): Position {
    return this.#scan.last;
  }

  get runs(): readonly TermRun[] {
    return this.#scan.runs;
  }

  get ballot(): Ballot | undefined {
    return this.#mark?.ballot;
  }

  get commit(): LogIndex | undefined {
    return this.#mark?.commit;
  }

  get expected(): LogIndex {
    return this.#mark?.last.index ?? 0;
  }

  async *verify(): AsyncGenerator<readonly Entry[]> {
    for await (const [key, record] of this.#level.range({ gte: FIRST_BLOCK_KEY, lte: LAST_BLOCK_KEY }))
      yield this.#scan.add(key, record);
    this.#scan.finish(this.#mark, this.#note);
  }

  entries(): AsyncGenerator<readonly Entry[]> {
    return this.verify();
  }

  async findLast(): Promise<LogIndex> {
    return this.expected;
  }

  close(): Promise<void> {
    return this.#level.close();
  }
}

/** Entries from `from` on are gone by the write of this number. */
interface Truncation {
  readonly sequence: number;
  readonly from: LogIndex;
}

/** A journal in segment files, read where it is. */
export class SegmentJournalScan implements JournalScan {
  readonly base: Position;
  readonly #files: FileOperations;
  readonly #folder: string;
  readonly #meta: SegmentMeta;
  readonly #scan: SegmentScan;

  private constructor(files: FileOperations, folder: string, meta: SegmentMeta) {
    this.base = meta.base;
    this.#files = files;
    this.#folder = folder;
    this.#meta = meta;
    this.#scan = new SegmentScan(files, folder, meta);
  }

  static async open(files: FileOperations, folder: string): Promise<SegmentJournalScan> {
    const found = await readSegmentMeta(files, folder, await files.list(folder));
    return new SegmentJournalScan(files, folder, found?.meta ?? newSegmentMeta());
  }

  get last(): Position {
    return this.#scan.last;
  }

  get runs(): readonly TermRun[] {
    return this.#scan.runs;
  }

  get ballot(): Ballot {
    return this.#scan.ballot;
  }

  get commit(): LogIndex {
    return this.#scan.commit;
  }

  get expected(): LogIndex {
    return Math.max(this.#scan.last.index, this.#meta.segments.at(-1)?.previous.index ?? 0);
  }

  async *verify(): AsyncGenerator<readonly Entry[]> {
    for await (const { entries } of this.#scan.frames()) yield entries.filter(({ index }) => index > this.base.index);
  }

  async *entries(): AsyncGenerator<readonly Entry[]> {
    const truncations: Truncation[] = [];
    const first = new SegmentScan(this.#files, this.#folder, this.#meta);
    try {
      let last = this.base.index;
      for await (const { header } of first.frames()) {
        if (header.first <= last) truncations.push({ sequence: header.sequence, from: header.first });
        last = header.first + header.count - 1;
      }
    } catch {
      // Comes again below, behind the entries that are before it.
    }
    for await (const { header, entries } of this.#scan.frames()) {
      while ((truncations[0]?.sequence ?? Number.POSITIVE_INFINITY) <= header.sequence) truncations.shift();
      const end = truncations.reduce((least, { from }) => Math.min(least, from), Number.POSITIVE_INFINITY);
      yield entries.filter(({ index }) => index > this.base.index && index < end);
    }
  }

  async findLast(): Promise<LogIndex> {
    const scan = new SegmentScan(this.#files, this.#folder, this.#meta);
    try {
      for await (const _ of scan.frames());
    } catch {
      // Comes again from `entries`.
    }
    return scan.last.index;
  }

  async close(): Promise<void> {}
}
