import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { PagePlace } from './page-file.ts';
import type { ContentKey } from './page-store.ts';

/*
 * <folder>/format.json                                page size, so that a folder is not read with another one
 * <folder>/temporary/<n>                              what is being written or deleted; emptied at each start
 * <folder>/pages/<shard>/<fileId>-<hash>/meta         one content: ContentMeta
 * <folder>/pages/<shard>/<fileId>-<hash>/<block>-<page>-<length>
 *
 * The length is in the name so that a start needs no look at each file.
 */

const SHARD_COUNT = 256;
export const META_NAME = 'meta';

export function formatPath(folder: string): string {
  return join(folder, 'format.json');
}

export function temporaryFolder(folder: string): string {
  return join(folder, 'temporary');
}

export function pagesFolder(folder: string): string {
  return join(folder, 'pages');
}

/** Folder of the contents of a file and of some others: it bounds the entries of one folder. */
export function shardFolder(folder: string, fileId: number): string {
  return join(pagesFolder(folder), (fileId % SHARD_COUNT).toString(16).padStart(2, '0'));
}

/** Folder of a content. */
export function contentFolder(folder: string, key: ContentKey): string {
  const hash = createHash('sha256').update(key.version).digest('hex').slice(0, 32);
  return join(shardFolder(folder, key.fileId), `${key.fileId}-${hash}`);
}

/** Name of a page's file in its content's folder. */
export function pageName(place: PagePlace, lengthBytes: number): string {
  return `${place.block}-${place.page}-${lengthBytes}`;
}

/** What a page's file name says; undefined for a foreign one. */
export function parsePageName(name: string): (PagePlace & { readonly lengthBytes: number }) | undefined {
  const match = /^(\d{1,9})-(\d{1,8})-(\d{1,8})$/.exec(name);
  if (match === null) return undefined;
  const place = { block: Number(match[1]), page: Number(match[2]) };
  const lengthBytes = Number(match[3]);
  return pageName(place, lengthBytes) === name ? { ...place, lengthBytes } : undefined;
}
