import { join } from 'node:path';
import type { FileOperations, OpenFile } from '../host/file-operations.ts';
import { SluiceError } from '../model/errors.ts';
import type { Ballot } from '../raft/effect.ts';
import type { Entry } from '../raft/entry.ts';
import type { TermRun } from '../raft/log-store.ts';
import type { LogIndex, Position } from '../raft/position.ts';
import { type Chain, decodeEntries } from '../wire/codec/log-record.ts';
import {
  decodeFrameHeader,
  entriesOfFrame,
  type FrameHeader,
  MAX_FRAME_HEADER_BYTES,
  type SegmentMeta,
  type SegmentNote,
} from '../wire/codec/segment-record.ts';
import { WAY_OUT } from './level-log-scan.ts';
import { segmentName } from './segment.ts';
import { FrameSearch, SegmentWindow } from './segment-window.ts';

/** Damage in a file of the journal, with what to do about it. */
export function damagedAt(folder: string, file: string, offset: number, index: LogIndex, what: string): SluiceError {
  const where = `at entry ${index}, in ${file} at byte ${offset}`;
  return new SluiceError('CORRUPT', `Journal ${folder} is damaged ${where} (${what}): ${WAY_OUT}`, {
    details: { index, file, offset },
  });
}

/** A frame that was verified, and its entries. */
export interface ScannedFrame {
  /** Place of the segment among those of the journal. */
  readonly segment: number;
  readonly offset: number;
  readonly header: FrameHeader;
  readonly entries: readonly Entry[];
}

/**
 * Verifies the frames of a journal in their order. Each write was durable before the next one began, so only the very
 * last frame may be torn: a frame that is not whole is cut off when no later write is known, neither to the meta files
 * nor by a frame behind it. Anything else is damage. (Assumed of the disk: a write that is cut short by a loss of
 * power leaves the bytes beside it as they were.)
 */
export class SegmentScan {
  readonly #files: FileOperations;
  readonly #folder: string;
  readonly #meta: SegmentMeta;
  #runs: TermRun[] = [];
  #configs: Entry[] = [];
  #last: Position;
  #chain: Chain;
  #sequence: number;
  #ballot: Ballot;
  #commit: LogIndex;
  /** The smallest index that a frame had. */
  #lowest: LogIndex;
  /** Where the next write goes in the last segment. */
  #end = 0;
  #torn = false;

  constructor(files: FileOperations, folder: string, meta: SegmentMeta) {
    this.#files = files;
    this.#folder = folder;
    this.#meta = meta;
    const [begin] = meta.segments;
    this.#last = begin?.previous ?? meta.base;
    this.#chain = begin?.chain ?? meta.baseChain;
    this.#sequence = begin === undefined ? meta.sequence : begin.sequence - 1;
    this.#ballot = meta.ballot;
    this.#commit = Math.max(meta.commit, meta.base.index);
    this.#lowest = this.#last.index + 1;
  }

  get last(): Position {
    return this.#last;
  }

  get chain(): Chain {
    return this.#chain;
  }

  get sequence(): number {
    return this.#sequence;
  }

  get ballot(): Ballot {
    return this.#ballot;
  }

  get commit(): LogIndex {
    return this.#commit;
  }

  get end(): number {
    return this.#end;
  }

  /** At `end` there is a header whose entries were cut off. */
  get torn(): boolean {
    return this.#torn;
  }

