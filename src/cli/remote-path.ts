import type { FileSystem } from '../client/file-system.ts';
import { SluiceError } from '../model/errors.ts';
import { joinPath, nameOf, parsePath } from '../model/path.ts';
import { isRefusal } from '../model/refusal.ts';
import type { FileStatus } from '../model/status.ts';

/** A path of the cluster in its normal form. @throws SluiceError INVALID_ARGUMENT */
export function remotePath(text: string): string {
  const path = parsePath(text);
  if (isRefusal(path)) throw SluiceError.of(path);
  return path;
}

/** The status of a path, undefined when nothing is there. */
export async function statIfExists(files: FileSystem, path: string): Promise<FileStatus | undefined> {
  try {
    return await files.stat(path);
  } catch (thrown) {
    if (thrown instanceof SluiceError && thrown.code === 'NOT_FOUND') return undefined;
    throw thrown;
  }
}

/** Where `source` goes when it is moved or copied to `target`: into it when that is a directory, as with mv and cp. */
export async function targetPath(files: FileSystem, sourceName: string, target: string): Promise<string> {
  const path = remotePath(target);
  const status = await statIfExists(files, path);
  return status?.kind === 'directory' && sourceName !== '' ? joinPath(path, sourceName) : path;
}

/** The last name of a path of the cluster. */
export function remoteName(text: string): string {
  return nameOf(remotePath(text));
}

/** Everything at and below `path`: itself first, then as recursive listings have it. */
export async function* treeOf(files: FileSystem, path: string, signal: AbortSignal): AsyncGenerator<FileStatus> {
  const top = await files.stat(path);
  yield top;
  if (top.kind === 'directory') yield* files.list(path, { recursive: true, signal });
}
