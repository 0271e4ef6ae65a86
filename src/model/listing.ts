import { must } from '../base/assert.ts';
import type { Refusal } from './errors.ts';
import type { DirectoryInode, Inode } from './inode.ts';
import { type CursorFrame, decodeCursor, encodeCursor } from './list-cursor.ts';
import type { Mount } from './mount.ts';
import { located, locatedIn, notFound, target, type Walk, walkFor } from './namespace.ts';
import type { ListReply, ListRequest } from './operations.ts';
import { joinPath } from './path.ts';
import { checkAccess, READ_AND_EXECUTE } from './permission.ts';
import type { Caller } from './principal.ts';
import { isRefusal, refuse } from './refusal.ts';
import { dentryKey, dentryPrefix, type StateReader, type StateScanner } from './state-store.ts';
import { type FileStatus, fileStatus, type Located } from './status.ts';

/** Entries of one page when the request does not say. */
const DEFAULT_LIST_LIMIT = 1000;

/** Entries of one page at most. */
const MAX_LIST_LIMIT = 10_000;

/** Rows of one scan, and rows that may wait in the directories above the one that is being listed. */
const SCAN_ROWS = 256;
const MAX_WAITING_ROWS = 8192;

type State = StateReader & StateScanner;

/** Called before the first entry of a directory is read: the place to load what the UFS has there. */
export type EnterDirectory = (directory: Located) => Promise<void>;

/** Told which directories a recursive listing will enter, in that order, as soon as it knows. It may enter fewer. */
type ForeseeDirectories = (directories: readonly Located[]) => void;

/** What a page may be told besides. */
export interface PageOptions {
  readonly foresee?: ForeseeDirectories;
  /** Asked before a directory is entered: whether the page, when it has entries, ends here for its cursor to go on. */
  enough?(): boolean;
}

/** A directory that is being listed. */
interface Frame {
  readonly inode: DirectoryInode;
  readonly path: string;
  readonly mount: Mount | undefined;
  /** Last name that was answered. */
  after: string;
  /** Scanned, not yet answered; in the order of names. */
  waiting: { readonly name: string; readonly inode: Inode }[];
  /** No rows follow those that wait. */
  ended: boolean;
}

/** A page that is being filled. */
interface Page {
  readonly entries: FileStatus[];
  readonly recursive: boolean;
  readonly limit: number;
  readonly enter: EnterDirectory;
  readonly options: PageOptions;
}

/**
 * One page of a directory's entries in the order of names' code points; with `recursive` depth first, a directory
 * before its children. A file is listed as itself. Each entry that exists for the whole listing comes exactly once;
 * what comes or goes meanwhile may be missed or seen. Needs read and traverse rights on every directory that is listed,
 * and refuses rather than to leave one out.
 */
export async function listPage(
  state: State,
  caller: Caller,
  request: ListRequest,
  enter: EnterDirectory,
  options: PageOptions = {},
): Promise<ListReply | Refusal> {
  const { limit } = request;
  if (!Number.isInteger(limit) || limit < 0 || limit > MAX_LIST_LIMIT) {
    const message = `A listing of ${limit} entries a page is not within 1 and ${MAX_LIST_LIMIT}: ask for smaller pages`;
    return refuse('INVALID_ARGUMENT', message);
  }
  const walked = walkFor(state, caller, request.path);
  if (isRefusal(walked)) return walked;
  const inode = target(walked);
  if (inode === undefined) return notFound(walked);
  if (inode.kind === 'file') return { entries: [fileStatus(located(walked, inode))], cursor: '' };
  const stack = resume(state, caller, walked, inode, request.cursor);
  if (isRefusal(stack)) return stack;
  const entries: FileStatus[] = [];
  const refusal = await fill(state, caller, stack, {
    entries,
    recursive: request.recursive,
    limit: limit === 0 ? DEFAULT_LIST_LIMIT : limit,
    enter,
    options,
  });
  if (refusal !== undefined) return refusal;
  const frames = stack.map((frame) => ({ directoryId: frame.inode.id, after: frame.after }));
  return { entries, cursor: frames.length === 0 ? '' : encodeCursor(frames) };
}

