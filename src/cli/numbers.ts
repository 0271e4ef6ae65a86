import { parseBytes, parseDuration } from '../base/units.ts';
import { SluiceError } from '../model/errors.ts';

/** A whole number from a command line. @throws SluiceError INVALID_ARGUMENT that names the option. */
export function wholeNumber(option: string, text: string, min = 0): number {
  const value = /^\d{1,15}$/.test(text) ? Number(text) : -1;
  if (value >= min) return value;
  throw new SluiceError('INVALID_ARGUMENT', `${option} must be a whole number from ${min}, got ${text}`);
}

/** A size such as `64MiB` from a command line. @throws SluiceError INVALID_ARGUMENT that names the option. */
export function size(option: string, text: string): number {
  const value = parseBytes(text);
  if (value !== undefined) return value;
  throw new SluiceError('INVALID_ARGUMENT', `${option} must be a size such as 64MiB, got ${text}`);
}

/** A duration such as `10s`, or `never` (-1), from a command line. @throws SluiceError INVALID_ARGUMENT */
export function durationOrNever(option: string, text: string): number {
  const value = text === 'never' ? -1 : parseDuration(text);
  if (value !== undefined) return value;
  throw new SluiceError('INVALID_ARGUMENT', `${option} must be a duration such as 10s, or never, got ${text}`);
}
