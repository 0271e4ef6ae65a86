import type { Refusal } from './errors.ts';
import type { InodeId } from './inode.ts';
import { checkName } from './path.ts';
import { isRefusal, refuse } from './refusal.ts';

/** Where a listing stands in one directory. */
export interface CursorFrame {
  readonly directoryId: InodeId;
  /** All entries up to and including this one have been answered; empty before the first. */
  readonly after: string;
}

const VERSION = '1';
const MAX_FRAMES = 4096;

/**
 * Writes down where a listing stands: the listed directory first, then the directories that it is inside of. It names
 * entries, not positions, so it stays good while others come and go.
 */
export function encodeCursor(frames: readonly CursorFrame[]): string {
  const written = frames.map((frame) => `${frame.directoryId.toString(36)}:${encodeURIComponent(frame.after)}`);
  return `${VERSION}/${written.join('/')}`;
}

/** Reads what `encodeCursor` wrote; anything else is refused with INVALID_ARGUMENT. */
export function decodeCursor(cursor: string): readonly CursorFrame[] | Refusal {
  const [version, ...parts] = cursor.split('/');
  if (version !== VERSION || parts.length === 0 || parts.length > MAX_FRAMES) return unreadable();
  const frames: CursorFrame[] = [];
  for (const part of parts) {
    const frame = decodeFrame(part);
    if (isRefusal(frame)) return frame;
    frames.push(frame);
  }
  return frames;
}

function decodeFrame(part: string): CursorFrame | Refusal {
  const colon = part.indexOf(':');
  const directoryId = Number.parseInt(part.slice(0, colon), 36);
  const after = decode(part.slice(colon + 1));
  if (colon < 1 || !Number.isSafeInteger(directoryId) || after === undefined) return unreadable();
  return after === '' || checkName(after) === undefined ? { directoryId, after } : unreadable();
}

function decode(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined; // Its only error is malformed text, which the caller refuses.
  }
}

function unreadable(): Refusal {
  return refuse('INVALID_ARGUMENT', 'The cursor of this listing cannot be read: start again with an empty one');
}
