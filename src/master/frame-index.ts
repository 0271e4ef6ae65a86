import type { LogIndex } from '../raft/position.ts';
import type { Segment } from './segment.ts';

/** Where a frame is, and which entries of it are part of the log. */
export interface IndexedFrame {
  readonly segment: Segment;
  readonly offset: number;
  readonly length: number;
  readonly sequence: number;
  readonly first: LogIndex;
}

const COMPACT_AT = 1024;

/**
 * The frames that hold the log's entries, by index. A frame's entries are part of the log up to where the next frame
 * begins: a truncation leaves those behind it in the file.
 */
export class FrameIndex {
  #frames: IndexedFrame[] = [];
  /** Frames before this are forgotten. */
  #head = 0;

  push(frame: IndexedFrame): void {
    this.#frames.push(frame);
  }

  /** Forgets entries from `from` on. */
  truncate(from: LogIndex): void {
    while (this.#frames.length > this.#head && (this.#frames.at(-1)?.first ?? 0) >= from) this.#frames.pop();
  }

  /** Forgets frames whose entries are all at or below `index`, the last entry of the log being `last`. */
  dropTo(index: LogIndex, last: LogIndex): void {
    while (this.#head < this.#frames.length && (this.#frames[this.#head + 1]?.first ?? last + 1) <= index + 1)
      this.#head += 1;
    if (this.#head < COMPACT_AT || this.#head * 2 < this.#frames.length) return;
    this.#frames = this.#frames.slice(this.#head);
    this.#head = 0;
  }

  clear(): void {
    this.#frames = [];
    this.#head = 0;
  }

  /** The first frame of the log that is kept. */
  get oldest(): IndexedFrame | undefined {
    return this.#frames[this.#head];
  }

  /**
   * The frames with the entries from `from`, which the log has, to `to`, but no more than are together about `maxBytes`
   * long; at least one.
   */
  range(from: LogIndex, to: LogIndex, maxBytes: number): readonly IndexedFrame[] {
    const found: IndexedFrame[] = [];
    let bytes = 0;
    for (let at = this.#find(from); at < this.#frames.length; at += 1) {
      const frame = this.#frames[at] as IndexedFrame;
      if (found.length > 0 && (frame.first > to || bytes >= maxBytes)) break;
      found.push(frame);
      bytes += frame.length;
    }
    return found;
  }

  /** The place of the last frame that begins at or before `index`. */
  #find(index: LogIndex): number {
    let low = this.#head;
    let high = this.#frames.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((this.#frames[middle] as IndexedFrame).first <= index) low = middle;
      else high = middle - 1;
    }
    return low;
  }
}
