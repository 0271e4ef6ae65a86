import type { Random } from '../../src/base/random.ts';
import { randomInt } from '../../src/base/random.ts';
import { segmentName } from '../../src/master/segment.ts';
import type { Ballot } from '../../src/raft/effect.ts';
import type { Entry } from '../../src/raft/entry.ts';
import type { LogIndex, Position } from '../../src/raft/position.ts';
import { decodeEntries } from '../../src/wire/codec/log-record.ts';
import {
  decodeFrameHeader,
  decodeSegmentMeta,
  entriesOfFrame,
  type FrameHeader,
  type SegmentMeta,
} from '../../src/wire/codec/segment-record.ts';
import type { CrashFiles } from '../support/crash-files.ts';

interface PlacedFrame {
  readonly path: string;
  readonly offset: number;
  readonly header: FrameHeader;
  readonly bytes: Buffer;
}

/** Where everything is in the files of a journal that is not damaged. */
export class JournalImage {
  readonly frames: readonly PlacedFrame[];
  readonly segments: readonly string[];
  readonly #meta: SegmentMeta;
  readonly #metaBytes: number;
  readonly #folder: string;

  private constructor(meta: Buffer, folder: string, segments: readonly string[], frames: readonly PlacedFrame[]) {
    this.#meta = decodeSegmentMeta(meta);
    this.#metaBytes = meta.length;
    this.#folder = folder;
    this.segments = segments;
    this.frames = frames;
  }

  /** Undefined while its meta files do not say the same. */
  static of(files: CrashFiles, folder: string): JournalImage | undefined {
    const [one, other] = ['meta-a', 'meta-b'].map((name) => files.bytesOf(`${folder}/${name}`));
    if (one!.length === 0 || Buffer.compare(one!, other!) !== 0) return undefined;
    const meta = decodeSegmentMeta(one!);
    const segments = meta.segments.map((note) => `${folder}/${segmentName(note)}`);
    const frames: PlacedFrame[] = [];
    let next = meta.segments[0]?.sequence ?? 1;
    for (const path of segments) {
      const file = files.bytesOf(path);
      for (let offset = 0; ; ) {
        const header = decodeFrameHeader(file, offset, meta.salt);
        if (header === undefined || header.sequence !== next || !entriesOfFrame(file, offset, header)) break;
        frames.push({ path, offset, header, bytes: file.subarray(offset, offset + header.length) });
        offset += header.length;
        next += 1;
      }
    }
    return new JournalImage(one!, folder, segments, frames);
  }

  /** Number of the last write. */
  get last(): number {
    return this.frames.at(-1)?.header.sequence ?? 0;
  }

  /** The last write that the meta files know to be durable. */
  get noted(): number {
    return this.#meta.sequence;
  }

  /** A file of the journal, and how much of it is used: mostly one that holds entries. */
  place(random: Random): { readonly path: string; readonly length: number } {
    if (random.next() < 0.2)
      return { path: `${this.#folder}/meta-${random.next() < 0.5 ? 'a' : 'b'}`, length: this.#metaBytes };
    const { path } = this.frames[randomInt(random, 0, this.frames.length - 1)]!;
    const last = this.frames.findLast((frame) => frame.path === path)!;
    return { path, length: last.offset + last.header.length };
  }

  /** Numbers of the writes whose bytes are others now. */
  hitBy(damaged: CrashFiles): ReadonlySet<number> {
    const hit = this.frames.filter(({ path, offset, bytes }) => {
      const now = damaged.bytesOf(path).subarray(offset, offset + bytes.length);
      return Buffer.compare(now, bytes) !== 0;
    });
    return new Set(hit.map(({ header }) => header.sequence));
  }

  /** What the journal held after this write. */
  stateAt(sequence: number): {
    readonly ballot: Ballot;
    readonly base: Position;
    readonly commit: LogIndex;
    readonly entries: readonly Entry[];
  } {
    let { ballot } = this.#meta;
    let commit = Math.max(this.#meta.commit, this.#meta.base.index);
    const entries: Entry[] = [];
    for (const { header, bytes } of this.frames) {
      if (header.sequence > sequence) break;
      while ((entries.at(-1)?.index ?? 0) >= header.first) entries.pop();
      const { entriesAt, entriesBytes, first, count } = header;
      entries.push(...decodeEntries(bytes.subarray(entriesAt, entriesAt + entriesBytes), first, count));
      ballot = header.ballot;
      commit = Math.max(commit, header.commit);
    }
    const { base } = this.#meta;
    return { ballot, base, commit, entries: entries.filter(({ index }) => index > base.index) };
  }
}
