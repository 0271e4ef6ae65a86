import { statfs } from 'node:fs/promises';
import { formatBytes } from '../base/units.ts';
import { type ErrorCode, SluiceError } from '../model/errors.ts';

interface Meaning {
  readonly code: ErrorCode;
  /** What is wrong and what to do, after the path. */
  readonly says: string;
}

const MEANINGS: Readonly<Record<string, Meaning>> = {
  ENOENT: { code: 'NOT_FOUND', says: 'does not exist' },
  EEXIST: { code: 'ALREADY_EXISTS', says: 'exists already' },
  ENOTDIR: { code: 'NOT_A_DIRECTORY', says: 'is not a directory, or is below a file' },
  EISDIR: { code: 'IS_A_DIRECTORY', says: 'is a directory' },
  ENOTEMPTY: { code: 'NOT_EMPTY', says: 'is not empty: delete it recursively' },
  EACCES: {
    code: 'PERMISSION_DENIED',
    says: 'may not be accessed by this process: change its rights or run as its owner',
  },
  EPERM: {
    code: 'PERMISSION_DENIED',
    says: 'may not be changed by this process: change its rights or run as its owner',
  },
  EROFS: {
    code: 'READ_ONLY',
    says: 'is on a read-only file system: remount that one writable, or mount with --readonly',
  },
  EMFILE: { code: 'EXHAUSTED', says: 'cannot be opened, the process has too many open files: raise ulimit -n' },
  ENFILE: { code: 'EXHAUSTED', says: 'cannot be opened, the host has too many open files: raise fs.file-max' },
  EFBIG: { code: 'EXHAUSTED', says: 'exceeds the largest file of its file system: split it' },
  ENAMETOOLONG: { code: 'INVALID_ARGUMENT', says: 'is a longer name than its file system takes: shorten it' },
  EINVAL: { code: 'INVALID_ARGUMENT', says: 'is not taken by its file system: choose another name' },
  ELOOP: { code: 'INVALID_ARGUMENT', says: 'goes through too many symbolic links: remove the loop' },
  EXDEV: { code: 'CROSS_MOUNT', says: 'is on another file system than its target: copy it, then delete it' },
  ETXTBSY: { code: 'UNAVAILABLE', says: 'is being executed: try again later' },
};

/** Errno of a thrown thing; '' when it is none of node's. */
export function errnoOf(thrown: unknown): string {
  return thrown instanceof Error && 'code' in thrown && typeof thrown.code === 'string' ? thrown.code : '';
}

/** Our error for one of `node:fs`. @param path absolute, for the message. Never throws. */
export async function localError(thrown: unknown, path: string): Promise<SluiceError> {
  if (thrown instanceof SluiceError) return thrown;
  const errno = errnoOf(thrown);
  if (errno === 'ENOSPC' || errno === 'EDQUOT') return full(thrown, path);
  const meaning = MEANINGS[errno];
  if (meaning !== undefined) return new SluiceError(meaning.code, `${path} ${meaning.says}`, { cause: thrown });
  if (errno === '') return SluiceError.from(thrown, 'INTERNAL', path);
  return SluiceError.from(thrown, 'UNAVAILABLE', `${path} failed with ${errno}; check the disk or the network mount`);
}

async function full(cause: unknown, path: string): Promise<SluiceError> {
  const space = await spaceNear(path);
  return new SluiceError('EXHAUSTED', `No space is left for ${path}${space}: delete files, or raise the quota`, {
    cause,
  });
}

/** Free and total space for a message; only a hint, so a file system that does not tell is no error. */
async function spaceNear(path: string): Promise<string> {
  for (let at = path; at !== ''; at = at.slice(0, at.lastIndexOf('/'))) {
    const space = await statfs(at).catch(() => undefined);
    if (space === undefined) continue;
    return ` (${formatBytes(space.bavail * space.bsize)} free of ${formatBytes(space.blocks * space.bsize)})`;
  }
  return '';
}
