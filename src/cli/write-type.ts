import { SluiceError } from '../model/errors.ts';
import type { WriteType } from '../model/inode.ts';

const WRITE_TYPES: readonly WriteType[] = ['CACHE_THROUGH', 'THROUGH', 'MUST_CACHE'];

/** The option of commands that make files. */
export const WRITE_TYPE_OPTION: readonly [flags: string, doc: string] = [
  '--write-type <type>',
  `how new files become safe: ${WRITE_TYPES.join(', ')}`,
];

/** The write type that was given, undefined when none was. @throws SluiceError INVALID_ARGUMENT */
export function writeTypeOf(text: string | undefined): WriteType | undefined {
  if (text === undefined) return undefined;
  const found = WRITE_TYPES.find((type) => type === text.toUpperCase().replaceAll('-', '_'));
  if (found !== undefined) return found;
  throw new SluiceError('INVALID_ARGUMENT', `--write-type must be one of ${WRITE_TYPES.join(', ')}, got ${text}`);
}
