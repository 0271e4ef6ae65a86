import { randomUUID } from 'node:crypto';
import type fs from 'node:fs/promises';
import { join } from 'node:path';
import { contentFolder, META_NAME, pageName, pagesFolder, shardFolder, temporaryFolder } from './cache-layout.ts';
import { type CachedContent, placeOfNumber } from './cached-content.ts';
import { type ContentMeta, encodeContentMeta } from './content-meta.ts';
import { type OpenPage, OpenPages } from './open-pages.ts';
import {
  areChunksSound,
  type ContentTag,
  coveringChunks,
  encodePageHeader,
  isHeaderOf,
  type PagePlace,
  type PageRange,
  pageHeaderBytes,
  partMemoryBytes,
} from './page-file.ts';
import type { ContentKey } from './page-store.ts';

/** The functions of `node:fs/promises` that a page store uses; tests give ones that fail. */
export type DiskFunctions = Pick<typeof fs, 'mkdir' | 'open' | 'readdir' | 'readFile' | 'rename' | 'rm' | 'unlink'>;

export function isAbsence(thrown: unknown): boolean {
  return (thrown as NodeJS.ErrnoException).code === 'ENOENT';
}

interface FolderSync {
  /** The run that began after all earlier changes of the folder. */
  next: Promise<void> | undefined;
  running: Promise<void> | undefined;
}

/** Fills `memory` with the bytes at a position. @returns false at the end of the file. */
async function readExactly(file: fs.FileHandle, position: number, memory: Uint8Array): Promise<boolean> {
  let filled = 0;
  while (filled < memory.length) {
    const { bytesRead } = await file.read(memory, filled, memory.length - filled, position + filled);
    if (bytesRead === 0) return false;
    filled += bytesRead;
  }
  return true;
}

/** A content keeps its tag when its folder is renamed. */
function openName(tag: ContentTag, place: PagePlace): string {
  return `${tag}-${place.block}-${place.page}`;
}

interface WantedPart {
  readonly tag: ContentTag;
  readonly place: PagePlace;
  readonly lengthBytes: number;
  readonly range: PageRange;
}

/** The part, verified, somewhere in `memory`. A header is read once for as long as its file is open. */
async function readPart(page: OpenPage, wanted: WantedPart, memory: Uint8Array): Promise<Uint8Array | undefined> {
  const { tag, place, lengthBytes, range } = wanted;
  const { start, end } = coveringChunks(range, lengthBytes);
  const headerBytes = pageHeaderBytes(lengthBytes);
  let { header } = page;
  let chunks = memory.subarray(0, end - start);
  if (header === undefined && start === 0) {
    chunks = memory.subarray(headerBytes, headerBytes + end);
    if (!(await readExactly(page.file, 0, memory.subarray(0, headerBytes + end)))) return undefined;
    header = Buffer.from(memory.subarray(0, headerBytes));
  } else {
    if (header === undefined) {
      header = Buffer.alloc(headerBytes);
      if (!(await readExactly(page.file, 0, header))) return undefined;
    }
    if (!(await readExactly(page.file, headerBytes + start, chunks))) return undefined;
  }
  if (page.header === undefined) {
    if (!isHeaderOf(header, tag, place, lengthBytes)) return undefined;
    page.header = header;
  }
  return areChunksSound(header, start, chunks) ? chunks.subarray(range.start - start, range.end - start) : undefined;
}

/**
 * Reads and changes page files and the folders of contents: whole or not at all (written beside, then renamed) and,
 * when asked, durable on return. Knows nothing of quotas and use. Errors are those of the operating system.
 */
export class CacheDisk {
  readonly folder: string;
  readonly #fs: DiskFunctions;
  readonly #syncs = new Map<string, FolderSync>();
  readonly #pages = new OpenPages();
  /** Tells the temporary names of this process's life apart. */
  readonly #life = randomUUID().slice(0, 8);
  #temporaryCount = 0;
  /** Shards whose names are known to be durable. */
  readonly #durableShards = new Set<string>();

  constructor(folder: string, functions: DiskFunctions) {
    this.folder = folder;
    this.#fs = functions;
  }

