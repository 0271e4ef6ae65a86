import type { PageRange } from './page-file.ts';

/** The content that pages belong to: other content, other version, other pages. */
export interface ContentKey {
  readonly fileId: number;
  /** `FileStatus.version`, or `w:<upload>` while it is being written. Never empty. */
  readonly version: string;
}

export interface PageKey extends ContentKey {
  readonly block: number;
  /** Index of the page in its block. */
  readonly page: number;
}

export interface PageStoreUsage {
  readonly capacityBytes: number;
  readonly usedBytes: number;
  /** Part of `usedBytes` that may not be evicted. */
  readonly protectedBytes: number;
  readonly pageCount: number;
}

/**
 * Keeps pages on this machine's disks, checksummed, within a byte quota. Pages survive a restart. A page is whole or
 * absent: it is never
 * seen half-written, and a damaged one is dropped and counted, never returned.
 */
export interface PageStore {
  readonly pageSizeBytes: number;
  /**
   * The bytes of a page, verified; undefined when it is not there (or was damaged: then it is dropped). Counts as a
   * use.
   */
  get(key: PageKey): Promise<Uint8Array | undefined>;
  /**
   * The same for a part of a page (not empty); also undefined when the page is shorter than that. The bytes are
   * somewhere in `memory`, of `partMemoryBytes` at least, when it is given: it is the store's until this resolves.
   */
  getPart(key: PageKey, range: PageRange, memory?: Uint8Array): Promise<Uint8Array | undefined>;
  has(key: PageKey): boolean;
  /**
   * Stores a page (1 … pageSizeBytes bytes). Unprotected: best effort, resolves false when it was not admitted or the
   * disk refused.
   * Protected: it is never evicted, and is on disk when this resolves. @throws EXHAUSTED when no room can be made for
   * a protected page.
   */
  put(key: PageKey, bytes: Uint8Array, options: { readonly protect: boolean }): Promise<boolean>;
  /**
   * Renames all pages of `from` to `to`, e.g. when the UFS has given the content its version; `protect` sets their
   * protection.
   */
  adopt(from: ContentKey, to: ContentKey, options: { readonly protect: boolean }): Promise<void>;
  /** Drops all pages of a file (of one version when given), protected ones too. */
  drop(fileId: number, version?: string): Promise<void>;
  /** Files with protected pages, in ascending order, for reconciliation with the masters. */
  protectedFiles(): readonly number[];
  usage(): PageStoreUsage;
  close(): Promise<void>;
}
