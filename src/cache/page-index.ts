import { assert, must } from '../base/assert.ts';
import type { CachedContent } from './cached-content.ts';
import { pageHeaderBytes } from './page-file.ts';

const DISK_BLOCK_BYTES = 4096;
/** A content costs a folder and a meta file of one disk block each. */
const CONTENT_DISK_BYTES = 2 * DISK_BLOCK_BYTES;

/** What a page of that length takes from the quota: its file with header, rounded up to disk blocks of 4 KiB. */
export function pageDiskBytes(lengthBytes: number): number {
  return Math.ceil((lengthBytes + pageHeaderBytes(lengthBytes)) / DISK_BLOCK_BYTES) * DISK_BLOCK_BYTES;
}

/** The ring's head: its next is the page used longest ago, its previous the one used last. */
const HEAD = 0;
const FIRST_CAPACITY = 1024;

/**
 * Which pages are stored, with sizes and order of use. A page has a slot in typed arrays (24 bytes) and an entry in its
 * content's map. Evictable pages form a ring; a protected page is a ring of its own, so that eviction never meets it.
 */
export class PageIndex {
  /** Neighbours in the ring; of a free slot, `#next` is the next free one. */
  #next = new Int32Array(FIRST_CAPACITY);
  #previous = new Int32Array(FIRST_CAPACITY);
  #length = new Int32Array(FIRST_CAPACITY);
  #number = new Float64Array(FIRST_CAPACITY);
  readonly #content: (CachedContent | undefined)[] = [undefined];
  #firstFree = HEAD;
  #slots = 1;
  #pageCount = 0;
  #usedBytes = 0;
  #protectedBytes = 0;
  readonly #byFile = new Map<number, Map<string, CachedContent>>();

  get pageCount(): number {
    return this.#pageCount;
  }

  /** Of pages and contents, by the rule of `pageDiskBytes`. */
  get usedBytes(): number {
    return this.#usedBytes;
  }

  get protectedBytes(): number {
    return this.#protectedBytes;
  }

  content(fileId: number, version: string): CachedContent | undefined {
    return this.#byFile.get(fileId)?.get(version);
  }

