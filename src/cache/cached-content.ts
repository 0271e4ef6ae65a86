import { assert } from '../base/assert.ts';
import type { ContentMeta } from './content-meta.ts';
import type { ContentTag, PagePlace } from './page-file.ts';

const PAGES_PER_BLOCK = 2 ** 24;
const MAX_BLOCKS = 2 ** 29;

/** One number for a page's place in its content. */
export function placeNumber(place: PagePlace): number {
  assert(place.block >= 0 && place.block < MAX_BLOCKS, `Block ${place.block} is out of range`);
  assert(place.page >= 0 && place.page < PAGES_PER_BLOCK, `Page ${place.page} is out of range`);
  return place.block * PAGES_PER_BLOCK + place.page;
}

/** Inverse of `placeNumber`. */
export function placeOfNumber(number: number): PagePlace {
  return { block: Math.floor(number / PAGES_PER_BLOCK), page: number % PAGES_PER_BLOCK };
}

/** One version of a file, some of whose pages are stored. Owned and changed by the store and its index only. */
export interface CachedContent {
  readonly fileId: number;
  version: string;
  readonly tag: ContentTag;
  /** None of its pages may be evicted. Only `PageIndex.setProtection` changes it. */
  protect: boolean;
  /** Where its page files are. */
  folder: string;
  /** Slot in the index by place number. Only the index changes it. */
  readonly pages: Map<number, number>;
  /** Pages that are being written. */
  readonly writing: Map<number, Promise<boolean>>;
  /** Page files that are being deleted; one of the same name must not be made meanwhile. */
  readonly unlinking: Map<number, Promise<void>>;
  /** Resolves when the folder and its meta are there; undefined before the first page and after a failure. */
  ready: Promise<void> | undefined;
}

export function newContent(meta: ContentMeta, folder: string): CachedContent {
  return {
    fileId: meta.fileId,
    version: meta.version,
    tag: meta.tag,
    protect: meta.protect,
    folder,
    pages: new Map(),
    writing: new Map(),
    unlinking: new Map(),
    ready: undefined,
  };
}
