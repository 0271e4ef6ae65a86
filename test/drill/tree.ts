import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { FileSystem } from '../../src/client/file-system.ts';

/** A tree as the storage has it and as Sluice shows it. */
export interface TreeComparison {
  readonly files: number;
  readonly bytes: number;
  /** Regular files of the storage that Sluice does not list, or lists as something else. */
  readonly missing: readonly string[];
  /** Paths that Sluice lists and that the storage does not have. */
  readonly invented: readonly string[];
  /** Files whose bytes differ. */
  readonly different: readonly string[];
}

export interface CompareOptions {
  /** Leaves out what is at this path and below it, relative to the folder. */
  skip?(path: string): boolean;
  /** Hears how many of the files were compared, of how many. */
  onFile?(done: number, all: number): void;
}

const LANES = 16;

/** Compares every byte of a folder with what is read of it through the workers. */
export async function compareTree(
  files: FileSystem,
  mounted: string,
  folder: string,
  options: CompareOptions = {},
): Promise<TreeComparison> {
  const skip = (path: string): boolean => options.skip?.(path) === true;
  const listed = new Map<string, 'file' | 'directory'>();
  for await (const status of files.list(mounted, { recursive: true }))
    listed.set(status.path.slice(mounted === '/' ? 1 : mounted.length + 1), status.kind);
  const stored = new Set<string>();
  const missing: string[] = [];
  for await (const path of regularFiles(folder, skip)) {
    stored.add(path);
    if (listed.get(path) !== 'file') missing.push(path);
  }
  const paths = [...listed].filter(([path, kind]) => kind === 'file' && !inSkipped(path, skip)).map(([path]) => path);
  const invented: string[] = [];
  const different: string[] = [];
  let bytes = 0;
  let next = 0;
  let done = 0;
  const lane = async (): Promise<void> => {
    for (let path = paths[next++]; path !== undefined; path = paths[next++]) {
      const wanted = await digest(createReadStream(join(folder, path))).catch(() => undefined);
      if (wanted === undefined) {
        invented.push(path);
        continue;
      }
      const reader = await files.open(`${mounted === '/' ? '' : mounted}/${path}`);
      const got = await digest(reader.stream());
      await reader.close();
      bytes += got.bytes;
      if (got.hash !== wanted.hash) different.push(path);
      done += 1;
      options.onFile?.(done, paths.length);
    }
  };
  await Promise.all(Array.from({ length: LANES }, lane));
  return { files: paths.length, bytes, missing, invented, different };
}

async function digest(chunks: AsyncIterable<Uint8Array>): Promise<{ hash: string; bytes: number }> {
  const hash = createHash('sha256');
  let bytes = 0;
  for await (const chunk of chunks) {
    hash.update(chunk);
    bytes += chunk.length;
  }
  return { hash: hash.digest('hex'), bytes };
}

function inSkipped(path: string, skip: (path: string) => boolean): boolean {
  const names = path.split('/');
  return names.some((_, index) => skip(names.slice(0, index + 1).join('/')));
}

/** Paths of the regular files below a folder, relative to it; links are not followed. */
export async function* regularFiles(
  folder: string,
  skip: (path: string) => boolean = () => false,
  below = '',
): AsyncGenerator<string> {
  for (const entry of await readdir(join(folder, below), { withFileTypes: true })) {
    const path = below === '' ? entry.name : `${below}/${entry.name}`;
    if (skip(path)) continue;
    if (entry.isDirectory()) yield* regularFiles(folder, skip, path);
    else if (entry.isFile()) yield path;
  }
}
