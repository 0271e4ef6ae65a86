import type { FileHandle } from 'node:fs/promises';

/** Files that are kept open; a worker may have as many more connections. */
const MAX_OPEN = 512;

/** A page file that is open for reading. */
export interface OpenPage {
  readonly file: FileHandle;
  /** The header, once it was read and proved sound. */
  header: Buffer | undefined;
}

interface Entry {
  readonly page: Promise<OpenPage>;
  users: number;
  /** Closed by the last user. */
  dropped: boolean;
}

/** Keeps the page files that were read last open: opening and closing costs more than a small read. */
export class OpenPages {
  /** The one used longest ago is first. */
  readonly #entries = new Map<string, Entry>();

  /** Runs `task` on the page of that name, which `open` opens when it is not open. @throws what they throw */
  async use<T>(name: string, open: () => Promise<FileHandle>, task: (page: OpenPage) => Promise<T>): Promise<T> {
    const entry = this.#entries.get(name) ?? newEntry(open);
    this.#entries.delete(name);
    this.#entries.set(name, entry);
    entry.users += 1;
    try {
      this.#bound();
      return await task(await entry.page);
    } catch (thrown) {
      this.#forget(name, entry);
      throw thrown;
    } finally {
      entry.users -= 1;
      await closeUnused(entry);
    }
  }

  /** The file is about to be deleted: its bytes are free when nobody reads it any more. */
  async drop(name: string): Promise<void> {
    const entry = this.#entries.get(name);
    if (entry === undefined) return;
    this.#forget(name, entry);
    await closeUnused(entry);
  }

  async close(): Promise<void> {
    await Promise.all([...this.#entries.keys()].map((name) => this.drop(name)));
  }

  #forget(name: string, entry: Entry): void {
    entry.dropped = true;
    if (this.#entries.get(name) === entry) this.#entries.delete(name);
  }

  #bound(): void {
    if (this.#entries.size <= MAX_OPEN) return;
    for (const [name, entry] of this.#entries) {
      if (entry.users > 0) continue;
      this.#forget(name, entry);
      // It was only read: an error of closing it loses nothing.
      void closeUnused(entry).catch(() => undefined);
      return;
    }
  }
}

function newEntry(open: () => Promise<FileHandle>): Entry {
  return { page: open().then((file) => ({ file, header: undefined })), users: 0, dropped: false };
}

async function closeUnused(entry: Entry): Promise<void> {
  if (!entry.dropped || entry.users > 0) return;
  const page = await entry.page.catch(() => undefined);
  await page?.file.close();
}
