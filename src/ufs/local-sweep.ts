import { lstat, unlink } from 'node:fs/promises';
import type { Logger } from '../host/logger.ts';
import { errnoOf } from './local-errors.ts';
import { joinLocal } from './local-root.ts';

/** A temporary file that nobody has written to for so long belongs to a process that is gone. */
const STALE_MS = 24 * 3600e3;

/** Removes those temporary files of a directory that are stale. @returns how many remain. */
export async function sweepTemporaries(directory: string, names: readonly string[], logger: Logger): Promise<number> {
  let remaining = 0;
  for (const name of names) {
    const path = joinLocal(directory, name);
    try {
      const { mtimeMs } = await lstat(path);
      if (Date.now() - mtimeMs < STALE_MS) {
        remaining += 1;
        continue;
      }
      await unlink(path);
      logger.info({ path }, 'removed a stale temporary file');
    } catch (thrown) {
      if (errnoOf(thrown) === 'ENOENT') continue;
      remaining += 1;
      logger.warn({ path, err: thrown }, 'cannot remove a stale temporary file');
    }
  }
  return remaining;
}
