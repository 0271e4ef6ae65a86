import { dirname } from 'node:path';
import { assert, must } from '../base/assert.ts';
import { type FileOperations, systemFiles } from '../host/file-operations.ts';
import { SluiceError } from '../model/errors.ts';
import type { Ballot } from '../raft/effect.ts';
import { type Entry, entrySizeBytes } from '../raft/entry.ts';
import type { LogStore, LogWrite, StoredLog } from '../raft/log-store.ts';
import { type LogIndex, ORIGIN, type Position } from '../raft/position.ts';
import { type Chain, chainBehind, chainOf, decodeEntries } from '../wire/codec/log-record.ts';
import {
  decodeFrameHeader,
  encodeFrame,
  entriesOfFrame,
  FRAME_ALIGNMENT,
  frameBytes,
  type SegmentMeta,
} from '../wire/codec/segment-record.ts';
import { FrameIndex, type IndexedFrame } from './frame-index.ts';
import { journalDiskError } from './journal-disk-error.ts';
import { checkStoreKind } from './journal-store-kind.ts';
import { type Segment, SegmentFiles } from './segment.ts';
import { newSegmentMeta, readSegmentMeta, SEGMENT_NAME, writeSegmentMeta } from './segment-meta.ts';
import { damagedAt, SegmentScan } from './segment-scan.ts';

export interface SegmentLogOptions {
  readonly files: FileOperations;
  /** Length of a segment file; a larger write gets a file of its own. */
  readonly segmentBytes: number;
  /** Writes after which the meta files say that they are durable. */
  readonly noteEvery: number;
}

const DEFAULTS: SegmentLogOptions = { files: systemFiles, segmentBytes: 64 * 1024 * 1024, noteEvery: 4096 };
/** The buffer that frames are made in stays, up to this size. */
const KEPT_BUFFER_BYTES = 4 * 1024 * 1024;
/** Frames that are read at once, and what may lie between them unread. */
const READ_BYTES = 4 * 1024 * 1024;
const READ_GAP_BYTES = 4096;

/** Where the log ends or would end. */
interface End {
  readonly position: Position;
  readonly chain: Chain;
}

/**
 * The journal in segment files of our own: a write is one frame (see segment-record.ts), appended to a file that was
 * filled before, and on disk when its one call of the system returns (O_DSYNC). A frame carries ballot, commit and
 * chain, and says where its entries begin, so a truncation is part of the write that needs it and rewrites nothing.
 * What changes rarely, the list of segments and the base, is in two small meta files that say the same: as a frame
 * among the others it could not say which file is missing, nor that the last frames were durable; as one file it could
 * be torn.
 *
 * It tells a torn tail from damage better than LevelDB, see `SegmentScan`: after `close`, no change of a used byte goes
 * unnoticed, and no file may be missing or short. What it cannot tell: after a crash, the very last frame, damaged on
 * the disk later, looks torn (as it would in any log that is written once).
 */
export class SegmentLogStore implements LogStore {
  readonly #folder: string;
  readonly #files: FileOperations;
  readonly #noteEvery: number;
  readonly #segmentFiles: SegmentFiles;
  readonly #index = new FrameIndex();
  #meta: SegmentMeta | undefined;
  /** The last one is written to. */
  #segments: Segment[] = [];
  #offset = 0;
  #sequence = 0;
  #ballot: Ballot = { term: 0, votedFor: undefined };
  #commit: LogIndex = 0;
  #base: End = { position: ORIGIN, chain: 0 };
  #end: End = { position: ORIGIN, chain: 0 };
  /** Changes when entries that a read may have found are no longer of the log. */
  #version = 0;
  #buffer: Buffer = Buffer.alloc(0);
  #writing = false;
  #compacting = false;
  #noting = false;
  /** The last write or reset, the last compaction and the last change of the meta files. */
  #change: Promise<void> = Promise.resolve();
  #compaction: Promise<void> = Promise.resolve();
  #metaTurn: Promise<void> = Promise.resolve();
  #poison: unknown;

  constructor(folder: string, options: Partial<SegmentLogOptions> = {}) {
    const { files, segmentBytes, noteEvery } = { ...DEFAULTS, ...options };
    this.#folder = folder;
    this.#files = files;
    this.#noteEvery = noteEvery;
    this.#segmentFiles = new SegmentFiles(files, folder, segmentBytes);
  }

