import type { ContentKey } from '../cache/page-store.ts';
import type { MountId } from '../model/mount.ts';

/** A block whose bytes are wanted. */
export interface BlockContent extends ContentKey {
  readonly block: number;
  /** Bytes that the block has. */
  readonly blockLength: number;
  readonly offsetInFile: number;
  readonly pageSizeBytes: number;
  /** Where misses are fetched from; undefined for content that only workers have. */
  readonly ufs: { readonly mountId: MountId; readonly path: string } | undefined;
}

/** Bytes of a page of the block: the last one may be shorter. */
export function pageLength(content: BlockContent, page: number): number {
  return Math.min(content.pageSizeBytes, content.blockLength - page * content.pageSizeBytes);
}

export function lastPage(content: BlockContent): number {
  return Math.ceil(content.blockLength / content.pageSizeBytes) - 1;
}
