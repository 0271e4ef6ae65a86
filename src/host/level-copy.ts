import { copyFile, mkdir, readdir, symlink } from 'node:fs/promises';
import { join, resolve } from 'node:path';

/** Names of tables, old and new: LevelDB writes each once and never changes it. */
const TABLE = /\.(?:ldb|sst)$/;
/** What a copy has of its own. */
const OWN = new Set(['LOCK', 'LOG', 'LOG.old']);

/**
 * Makes `target` a LevelDB with the content of the closed one in `folder`, so that it can be opened without a change
 * of the original. Opening always writes: LevelDB turns its log into a table, begins a new log and manifest, and
 * deletes what it no longer needs; from a damaged database it would delete evidence. The copy has links to the tables,
 * and copies of the other files, which are as large as the write buffer. A folder that does not exist is copied as an
 * empty one. @throws as `readdir`, `symlink` and `copyFile`
 */
export async function copyLevel(folder: string, target: string): Promise<void> {
  await mkdir(target, { recursive: true });
  const files = await readdir(folder, { withFileTypes: true }).catch((thrown: NodeJS.ErrnoException) => {
    if (thrown.code === 'ENOENT') return [];
    throw thrown;
  });
  for (const file of files) {
    if (!file.isFile() || OWN.has(file.name)) continue;
    const from = resolve(folder, file.name);
    if (TABLE.test(file.name)) await symlink(from, join(target, file.name));
    else await copyFile(from, join(target, file.name));
  }
}