  contentsOf(fileId: number): readonly CachedContent[] {
    return [...(this.#byFile.get(fileId)?.values() ?? [])];
  }

  /** Files with protected content, ascending. */
  protectedFiles(): readonly number[] {
    const found: number[] = [];
    for (const [fileId, contents] of this.#byFile) {
      for (const content of contents.values()) {
        if (!content.protect || content.pages.size === 0) continue;
        found.push(fileId);
        break;
      }
    }
    return found.sort((a, b) => a - b);
  }

  /** Contents without pages, e.g. left by a crash. */
  emptyContents(): readonly CachedContent[] {
    const found: CachedContent[] = [];
    for (const contents of this.#byFile.values())
      for (const content of contents.values()) if (content.pages.size === 0) found.push(content);
    return found;
  }

  addContent(content: CachedContent): void {
    assert(this.content(content.fileId, content.version) === undefined, 'A content is indexed twice');
    assert(content.pages.size === 0, 'A new content has pages already');
    const contents = this.#byFile.get(content.fileId) ?? new Map<string, CachedContent>();
    contents.set(content.version, content);
    this.#byFile.set(content.fileId, contents);
    this.#account(content, CONTENT_DISK_BYTES);
  }

  /** Removes a content and all its pages. */
  removeContent(content: CachedContent): void {
    for (const slot of [...content.pages.values()]) this.remove(slot);
    this.#unlist(content);
    this.#account(content, -CONTENT_DISK_BYTES);
  }

  #unlist(content: CachedContent): void {
    const contents = must(this.#byFile.get(content.fileId), 'A content is not indexed');
    assert(contents.get(content.version) === content, 'Another content is indexed');
    contents.delete(content.version);
    if (contents.size === 0) this.#byFile.delete(content.fileId);
  }

  /** Gives a content another version, which no other content of the file has. */
  renameContent(content: CachedContent, version: string): void {
    this.#unlist(content);
    content.version = version;
    const contents = this.#byFile.get(content.fileId) ?? new Map<string, CachedContent>();
    assert(!contents.has(version), 'A version is taken');
    contents.set(version, content);
    this.#byFile.set(content.fileId, contents);
  }

  setProtection(content: CachedContent, protect: boolean): void {
    if (content.protect === protect) return;
    let bytes = CONTENT_DISK_BYTES;
    for (const slot of content.pages.values()) {
      bytes += pageDiskBytes(this.lengthOf(slot));
      this.#unlink(slot);
      if (!protect) this.#linkLast(slot);
    }
    content.protect = protect;
    this.#protectedBytes += protect ? bytes : -bytes;
  }

  /** Adds a page as the one used last. */
  add(content: CachedContent, number: number, lengthBytes: number): void {
    assert(!content.pages.has(number), 'A page is indexed twice');
    const slot = this.#takeSlot();
    this.#length[slot] = lengthBytes;
    this.#number[slot] = number;
    this.#content[slot] = content;
    this.#next[slot] = slot;
    this.#previous[slot] = slot;
    if (!content.protect) this.#linkLast(slot);
    content.pages.set(number, slot);
    this.#pageCount += 1;
    this.#account(content, pageDiskBytes(lengthBytes));
  }

  remove(slot: number): void {
    const content = this.contentOf(slot);
    content.pages.delete(this.numberOf(slot));
    this.#unlink(slot);
    this.#content[slot] = undefined;
    this.#next[slot] = this.#firstFree;
    this.#firstFree = slot;
    this.#pageCount -= 1;
    this.#account(content, -pageDiskBytes(this.lengthOf(slot)));
  }

  touch(slot: number): void {
    if (this.contentOf(slot).protect) return;
    this.#unlink(slot);
    this.#linkLast(slot);
  }

  /** The evictable page that was used longest ago. */
  oldest(): number | undefined {
    const slot = this.#at(this.#next, HEAD);
    return slot === HEAD ? undefined : slot;
  }

  lengthOf(slot: number): number {
    return this.#at(this.#length, slot);
  }

  numberOf(slot: number): number {
    return this.#at(this.#number, slot);
  }

  contentOf(slot: number): CachedContent {
    return must(this.#content[slot], 'A free slot is used');
  }

  #account(content: CachedContent, bytes: number): void {
    this.#usedBytes += bytes;
    if (content.protect) this.#protectedBytes += bytes;
  }

  #at(array: Int32Array | Float64Array, slot: number): number {
    return must(array[slot], 'A slot is out of range');
  }

  #linkLast(slot: number): void {
    const last = this.#at(this.#previous, HEAD);
    this.#next[last] = slot;
    this.#previous[slot] = last;
    this.#next[slot] = HEAD;
    this.#previous[HEAD] = slot;
  }

  #unlink(slot: number): void {
    const next = this.#at(this.#next, slot);
    const previous = this.#at(this.#previous, slot);
    this.#next[previous] = next;
    this.#previous[next] = previous;
    this.#next[slot] = slot;
    this.#previous[slot] = slot;
  }

  #takeSlot(): number {
    const free = this.#firstFree;
    if (free !== HEAD) {
      this.#firstFree = this.#at(this.#next, free);
      return free;
    }
    if (this.#slots === this.#next.length) this.#grow();
    const slot = this.#slots;
    this.#slots += 1;
    return slot;
  }

  #grow(): void {
    const capacity = this.#next.length * 2;
    const grown = <A extends Int32Array | Float64Array>(array: A, larger: A): A => {
      larger.set(array);
      return larger;
    };
    this.#next = grown(this.#next, new Int32Array(capacity));
    this.#previous = grown(this.#previous, new Int32Array(capacity));
    this.#length = grown(this.#length, new Int32Array(capacity));
    this.#number = grown(this.#number, new Float64Array(capacity));
  }
}
