import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';

/** Bytes of the files in a folder, those that come and go meanwhile counted or not; 0 when there is no folder. */
export async function folderBytes(folder: string): Promise<number> {
  const names = await unlessGone(readdir(folder), []);
  const sizes = await Promise.all(names.map((name) => unlessGone(fileBytes(join(folder, name)), 0)));
  return sizes.reduce((sum, size) => sum + size, 0);
}

async function fileBytes(path: string): Promise<number> {
  const found = await stat(path);
  return found.isFile() ? found.size : 0;
}

async function unlessGone<T>(asked: Promise<T>, gone: T): Promise<T> {
  try {
    return await asked;
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return gone;
    throw thrown;
  }
}
