import type { UfsFact } from '../model/command.ts';

export interface UfsReadRange {
  readonly offset: number;
  /** Bytes wanted; fewer come only at the end of the file. */
  readonly lengthBytes: number;
  /** Refuse with STALE when the file's version is another one; empty accepts any. */
  readonly version: string;
  readonly signal?: AbortSignal;
}

/**
 * A file being written. Nothing is visible under its path before `complete`; then all of it is, atomically and durably.
 * Exactly one of `complete` and `abort` ends it.
 */
export interface UfsWriter {
  /** Appends; resolves when more may be written (back-pressure). The caller may reuse `chunk` afterwards. */
  write(chunk: Uint8Array): Promise<void>;
  /** Makes the file visible in place of any earlier one. @returns what `stat` would say of it. */
  complete(): Promise<UfsFact>;
  /** Leaves no trace. Never throws. */
  abort(): Promise<void>;
}

export interface UfsAttributes {
  readonly mode?: number;
  readonly owner?: string;
  readonly group?: string;
  readonly modifiedMs?: number;
}

/**
 * One under file storage. Paths are relative to its URI, without leading or trailing slash; '' is its root. Errors are
 * SluiceErrors whose message names the URI and the way out: NOT_FOUND, ALREADY_EXISTS, NOT_A_DIRECTORY,
 * IS_A_DIRECTORY, NOT_EMPTY,
 * PERMISSION_DENIED, UNAUTHENTICATED (bad credentials), STALE, EXHAUSTED (full), UNAVAILABLE (cannot be reached; may
 * be tried again).
 */
export interface Ufs {
  readonly uri: string;
  /**
   * Proves that the storage can be reached, that the root is a directory or bucket and, unless `readOnly`, that it
   * can be written.
   */
  check(readOnly: boolean): Promise<void>;
  /** What is at `path`; undefined when nothing is. An error never means absence. */
  stat(path: string, signal?: AbortSignal): Promise<UfsFact | undefined>;
  /**
   * The children of a directory in pages, ordered by the code points of their names, each name once. Ends normally
   * only when
   * the listing is complete. @throws NOT_FOUND when there is no such directory.
   */
  list(path: string, signal?: AbortSignal): AsyncIterable<readonly UfsFact[]>;
  /** Bytes of a range, in chunks that the receiver owns. Empty at or behind the end. */
  read(path: string, range: UfsReadRange): AsyncIterable<Uint8Array>;
  /** Begins a file; parents are made as needed. */
  create(path: string, attributes: UfsAttributes): Promise<UfsWriter>;
  /** Makes a directory and its parents; an existing directory is no error. */
  makeDirectory(path: string, attributes: UfsAttributes): Promise<void>;
  /**
   * Deletes a file, or a directory with all that is below it when `recursive`. Absence is no error. @throws NOT_EMPTY
   */
  delete(path: string, options: { readonly recursive: boolean; readonly signal?: AbortSignal }): Promise<void>;
  /**
   * Moves a file or directory; replaces a file by a file, and an empty directory by a directory, at `target`, whose
   * parents are made as needed. The version may change. @returns what `stat` says of the target.
   */
  rename(source: string, target: string, signal?: AbortSignal): Promise<UfsFact>;
  /** Changes what the storage can keep; what it cannot is left to the namespace alone. */
  setAttributes(path: string, attributes: UfsAttributes): Promise<void>;
  close(): Promise<void>;
}
