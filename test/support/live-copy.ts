import { cp, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * Copies a LevelDB that is open, as a kill at this moment would leave it. LevelDB removes files in a thread of its own:
 * a copy during which the names have changed is made again.
 */
export async function liveCopy(from: string, to: string): Promise<void> {
  for (;;) {
    const before = await readdir(from);
    await rm(to, { recursive: true, force: true });
    try {
      await cp(from, to, { recursive: true });
    } catch (thrown) {
      if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') continue;
      throw thrown;
    }
    if (String(await readdir(from)) === String(before)) break;
  }
  await rm(join(to, 'LOCK'), { force: true });
}
