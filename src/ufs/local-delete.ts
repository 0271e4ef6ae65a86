import { opendir, rmdir, unlink } from 'node:fs/promises';
import { throwIfAborted } from './abort.ts';
import { errnoOf } from './local-errors.ts';
import { joinLocal } from './local-root.ts';
import { mapBounded } from './map-bounded.ts';

const BATCH = 512;
const CONCURRENT_UNLINKS = 8;

async function unlinkIfThere(path: string): Promise<boolean> {
  try {
    await unlink(path);
    return true;
  } catch (thrown) {
    if (errnoOf(thrown) === 'ENOENT') return false;
    throw thrown;
  }
}

/** Deletes what one pass over a directory shows; links are deleted, never followed. @returns how many went. */
async function deleteChildren(directory: string, signal: AbortSignal | undefined): Promise<number> {
  let deleted = 0;
  let files: string[] = [];
  const flush = async (): Promise<void> => {
    const gone = await mapBounded(files, CONCURRENT_UNLINKS, unlinkIfThere);
    deleted += gone.filter(Boolean).length;
    files = [];
  };
  for await (const entry of await opendir(directory, { bufferSize: BATCH })) {
    throwIfAborted(signal);
    const path = joinLocal(directory, entry.name);
    if (entry.isDirectory()) {
      await deleteTree(path, signal);
      deleted += 1;
    } else {
      files.push(path);
      if (files.length >= BATCH) await flush();
    }
  }
  await flush();
  return deleted;
}

/**
 * Deletes a directory with all that is in it, in bounded memory. Absence is no error.
 * @throws ENOTEMPTY of node when what is left cannot be deleted by name (not UTF-8) or others go on adding.
 */
export async function deleteTree(directory: string, signal: AbortSignal | undefined): Promise<void> {
  for (;;) {
    try {
      const deleted = await deleteChildren(directory, signal);
      try {
        await rmdir(directory);
        return;
      } catch (thrown) {
        // A directory that changes while it is read may show too little: read it again while that helps.
        if (errnoOf(thrown) !== 'ENOTEMPTY' || deleted === 0) throw thrown;
      }
    } catch (thrown) {
      if (errnoOf(thrown) === 'ENOENT') return;
      throw thrown;
    }
  }
}