  #temporaryPath(): string {
    this.#temporaryCount += 1;
    return join(temporaryFolder(this.folder), `${this.#life}-${this.#temporaryCount}`);
  }

  /** Makes `path` a file with these bytes, replacing any. */
  async writeFile(path: string, parts: readonly Uint8Array[], durable: boolean): Promise<void> {
    const temporary = this.#temporaryPath();
    try {
      const file = await this.#fs.open(temporary, 'wx');
      try {
        let wanted = 0;
        for (const part of parts) wanted += part.length;
        const { bytesWritten } = await file.writev(parts);
        if (bytesWritten !== wanted)
          throw Object.assign(new Error(`Only ${bytesWritten} of ${wanted} bytes written`), { code: 'ENOSPC' });
        if (durable) await file.datasync();
      } finally {
        await file.close();
      }
      await this.#fs.rename(temporary, path);
    } catch (thrown) {
      // The first failure is the one that matters; what stays behind is deleted at the next start.
      await this.#fs.rm(temporary, { force: true }).catch(() => undefined);
      throw thrown;
    }
    if (durable) await this.#syncFolder(join(path, '..'));
  }

  /** Makes the folder of a content, or gives an existing one these facts. */
  async writeContent(folder: string, meta: ContentMeta, durable: boolean): Promise<void> {
    await this.#fs.mkdir(folder, { recursive: true });
    await this.writeFile(join(folder, META_NAME), [new TextEncoder().encode(encodeContentMeta(meta))], durable);
    if (!durable) return;
    const shard = shardFolder(this.folder, meta.fileId);
    await this.#syncFolder(shard);
    if (this.#durableShards.has(shard)) return;
    await this.#syncFolder(pagesFolder(this.folder));
    this.#durableShards.add(shard);
  }

  /** Renames the folder of a content to that of `key`. @returns the new path. */
  async moveContent(folder: string, key: ContentKey, durable: boolean): Promise<string> {
    const target = contentFolder(this.folder, key);
    await this.#fs.rename(folder, target);
    if (durable) await this.#syncFolder(shardFolder(this.folder, key.fileId));
    return target;
  }

  /** Deletes a folder, at once out of sight of a later start. Absence is no error. */
  async removeFolder(folder: string): Promise<void> {
    const temporary = this.#temporaryPath();
    try {
      await this.#fs.rename(folder, temporary);
    } catch (thrown) {
      if (isAbsence(thrown)) return;
      throw thrown;
    }
    await this.#fs.rm(temporary, { recursive: true, force: true });
  }

  async writePage(content: CachedContent, place: PagePlace, bytes: Uint8Array, durable: boolean): Promise<void> {
    const header = encodePageHeader(content.tag, place, bytes);
    await this.writeFile(join(content.folder, pageName(place, bytes.length)), [header, bytes], durable);
  }

  /**
   * A part of a page, in `memory` (of `partMemoryBytes`) when it is given; undefined when its file is damaged there.
   * Reads and verifies only the chunks that cover it.
   * @throws ENOENT when there is no such file.
   */
  readPage(
    content: CachedContent,
    place: PagePlace,
    lengthBytes: number,
    range: PageRange,
    memory?: Uint8Array,
  ): Promise<Uint8Array | undefined> {
    const path = join(content.folder, pageName(place, lengthBytes));
    const wanted = { tag: content.tag, place, lengthBytes, range };
    return this.#pages.use(
      openName(content.tag, place),
      () => this.#fs.open(path, 'r'),
      (page) => readPart(page, wanted, memory ?? Buffer.allocUnsafeSlow(partMemoryBytes(range, lengthBytes))),
    );
  }

  /** Closes what is open of a content that goes away. */
  async closePages(content: CachedContent): Promise<void> {
    await Promise.all(
      [...content.pages.keys()].map((number) => this.#pages.drop(openName(content.tag, placeOfNumber(number)))),
    );
  }

  async close(): Promise<void> {
    await this.#pages.close();
  }

  /** Absence is no error. */
  async removePage(content: CachedContent, place: PagePlace, lengthBytes: number): Promise<void> {
    try {
      await this.#pages.drop(openName(content.tag, place));
      await this.#fs.unlink(join(content.folder, pageName(place, lengthBytes)));
    } catch (thrown) {
      if (!isAbsence(thrown)) throw thrown;
    }
  }

  /** Makes the names in a folder durable; calls that come while a run is under way share the next one. */
  #syncFolder(folder: string): Promise<void> {
    const sync = this.#syncs.get(folder) ?? { next: undefined, running: undefined };
    this.#syncs.set(folder, sync);
    sync.next ??= (sync.running ?? Promise.resolve()).catch(() => undefined).then(() => this.#runSync(folder, sync));
    return sync.next;
  }

  async #runSync(folder: string, sync: FolderSync): Promise<void> {
    sync.running = sync.next;
    sync.next = undefined;
    try {
      const handle = await this.#fs.open(folder, 'r');
      try {
        await handle.sync();
      } finally {
        await handle.close();
      }
    } finally {
      sync.running = undefined;
      if (sync.next === undefined) this.#syncs.delete(folder);
    }
  }
}
