import { SluiceError } from '../model/errors.ts';

/** Bytes `start` up to but not including `end`. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

/** Value of a `Range` header (RFC 9110 §14.1.2). `range` is not empty. */
export function formatRangeHeader(range: ByteRange): string {
  return `bytes=${range.start}-${range.end - 1}`;
}

/**
 * The range that a `Range` header means in something of `lengthBytes`; undefined when none of its bytes exist (HTTP
 * 416). An end behind the last byte is cut; `bytes=-n` means the last n bytes. @throws INVALID_ARGUMENT for several
 * ranges or other units.
 */
export function parseRangeHeader(header: string, lengthBytes: number): ByteRange | undefined {
  const match = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(header.trim());
  const [, first = '', last = ''] = match ?? [];
  if (match === null || (first === '' && last === ''))
    throw new SluiceError(
      'INVALID_ARGUMENT',
      `Range ${header.slice(0, 100)} must be one range such as bytes=0-1048575`,
    );
  if (first === '') {
    const wanted = Math.min(Number(last), lengthBytes);
    return wanted === 0 ? undefined : { start: lengthBytes - wanted, end: lengthBytes };
  }
  const start = Number(first);
  if (last !== '' && Number(last) < start)
    throw new SluiceError('INVALID_ARGUMENT', `Range ${header.slice(0, 100)} ends before it begins`);
  const end = last === '' ? lengthBytes : Math.min(Number(last) + 1, lengthBytes);
  return start < lengthBytes ? { start, end } : undefined;
}
