import type { BlockContent } from './block-content.ts';

interface Trail {
  /** Page after the last one that was read. */
  readonly next: number;
  readonly aheadPages: number;
}

const MAX_TRAILS = 4096;

/** Tells from the reads of each block how many pages beyond a read are worth fetching with it. */
export class SequentialAccess {
  readonly #maxAheadPages: number;
  readonly #trails = new Map<string, Trail>();

  constructor(maxAheadPages: number) {
    this.#maxAheadPages = maxAheadPages;
  }

  /** Notes a read of pages `first` to `last`. @returns pages to fetch beyond `last`: none at first, then doubling. */
  note(content: BlockContent, first: number, last: number): number {
    const name = `${content.fileId}/${content.block}/${content.version}`;
    const trail = this.#trails.get(name);
    let aheadPages = 0;
    if (trail !== undefined && last < trail.next && first >= trail.next - 1) aheadPages = trail.aheadPages;
    else if (trail !== undefined && (first === trail.next || first === trail.next - 1))
      aheadPages = Math.min(Math.max(1, trail.aheadPages * 2), this.#maxAheadPages);
    this.#trails.delete(name);
    this.#trails.set(name, { next: last + 1, aheadPages });
    if (this.#trails.size > MAX_TRAILS) {
      for (const oldest of this.#trails.keys()) {
        this.#trails.delete(oldest);
        break;
      }
    }
    return aheadPages;
  }
}
