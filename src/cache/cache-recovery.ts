import { join } from 'node:path';
import { SluiceError } from '../model/errors.ts';
import { type CacheDisk, type DiskFunctions, isAbsence } from './cache-disk.ts';
import { contentFolder, formatPath, META_NAME, pagesFolder, parsePageName, temporaryFolder } from './cache-layout.ts';
import { type CachedContent, newContent, placeNumber } from './cached-content.ts';
import { parseContentMeta } from './content-meta.ts';
import type { PageIndex } from './page-index.ts';

/** Enough to keep the four threads of the file system busy. */
const FOLDERS_AT_ONCE = 16;

export interface RecoveryReport {
  /** Files and folders that were no pages of ours, or whose content could not be told; deleted. */
  readonly foreign: number;
}

/**
 * Makes the folders of a new store, or checks those of an earlier one. @throws INVALID_ARGUMENT when the folder has
 * strange files or pages of another size.
 */
export async function prepareFolder(disk: CacheDisk, fs: DiskFunctions, pageSizeBytes: number): Promise<void> {
  const { folder } = disk;
  await fs.mkdir(folder, { recursive: true });
  await fs.rm(temporaryFolder(folder), { recursive: true, force: true });
  await checkFormat(disk, fs, pageSizeBytes);
  await fs.mkdir(temporaryFolder(folder), { recursive: true });
  await fs.mkdir(pagesFolder(folder), { recursive: true });
  const text = JSON.stringify({ format: 1, pageSizeBytes });
  await disk.writeFile(formatPath(folder), [new TextEncoder().encode(`${text}\n`)], true);
}

async function checkFormat(disk: CacheDisk, fs: DiskFunctions, pageSizeBytes: number): Promise<void> {
  const { folder } = disk;
  let text: string;
  try {
    text = await fs.readFile(formatPath(folder), 'utf8');
  } catch (thrown) {
    if (!isAbsence(thrown)) throw thrown;
    const strange = (await fs.readdir(folder)).filter((name) => name !== 'pages');
    if (strange.length === 0) return;
    const seen = strange.slice(0, 3).join(', ');
    throw new SluiceError(
      'INVALID_ARGUMENT',
      `Cache folder ${folder} has files of others (${seen}): give worker.cache.dir a folder of its own`,
    );
  }
  const format = readFormat(text);
  if (format?.format !== 1)
    throw new SluiceError(
      'INVALID_ARGUMENT',
      `Cache folder ${folder} is of another version or damaged (${formatPath(folder)}): empty it, or use another one`,
    );
  if (format.pageSizeBytes !== pageSizeBytes)
    throw new SluiceError(
      'INVALID_ARGUMENT',
      `Cache folder ${folder} has pages of ${format.pageSizeBytes} bytes and worker.cache.page-size ` +
        `is ${pageSizeBytes}: set it back, or use another folder`,
    );
}

function readFormat(text: string): { readonly format?: unknown; readonly pageSizeBytes?: unknown } | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? value : undefined;
  } catch (thrown) {
    if (thrown instanceof SyntaxError) return undefined;
    throw thrown;
  }
}

/**
 * Fills the index from the names in the folders and one meta file per content: no page is opened, its checksum is
 * checked when it is read. Unknown files are deleted and counted. The order of use is not kept over a restart.
 */
export async function recoverPages(
  disk: CacheDisk,
  fs: DiskFunctions,
  index: PageIndex,
  pageSizeBytes: number,
): Promise<RecoveryReport> {
  let foreign = 0;
  const remove = async (path: string): Promise<void> => {
    foreign += 1;
    await fs.rm(path, { recursive: true, force: true });
  };
  for (const shard of await fs.readdir(pagesFolder(disk.folder))) {
    const shardPath = join(pagesFolder(disk.folder), shard);
    if (!/^[0-9a-f]{2}$/.test(shard)) {
      await remove(shardPath);
      continue;
    }
    const names = await fs.readdir(shardPath);
    const walk = async (): Promise<void> => {
      for (let name = names.pop(); name !== undefined; name = names.pop()) {
        const path = join(shardPath, name);
        const content = await readContent(disk, fs, index, path);
        if (content === undefined) await remove(path);
        else
          for (const page of await readNames(fs, index, content, pageSizeBytes))
            await remove(join(content.folder, page));
      }
    };
    await Promise.all(Array.from({ length: FOLDERS_AT_ONCE }, walk));
  }
  return { foreign };
}

/**
 * The content of a folder, in the index; undefined when the folder is no content's. Ends a move that a crash cut
 * short.
 */
async function readContent(
  disk: CacheDisk,
  fs: DiskFunctions,
  index: PageIndex,
  path: string,
): Promise<CachedContent | undefined> {
  let text: string;
  try {
    text = await fs.readFile(join(path, META_NAME), 'utf8');
  } catch (thrown) {
    if (isAbsence(thrown) || (thrown as NodeJS.ErrnoException).code === 'ENOTDIR') return undefined;
    throw thrown;
  }
  const meta = parseContentMeta(text);
  if (meta === undefined || index.content(meta.fileId, meta.version) !== undefined) return undefined;
  const content = newContent(meta, path);
  content.ready = Promise.resolve();
  index.addContent(content);
  if (contentFolder(disk.folder, meta) !== path) content.folder = await disk.moveContent(path, meta, true);
  return content;
}

/** Adds the pages of a content to the index. @returns names that are no pages. */
async function readNames(
  fs: DiskFunctions,
  index: PageIndex,
  content: CachedContent,
  pageSizeBytes: number,
): Promise<readonly string[]> {
  const foreign: string[] = [];
  for (const name of await fs.readdir(content.folder)) {
    if (name === META_NAME) continue;
    const page = parsePageName(name);
    const sound =
      page !== undefined &&
      page.lengthBytes > 0 &&
      page.lengthBytes <= pageSizeBytes &&
      page.page < 2 ** 24 &&
      page.block < 2 ** 29 &&
      !content.pages.has(placeNumber(page));
    if (sound) index.add(content, placeNumber(page), page.lengthBytes);
    else foreign.push(name);
  }
  return foreign;
}