/** Takes entries from the innermost directory until the page is full or, leaving the stack empty, all are answered. */
async function fill(state: State, caller: Caller, stack: Frame[], page: Page): Promise<Refusal | undefined> {
  const { entries, recursive, limit, options } = page;
  for (let frame = stack.at(-1); frame !== undefined; frame = stack.at(-1)) {
    if (frame.after === '' && entries.length > 0 && options.enough?.() === true) return undefined;
    if (frame.waiting.length === 0 && !frame.ended) await scan(state, caller, frame, page);
    const next = frame.waiting[0];
    if (next === undefined) {
      stack.pop();
      continue;
    }
    if (entries.length === limit) return undefined;
    frame.waiting.shift();
    frame.after = next.name;
    const path = joinPath(frame.path, next.name);
    const mount = mountBelow(state, frame.mount, path, next.inode);
    entries.push(fileStatus(locatedIn(mount, path, next.inode)));
    if (recursive && next.inode.kind === 'directory') {
      const refusal = checkAccess(caller, path, next.inode, READ_AND_EXECUTE);
      if (refusal !== undefined) return refusal;
      stack.push(frameOf(next.inode, path, mount));
      trim(stack);
    }
  }
  return undefined;
}

async function scan(state: State, caller: Caller, frame: Frame, page: Page): Promise<void> {
  if (frame.after === '') await page.enter(locatedIn(frame.mount, frame.path, frame.inode));
  const limit = Math.min(SCAN_ROWS, page.limit - page.entries.length + 1);
  const prefix = dentryPrefix(frame.inode.id);
  const after = frame.after === '' ? '' : dentryKey(frame.inode.id, frame.after);
  const rows = await state.scan('inode', { prefix, after, limit });
  frame.waiting = rows.map(({ key, row }) => ({ name: key.slice(prefix.length), inode: row }));
  frame.ended = rows.length < limit;
  if (page.recursive) page.options.foresee?.(directoriesOf(state, caller, frame));
}

/** The directories that wait in a frame, but for those that the caller may not list. */
function directoriesOf(state: State, caller: Caller, frame: Frame): Located[] {
  const found: Located[] = [];
  for (const { name, inode } of frame.waiting) {
    if (inode.kind !== 'directory') continue;
    const path = joinPath(frame.path, name);
    if (checkAccess(caller, path, inode, READ_AND_EXECUTE) !== undefined) continue;
    found.push(locatedIn(mountBelow(state, frame.mount, path, inode), path, inode));
  }
  return found;
}

/** Forgets what waits in outer directories when it is too much; it will be scanned again. */
function trim(stack: Frame[]): void {
  let rows = stack.reduce((sum, frame) => sum + frame.waiting.length, 0);
  for (const frame of stack) {
    if (rows <= MAX_WAITING_ROWS) return;
    rows -= frame.waiting.length;
    frame.waiting = [];
    frame.ended = false;
  }
}

/** Builds the stack that a cursor describes, as far as its directories are still where they were. */
function resume(state: State, caller: Caller, walked: Walk, inode: DirectoryInode, cursor: string): Frame[] | Refusal {
  const frames: readonly CursorFrame[] | Refusal = cursor === '' ? [] : decodeCursor(cursor);
  if (isRefusal(frames)) return frames;
  const stack = [frameOf(inode, walked.path, walked.mount)];
  const refusal = checkAccess(caller, walked.path, inode, READ_AND_EXECUTE);
  if (refusal !== undefined) return refusal;
  for (const [index, { directoryId, after }] of frames.entries()) {
    const frame = must(stack.at(-1), 'The stack of a listing has the listed directory');
    if (index > 0) {
      const child = state.get('inode', dentryKey(frame.inode.id, frame.after));
      if (child?.kind !== 'directory' || child.id !== directoryId) break;
      const path = joinPath(frame.path, frame.after);
      const no = checkAccess(caller, path, child, READ_AND_EXECUTE);
      if (no !== undefined) return no;
      stack.push(frameOf(child, path, mountBelow(state, frame.mount, path, child)));
    }
    must(stack.at(-1), 'The stack of a listing has the directory of its frame').after = after;
  }
  return stack;
}

function frameOf(inode: DirectoryInode, path: string, mount: Mount | undefined): Frame {
  return { inode, path, mount, after: '', waiting: [], ended: false };
}

/** The mount of an entry: that of its directory, unless the entry is a mount point itself. */
function mountBelow(state: State, mount: Mount | undefined, path: string, inode: Inode): Mount | undefined {
  return inode.kind === 'directory' && inode.mountPoint ? state.get('mount', path) : mount;
}
