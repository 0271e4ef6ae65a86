import { SluiceError } from '../model/errors.ts';
import type { FileStatus } from '../model/status.ts';

const WHO = { u: 0o4700, g: 0o2070, o: 0o1007 } as const;
const WHAT: Readonly<Record<string, number>> = { r: 0o444, w: 0o222, x: 0o111, s: 0o6000, t: 0o1000 };
const ALL = 0o7777;
const EXECUTE = 0o111;

/** `drwxr-xr-x`, with `s` and `t` as `ls` shows them. */
export function formatMode({ kind, mode }: Pick<FileStatus, 'kind' | 'mode'>): string {
  const letters = [...'rwxrwxrwx'].map((letter, index) => ((mode >> (8 - index)) & 1 ? letter : '-'));
  for (const [bit, index, special] of [
    [0o4000, 2, 's'],
    [0o2000, 5, 's'],
    [0o1000, 8, 't'],
  ] as const)
    if (mode & bit) letters[index] = letters[index] === 'x' ? special : special.toUpperCase();
  return (kind === 'directory' ? 'd' : '-') + letters.join('');
}

/**
 * What a mode such as `644`, `u+x` or `go-rwx,a+X` makes of permission bits (POSIX chmod).
 * @throws SluiceError INVALID_ARGUMENT
 */
export function parseMode(text: string): (status: Pick<FileStatus, 'kind' | 'mode'>) => number {
  if (/^[0-7]{1,4}$/.test(text)) return () => Number.parseInt(text, 8);
  const clauses = text.split(',').map((clause) => /^([ugoa]*)([+=-])([rwxXst]*)$/.exec(clause));
  if (clauses.some((clause) => clause === null))
    throw new SluiceError('INVALID_ARGUMENT', `Mode ${text} must be octal such as 644, or changes such as u+x,go-w`);
  return ({ kind, mode }) => {
    let bits = mode;
    for (const [, who = '', sign = '', what = ''] of clauses as RegExpExecArray[])
      bits = changed(bits, kind, who, sign, what);
    return bits;
  };
}

function changed(mode: number, kind: FileStatus['kind'], who: string, sign: string, what: string): number {
  const everybody = who === '' || who.includes('a');
  const mask = everybody
    ? ALL
    : (['u', 'g', 'o'] as const).reduce((sum, one) => (who.includes(one) ? sum | WHO[one] : sum), 0);
  let bits = 0;
  for (const letter of what) {
    // X: executable for everybody who may, if it is a directory or anybody can execute it already.
    if (letter === 'X') bits |= kind === 'directory' || mode & EXECUTE ? EXECUTE : 0;
    else bits |= WHAT[letter] ?? 0;
  }
  if (sign === '+') return mode | (bits & mask);
  if (sign === '-') return mode & ~(bits & mask);
  return (mode & ~(mask & 0o777)) | (bits & mask);
}
