import { join } from 'node:path';
import type { FileOperations, OpenFile } from '../host/file-operations.ts';
import type { SegmentNote } from '../wire/codec/segment-record.ts';
import { SEGMENT_NAME } from './segment-meta.ts';

/** Written at a time when a file is made. */
const ZEROES = Buffer.alloc(1024 * 1024);
/** Files that the journal no longer needs and that wait to be used again. */
const MAX_SPARES = 2;
const NEW_NAME = /^\d+\.new$/;

export function segmentName({ first, id }: Pick<SegmentNote, 'first' | 'id'>): string {
  return `${String(first).padStart(16, '0')}-${String(id).padStart(8, '0')}.segment`;
}

/** A file of full length that belongs to no segment. */
interface Spare {
  readonly name: string;
  readonly bytes: number;
}

/** A file of the journal. It is not used again while somebody reads it. */
export class Segment {
  readonly note: SegmentNote;
  readonly name: string;
  readonly file: OpenFile;
  #readers = 0;
  #unread: (() => void) | undefined;

  constructor(note: SegmentNote, file: OpenFile) {
    this.note = note;
    this.name = segmentName(note);
    this.file = file;
  }

  async read(offset: number, length: number): Promise<Buffer> {
    this.#readers += 1;
    try {
      const bytes = Buffer.allocUnsafe(length);
      return bytes.subarray(0, await this.file.read(bytes, offset));
    } finally {
      this.#readers -= 1;
      if (this.#readers === 0) this.#unread?.();
    }
  }

  /** When nobody reads: the number of a file that is closed is soon that of another. */
  async close(): Promise<void> {
    await this.unread();
    await this.file.close();
  }

  /** Resolves when nobody reads; nobody begins to when the segment is out of the index. */
  unread(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#readers === 0) resolve();
      else this.#unread = resolve;
    });
  }
}

/**
 * The segment files of a folder. A file is filled with zeroes before it gets a segment's name, so that writing a
 * segment changes no length and allocates nothing: it is faster, and the disk is full when a file is made and not in
 * the middle of one. A segment that is no longer needed becomes the next one, old bytes and all.
 */
export class SegmentFiles {
  readonly #files: FileOperations;
  readonly #folder: string;
  readonly #segmentBytes: number;
  #spares: Spare[] = [];
  #made = 0;
  #making: Promise<void> | undefined;
  #failure: unknown;

  constructor(files: FileOperations, folder: string, segmentBytes: number) {
    this.#files = files;
    this.#folder = folder;
    this.#segmentBytes = segmentBytes;
  }

  async open(note: SegmentNote): Promise<Segment> {
    return new Segment(note, await this.#files.open(join(this.#folder, segmentName(note)), 'durable'));
  }

  /**
   * Removes what a crash has left behind: none of `names` is a segment of the journal. A file that already has the name
   * of the next segment must not stay to be used again: when another file became that segment, it would be taken away.
   */
  async clear(names: readonly string[]): Promise<void> {
    for (const name of names)
      if (NEW_NAME.test(name) || SEGMENT_NAME.test(name)) await this.#files.remove(join(this.#folder, name));
  }

  /** Begins a segment, whose first frame is as long as `frameLength`. It is on disk, name and all. */
  async begin(note: Omit<SegmentNote, 'bytes'>, frameLength: number): Promise<Segment> {
    await this.#making;
    const spare = await this.#spareFor(frameLength);
    await this.#files.rename(join(this.#folder, spare.name), join(this.#folder, segmentName(note)));
    await this.#files.syncFolder(this.#folder);
    return this.open({ ...note, bytes: spare.bytes });
  }

  /** Makes a file for the next segment, unless there is one. What fails is told to who needs it. */
  async prepare(): Promise<void> {
    if (this.#spares.length > 0 || this.#making !== undefined || this.#failure !== undefined) return;
    this.#making = this.#make(this.#segmentBytes)
      .then((spare) => void this.#spares.push(spare))
      .catch((thrown: unknown) => {
        this.#failure = thrown;
      })
      .finally(() => {
        this.#making = undefined;
      });
    await this.#making;
  }

  /** Takes back the file of a segment that the journal no longer has. */
  async retire(segment: Segment): Promise<void> {
    await segment.close();
    await this.#keep({ name: segment.name, bytes: segment.note.bytes });
  }

  /** Resolves when nothing is done in the background. */
  async idle(): Promise<void> {
    await this.#making;
  }

  async #keep(spare: Spare): Promise<void> {
    if (this.#spares.length < MAX_SPARES && spare.bytes === this.#segmentBytes) {
      this.#spares.push(spare);
      return;
    }
    await this.#files.remove(join(this.#folder, spare.name));
  }

  /** Tries once more what failed in the background: there may be room by now. */
  #spareFor(frameLength: number): Spare | Promise<Spare> {
    this.#failure = undefined;
    if (frameLength > this.#segmentBytes) return this.#make(Math.ceil(frameLength / 4096) * 4096);
    return this.#spares.pop() ?? this.#make(this.#segmentBytes);
  }

  async #make(bytes: number): Promise<Spare> {
    this.#made += 1;
    const name = `${this.#made}.new`;
    const path = join(this.#folder, name);
    const file = await this.#files.open(path, 'create');
    try {
      for (let at = 0; at < bytes; at += ZEROES.length) {
        await file.write(ZEROES.subarray(0, Math.min(ZEROES.length, bytes - at)), at);
        // The journal's own syncs wait for what the disk has to do before them: never for all of this.
        await file.sync();
      }
    } finally {
      await file.close();
    }
    return { name, bytes };
  }
}
