/** Texts up to this many bytes are looked up; longer ones are rarely the same as others. */
export const SHORT_TEXT_BYTES_MAX = 24;

const KNOWN_TEXTS = 1024;
const known: string[] = new Array<string>(KNOWN_TEXTS).fill('');

/**
 * The UTF-8 text of a few bytes. Users, groups and names of directories come again and again: a text that was lately
 * read is given once more, which is faster than to make it and leaves one copy in all that keeps it.
 */
export function shortText(buffer: Buffer, start: number, end: number): string {
  // FNV-1a.
  let hash = 0x811c9dc5;
  for (let i = start; i < end; i += 1) {
    const byte = buffer[i] as number;
    if (byte > 127) return buffer.toString('utf8', start, end);
    hash = Math.imul(hash ^ byte, 0x01000193);
  }
  const place = (hash ^ (hash >>> 15)) & (KNOWN_TEXTS - 1);
  const text = known[place] as string;
  if (isAt(text, buffer, start, end)) return text;
  const made = buffer.toString('latin1', start, end);
  known[place] = made;
  return made;
}

function isAt(text: string, buffer: Buffer, start: number, end: number): boolean {
  if (text.length !== end - start) return false;
  for (let i = 0; i < text.length; i += 1) if (text.charCodeAt(i) !== buffer[start + i]) return false;
  return true;
}