  async open(): Promise<StoredLog> {
    assert(this.#meta === undefined, 'A log store is opened once');
    try {
      return await this.#open();
    } catch (thrown) {
      await this.close();
      throw journalDiskError(this.#folder, thrown);
    }
  }

  write(write: LogWrite): Promise<void> {
    return this.#alone(() => this.#write(write));
  }

  async read(from: LogIndex, to: LogIndex, maxBytes: number): Promise<readonly Entry[]> {
    if (from <= this.#base.position.index || to > this.#end.position.index || from > to) throw this.#gone(from, to);
    const version = this.#version;
    const found: Entry[] = [];
    let bytes = 0;
    // Of a log that has changed meanwhile nothing more is read: what was found fits together.
    while (found.length === 0 || (this.#version === version && from + found.length <= to && bytes < maxBytes)) {
      for (const entry of await this.#readFrames(from + found.length, to, maxBytes - bytes)) {
        if (bytes >= maxBytes && found.length > 0) break;
        found.push(entry);
        bytes += entrySizeBytes(entry);
      }
    }
    return found;
  }

  async compact(upTo: Position): Promise<void> {
    assert(!this.#compacting, 'Two compactions of the log at a time');
    assert(upTo.index <= this.#end.position.index, `Compaction up to ${upTo.index} is beyond the log`);
    if (upTo.index <= this.#base.position.index) return;
    this.#compacting = true;
    try {
      this.#checkPoison();
      this.#compaction = this.#compact(upTo);
      await this.#compaction;
    } catch (thrown) {
      throw this.#poisoned(thrown);
    } finally {
      this.#compacting = false;
    }
  }

  async reset(base: Position): Promise<void> {
    assert(!this.#compacting, 'A compaction of the log runs');
    return this.#alone(() => this.#reset(base));
  }

  /**
   * Waits for what runs. When nothing has failed, all writes are noted as durable: damage of any of them is then told
   * from a torn one.
   */
  async close(): Promise<void> {
    await Promise.allSettled([this.#change, this.#compaction]);
    await this.#metaTurn;
    try {
      if (this.#meta !== undefined && this.#poison === undefined && this.#sequence > this.#meta.sequence)
        await this.#changeMeta(() => ({}));
    } catch (thrown) {
      throw this.#poisoned(thrown);
    } finally {
      await this.#segmentFiles.idle();
      for (const segment of this.#segments) await segment.close();
      this.#segments = [];
    }
  }

  async #open(): Promise<StoredLog> {
    await this.#files.makeFolder(this.#folder);
    await this.#files.syncFolder(dirname(this.#folder));
    const names = await this.#files.list(this.#folder);
    checkStoreKind(this.#folder, names, 'segments');
    const found = await readSegmentMeta(this.#files, this.#folder, names);
    const meta = found?.meta ?? newSegmentMeta();
    if (found?.both !== true) {
      await writeSegmentMeta(this.#files, this.#folder, meta);
      await this.#files.syncFolder(this.#folder);
    }
    const scan = new SegmentScan(this.#files, this.#folder, meta);
    await scan.checkFiles();
    for (const note of meta.segments) this.#segments.push(await this.#segmentFiles.open(note));
    for await (const { segment, offset, header } of scan.frames()) {
      const { first, count, length, sequence } = header;
      this.#index.truncate(first);
      if (count === 0) continue;
      const held = must(this.#segments[segment], 'Segments are scanned in their order');
      this.#index.push({ segment: held, offset, length, sequence, first });
    }
    this.#meta = meta;
    this.#offset = scan.end;
    this.#sequence = scan.sequence;
    this.#ballot = scan.ballot;
    this.#commit = scan.commit;
    this.#base = { position: meta.base, chain: meta.baseChain };
    this.#end = { position: scan.last, chain: scan.chain };
    this.#index.dropTo(meta.base.index, scan.last.index);
    await this.#clear(names, scan);
    await this.#eraseTorn(scan);
    // What a killed process wrote without syncing it is read here, and is from now on promised to be kept.
    await this.#segments.at(-1)?.file.sync();
    // Now, because the first write is that of an election, which would wait for it.
    if (this.#segments.length === 0) await this.#segmentFiles.prepare();
    const { runs, configs } = scan;
    return { ballot: this.#ballot, base: meta.base, last: scan.last, runs, commit: this.#commit, configs };
  }

  /** So that nobody takes it for a write that is missing, when this file has become another segment. */
  async #eraseTorn({ end, torn }: SegmentScan): Promise<void> {
    if (torn) await this.#segments.at(-1)?.file.write(Buffer.alloc(FRAME_ALIGNMENT), end);
  }

  /** Removes what a crash left behind between two changes of the meta files. */
  async #clear(names: readonly string[], scan: SegmentScan): Promise<void> {
    const own = new Set(this.#segments.map(({ name }) => name));
    const others = names.filter((name) => !own.has(name));
    for (const name of others.filter((each) => SEGMENT_NAME.test(each))) {
      if (!(await scan.isLater(name))) continue;
      throw damagedAt(this.#folder, name, 0, scan.last.index + 1, 'it has writes of which the meta files do not know');
    }
    await this.#segmentFiles.clear(others);
  }

  /** One change at a time, and none after one that failed: what is on disk then is unknown. */
  async #alone(change: () => Promise<void>): Promise<void> {
    assert(this.#meta !== undefined, 'The log store is not open');
    assert(!this.#writing, 'Two writes of the log at a time');
    this.#checkPoison();
    this.#writing = true;
    try {
      this.#change = change();
      await this.#change;
    } catch (thrown) {
      throw this.#poisoned(thrown);
    } finally {
      this.#writing = false;
    }
  }

  async #write({ ballot = this.#ballot, truncateFrom, entries, commit: told }: LogWrite): Promise<void> {
    const before = truncateFrom === undefined ? this.#end : await this.#cut(truncateFrom);
    const first = before.position.index + 1;
    const end = entries.at(-1);
    const position = end === undefined ? before.position : { term: end.term, index: end.index };
    const commit = Math.max(this.#commit, told);
    assert((entries[0]?.index ?? first) === first, `Entry ${entries[0]?.index} does not follow ${first - 1}`);
    assert(commit <= position.index, `Commit index ${commit} is beyond the log (${position.index})`);
    const sequence = this.#sequence + 1;
    const content = { sequence, first, ballot, commit, before: before.chain, entries };
    const length = frameBytes(content);
    const segment = await this.#segmentFor(length);
    const frame = this.#bufferFor(length);
    const chain = encodeFrame(content, this.#opened().salt, frame);
    const offset = this.#offset;
    await segment.file.write(frame, offset);
    if (truncateFrom !== undefined) {
      this.#index.truncate(first);
      this.#version += 1;
    }
    if (entries.length > 0) this.#index.push({ segment, offset, length, sequence, first });
    this.#offset = offset + length;
    this.#sequence = sequence;
    this.#ballot = ballot;
    this.#commit = commit;
    this.#end = { position, chain };
    this.#lookAhead(segment);
  }

  /** Makes the next file in good time, and notes now and then that the writes are durable. */
  #lookAhead(segment: Segment): void {
    if (this.#offset * 2 > segment.note.bytes) void this.#segmentFiles.prepare();
    if (this.#noting || this.#sequence - this.#opened().sequence < this.#noteEvery) return;
    this.#noting = true;
    this.#changeMeta(() => ({})).then(
      () => {
        this.#noting = false;
      },
      (thrown: unknown) => void this.#poisoned(thrown),
    );
  }

  async #segmentFor(length: number): Promise<Segment> {
    const active = this.#segments.at(-1);
    if (active !== undefined && this.#offset + length <= active.note.bytes) return active;
    const { nextId: id } = this.#opened();
    const { position: previous, chain } = this.#end;
    const note = { id, first: previous.index + 1, sequence: this.#sequence + 1, previous, chain };
    const segment = await this.#segmentFiles.begin(note, length);
    await this.#changeMeta(
      (meta) => ({ segments: [...meta.segments, segment.note], nextId: id + 1 }),
      () => this.#segments.push(segment),
    );
    this.#offset = 0;
    return segment;
  }

  async #compact(upTo: Position): Promise<void> {
    const end = await this.#endAt(upTo.index);
    assert(end.position.term === upTo.term, `Entry ${upTo.index} has term ${end.position.term}, not ${upTo.term}`);
    this.#index.dropTo(upTo.index, this.#end.position.index);
    let dropped: Segment[] = [];
    await this.#changeMeta(
      (meta) => {
        const oldest = this.#index.oldest?.segment ?? this.#segments.at(-1);
        const count = oldest === undefined ? 0 : this.#segments.indexOf(oldest);
        dropped = this.#segments.slice(0, count);
        const commit = Math.max(meta.commit, upTo.index);
        return { base: end.position, baseChain: end.chain, commit, segments: meta.segments.slice(count) };
      },
      () => {
        this.#segments = this.#segments.slice(dropped.length);
        this.#base = end;
        this.#commit = Math.max(this.#commit, upTo.index);
      },
    );
    for (const segment of dropped) await this.#segmentFiles.retire(segment);
  }

  async #reset(base: Position): Promise<void> {
    const { nextId: id } = this.#opened();
    const chain = chainBehind(base);
    const note = { id, first: base.index + 1, sequence: this.#sequence + 1, previous: base, chain };
    const segment = await this.#segmentFiles.begin(note, 0);
    const dropped = this.#segments;
    await this.#changeMeta(
      () => ({ base, baseChain: chain, commit: base.index, segments: [segment.note], nextId: id + 1 }),
      () => {
        this.#segments = [segment];
        this.#index.clear();
        this.#version += 1;
        this.#offset = 0;
        this.#commit = base.index;
        this.#base = { position: base, chain };
        this.#end = this.#base;
      },
    );
    for (const old of dropped) await this.#segmentFiles.retire(old);
  }

  /**
   * Changes the meta files, one change after the other; `done` makes the change known here.
   * @param change is given what the files should say without it
   */
  #changeMeta(change: (meta: SegmentMeta) => Partial<SegmentMeta>, done: () => void = () => {}): Promise<void> {
    const turn = this.#metaTurn.then(async () => {
      const now: SegmentMeta = {
        ...this.#opened(),
        sequence: this.#sequence,
        ballot: this.#ballot,
        commit: this.#commit,
        segments: this.#segments.map(({ note }) => note),
      };
      const meta = { ...now, ...change(now), generation: now.generation + 1 };
      await writeSegmentMeta(this.#files, this.#folder, meta);
      this.#meta = meta;
      done();
    });
    this.#metaTurn = turn.catch(() => {
      // Told to who asked for the change.
    });
    return turn;
  }

  /** Where the log ends when it is cut before `from`. */
  #cut(from: LogIndex): Promise<End> {
    const least = Math.max(this.#commit, this.#base.position.index);
    assert(from > least && from <= this.#end.position.index, `The log cannot be cut at ${from}`);
    return this.#endAt(from - 1);
  }

  /** Position and chain at an index of the log. */
  async #endAt(index: LogIndex): Promise<End> {
    if (index === this.#end.position.index) return this.#end;
    if (index === this.#base.position.index) return this.#base;
    const frame = must(this.#index.range(index, index, 1)[0], `A frame holds entry ${index}`);
    const bytes = this.#verified(frame, await frame.segment.read(frame.offset, frame.length), 0);
    return chainOf(bytes.entries, frame.first, index, bytes.before);
  }

  async #readFrames(from: LogIndex, to: LogIndex, maxBytes: number): Promise<readonly Entry[]> {
    const last = this.#end.position.index;
    const frames = this.#index.range(from, to + 1, Math.min(maxBytes, READ_BYTES));
    const [begin] = frames;
    if (begin === undefined || begin.first > from) throw this.#gone(from, to);
    const together = [begin];
    for (const frame of frames.slice(1).filter(({ first }) => first <= to)) {
      const end = must(together.at(-1), 'There is a frame');
      const gap = frame.offset - end.offset - end.length;
      if (frame.segment !== begin.segment || gap < 0 || gap > READ_GAP_BYTES) break;
      together.push(frame);
    }
    const end = must(together.at(-1), 'There is a frame');
    const bytes = await begin.segment.read(begin.offset, end.offset + end.length - begin.offset);
    const found: Entry[] = [];
    for (const [i, frame] of together.entries()) {
      const { entries, count } = this.#verified(frame, bytes, frame.offset - begin.offset);
      const behind = frames[i + 1]?.first ?? last + 1;
      for (const entry of decodeEntries(entries, frame.first, count))
        if (entry.index >= from && entry.index <= to && entry.index < behind) found.push(entry);
    }
    return found;
  }

  /** The entries of a frame that was read from its file. @throws SluiceError CORRUPT */
  #verified(
    frame: IndexedFrame,
    bytes: Buffer,
    at: number,
  ): { readonly entries: Buffer; readonly count: number; readonly before: Chain } {
    const header = decodeFrameHeader(bytes, at, this.#opened().salt);
    const sound = header !== undefined && header.sequence === frame.sequence && at + header.length <= bytes.length;
    const entries = sound ? entriesOfFrame(bytes, at, header) : undefined;
    if (header === undefined || entries === undefined)
      throw damagedAt(this.#folder, frame.segment.name, frame.offset, frame.first, 'the frame has changed');
    return { entries, count: header.count, before: header.before };
  }

  #bufferFor(length: number): Buffer {
    if (length > KEPT_BUFFER_BYTES) return Buffer.allocUnsafe(length);
    if (this.#buffer.length < length) this.#buffer = Buffer.allocUnsafeSlow(Math.min(KEPT_BUFFER_BYTES, 2 * length));
    return this.#buffer.subarray(0, length);
  }

  #opened(): SegmentMeta {
    return must(this.#meta, 'The log store is not open');
  }

  #gone(from: LogIndex, to: LogIndex): SluiceError {
    return new SluiceError('NOT_FOUND', `Journal ${this.#folder} does not have entries ${from} to ${to}`);
  }

  #checkPoison(): void {
    if (this.#poison === undefined) return;
    const { message } = SluiceError.from(this.#poison);
    throw new SluiceError('INTERNAL', `Journal ${this.#folder} failed before (${message}): restart this master`, {
      cause: this.#poison,
    });
  }

  #poisoned(thrown: unknown): unknown {
    const error = journalDiskError(this.#folder, thrown);
    this.#poison ??= error;
    return error;
  }
}
