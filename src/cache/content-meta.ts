import { crc32 } from 'node:zlib';
import type { ContentTag } from './page-file.ts';
import type { ContentKey } from './page-store.ts';

/** What the file `meta` in a content's folder says: all that its page files do not. */
export interface ContentMeta extends ContentKey {
  readonly protect: boolean;
  readonly tag: ContentTag;
}

/** Two lines: JSON, and its CRC-32 in hex. */
export function encodeContentMeta(meta: ContentMeta): string {
  const { fileId, version, protect, tag } = meta;
  const line = JSON.stringify({ format: 1, fileId, version, protect, tag });
  return `${line}\n${crc32(line).toString(16)}\n`;
}

/** What `encodeContentMeta` wrote; undefined when the text is damaged or of another format. */
export function parseContentMeta(text: string): ContentMeta | undefined {
  const [line = '', sum = ''] = text.split('\n');
  if (crc32(line).toString(16) !== sum) return undefined;
  try {
    const { format, fileId, version, protect, tag } = JSON.parse(line) as Record<string, unknown>;
    const sound =
      format === 1 &&
      Number.isSafeInteger(fileId) &&
      typeof version === 'string' &&
      version !== '' &&
      typeof protect === 'boolean' &&
      typeof tag === 'string' &&
      /^[0-9a-f]{16}$/.test(tag);
    return sound ? { fileId: fileId as number, version, protect, tag } : undefined;
  } catch (thrown) {
    if (thrown instanceof SyntaxError) return undefined;
    throw thrown;
  }
}
