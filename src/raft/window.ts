import type { LogIndex } from './position.ts';

interface Frame {
  readonly last: LogIndex;
  readonly bytes: number;
}

/** Append messages on their way to one peer, bounded by count and bytes, freed by acknowledgements. */
export class Window {
  readonly #maxFrames: number;
  readonly #maxBytes: number;
  #frames: Frame[] = [];
  #bytes = 0;

  constructor(maxFrames: number, maxBytes: number) {
    this.#maxFrames = maxFrames;
    this.#maxBytes = maxBytes;
  }

  get frames(): number {
    return this.#frames.length;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Whether a frame of `bytes` may leave. Into an empty window even the largest may. */
  admits(bytes: number): boolean {
    if (this.#frames.length === 0) return true;
    return this.#frames.length < this.#maxFrames && this.#bytes + bytes <= this.#maxBytes;
  }

  add(last: LogIndex, bytes: number): void {
    this.#frames.push({ last, bytes });
    this.#bytes += bytes;
  }

  freeTo(match: LogIndex): void {
    let freed = 0;
    for (const frame of this.#frames) {
      if (frame.last > match) break;
      freed += 1;
      this.#bytes -= frame.bytes;
    }
    if (freed > 0) this.#frames = this.#frames.slice(freed);
  }

  clear(): void {
    this.#frames = [];
    this.#bytes = 0;
  }
}