  /** Of the entries behind the base. */
  get runs(): readonly TermRun[] {
    const first = this.#meta.base.index + 1;
    return this.#runs
      .filter((_, i) => (this.#runs[i + 1]?.first ?? Number.POSITIVE_INFINITY) > first && this.#last.index >= first)
      .map((run) => ({ ...run, first: Math.max(run.first, first) }));
  }

  get configs(): readonly Entry[] {
    return this.#configs.filter(({ index }) => index > this.#meta.base.index);
  }

  /**
   * Reads all frames; at the end the log is whole, and `last` and the others say how it ends.
   * @throws SluiceError CORRUPT that names file, offset and entry; UNSUPPORTED
   */
  async *frames(): AsyncGenerator<ScannedFrame> {
    for (const [segment, note] of this.#meta.segments.entries()) {
      const file = await this.#open(note);
      try {
        for await (const frame of this.#segment(segment, note, file)) yield frame;
      } finally {
        await file.close();
      }
    }
    this.#finish();
  }

  /** @throws SluiceError CORRUPT when a file is missing, or not as long as it was made */
  async checkFiles(): Promise<void> {
    for (const note of this.#meta.segments) await (await this.#open(note)).close();
  }

  /** Whether a file that the meta files do not list begins with a write behind the last one. */
  async isLater(name: string): Promise<boolean> {
    const file = await this.#files.open(join(this.#folder, name), 'read');
    try {
      const bytes = Buffer.alloc(MAX_FRAME_HEADER_BYTES);
      await file.read(bytes, 0);
      const header = decodeFrameHeader(bytes, 0, this.#meta.salt);
      return header !== undefined && header.sequence > this.#sequence;
    } finally {
      await file.close();
    }
  }

  async #open(note: SegmentNote): Promise<OpenFile> {
    const name = segmentName(note);
    const damaged = (offset: number, what: string) => damagedAt(this.#folder, name, offset, note.first, what);
    let file: OpenFile;
    try {
      file = await this.#files.open(join(this.#folder, name), 'read');
    } catch (thrown) {
      if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') throw damaged(0, 'the file is missing');
      throw thrown;
    }
    const size = await file.size();
    if (size === note.bytes) return file;
    await file.close();
    throw damaged(Math.min(size, note.bytes), `the file has ${size} bytes instead of ${note.bytes}`);
  }

  async *#segment(segment: number, note: SegmentNote, file: OpenFile): AsyncGenerator<ScannedFrame> {
    const window = new SegmentWindow(file, note.bytes);
    const next = this.#meta.segments[segment + 1];
    let offset = 0;
    while (next === undefined || this.#sequence + 1 < next.sequence) {
      const frame = await this.#frame(window, segmentName(note), offset);
      if (frame === undefined) {
        if (next !== undefined) throw this.#damaged(segmentName(note), offset, 'a frame is damaged');
        await this.#checkTorn(window, segmentName(note), offset);
        break;
      }
      yield { segment, offset, ...frame };
      offset += frame.header.length;
    }
    this.#end = offset;
  }

  /** The frame at `offset`, when it is whole and the next one. */
  async #frame(
    window: SegmentWindow,
    name: string,
    offset: number,
  ): Promise<Pick<ScannedFrame, 'header' | 'entries'> | undefined> {
    const { salt } = this.#meta;
    const start = await window.at(offset, MAX_FRAME_HEADER_BYTES);
    const header = decodeFrameHeader(start, 0, salt);
    if (header === undefined || header.sequence !== this.#sequence + 1 || offset + header.length > window.bytes)
      return undefined;
    const bytes = entriesOfFrame(await window.at(offset, header.length), 0, header);
    if (bytes === undefined) return undefined;
    const entries = decodeEntries(bytes, header.first, header.count);
    this.#add(header, entries, name, offset);
    return { header, entries };
  }

  #add(header: FrameHeader, entries: readonly Entry[], name: string, offset: number): void {
    const { first, before, after, commit, sequence, ballot } = header;
    if (first <= this.#last.index) this.#cut(first);
    else if (first !== this.#last.index + 1 || before !== this.#chain)
      throw this.#damaged(name, offset, 'it does not continue the entry before it');
    for (const entry of entries) {
      if (entry.term < this.#last.term) throw this.#damaged(name, offset, 'its term is before the last one');
      if (entry.term !== this.#last.term || this.#runs.length === 0)
        this.#runs.push({ first: entry.index, term: entry.term });
      if (entry.kind === 'config') this.#configs.push({ ...entry, bytes: Uint8Array.from(entry.bytes) });
      this.#last = { term: entry.term, index: entry.index };
    }
    this.#lowest = Math.min(this.#lowest, first);
    this.#chain = after;
    this.#sequence = sequence;
    this.#ballot = ballot;
    this.#commit = Math.max(this.#commit, commit);
  }

  /**
   * The log ended before `first` then. What was there is what the frames said up to here: the base is not asked, which
   * may be an entry that a later frame put into that place.
   */
  #cut(first: LogIndex): void {
    while ((this.#runs.at(-1)?.first ?? 0) >= first) this.#runs.pop();
    while ((this.#configs.at(-1)?.index ?? 0) >= first) this.#configs.pop();
    const [begin] = this.#meta.segments;
    const before = begin?.previous.index === first - 1 ? begin.previous.term : 0;
    this.#last = { term: this.#runs.at(-1)?.term ?? before, index: first - 1 };
  }

  /** There is no whole frame at `offset`: that must be the end of the log. */
  async #checkTorn(window: SegmentWindow, name: string, offset: number): Promise<void> {
    const { salt, sequence } = this.#meta;
    if (this.#sequence < sequence) {
      const writes = sequence - this.#sequence;
      const what = `its last ${writes} writes are damaged or missing, ${this.#meta.commit} was committed`;
      throw this.#damaged(name, offset, what);
    }
    const search = new FrameSearch(window, salt);
    for await (const found of search.from(offset)) {
      if (found.header.sequence <= this.#sequence) continue;
      // The last write, with a header that is whole and entries that are not.
      if (found.offset === offset && found.header.sequence === this.#sequence + 1) {
        this.#torn = true;
        continue;
      }
      const what = `the frame there is damaged, and there is a later one at byte ${found.offset}`;
      throw this.#damaged(name, offset, what);
    }
  }

  #finish(): void {
    const { base, segments } = this.#meta;
    const tail = segments.at(-1);
    const name = tail === undefined ? 'meta-a' : segmentName(tail);
    const { index } = this.#last;
    if (this.#lowest > base.index + 1)
      throw this.#damaged(name, 0, `entries ${base.index + 1} to ${this.#lowest - 1} are missing`);
    if (this.#commit > index) throw this.#damaged(name, this.#end, `entry ${this.#commit} is committed but missing`);
    const run = this.#runs.findLast(({ first }) => first <= base.index);
    if (run !== undefined && base.index <= index && run.term !== base.term)
      throw this.#damaged(name, 0, `entry ${base.index} has term ${run.term} instead of ${base.term}`);
    if (base.index === index) this.#last = base;
  }

  #damaged(file: string, offset: number, what: string): SluiceError {
    return damagedAt(this.#folder, file, offset, this.#last.index + 1, what);
  }
}
