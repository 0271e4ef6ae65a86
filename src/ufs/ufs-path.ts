import { SluiceError } from '../model/errors.ts';
import { checkName } from '../model/path.ts';

/** What files look like while they are written where the storage has no other way; never listed. */
const TEMPORARY = /^\.sluice-[0-9a-f-]{36}\.tmp$/;

/** A name for a file that is being written. @param unique a UUID. */
export function temporaryName(unique: string): string {
  return `.sluice-${unique}.tmp`;
}

/** Whether `name` is one that `temporaryName` makes. */
export function isTemporaryName(name: string): boolean {
  return TEMPORARY.test(name);
}

/**
 * Checks a path below a UFS's root: names between single slashes, '' is the root.
 * @throws INVALID_ARGUMENT for anything else, above all for `..`, which would leave the root.
 */
export function checkUfsPath(path: string): void {
  if (path === '') return;
  for (const name of path.split('/')) {
    const refusal = checkName(name);
    if (refusal !== undefined) throw SluiceError.of(refusal);
  }
}

/** The last name of a path; '' for the root. */
export function baseName(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

/** The directory of a path; '' is the root and its own parent. */
export function parentPath(path: string): string {
  const slash = path.lastIndexOf('/');
  return slash === -1 ? '' : path.slice(0, slash);
}

/** The path of `name` in directory `path`. */
export function childPath(path: string, name: string): string {
  return path === '' ? name : `${path}/${name}`;
}

/** Whether `path` is `ancestor` or below it. */
export function isAtOrBelow(path: string, ancestor: string): boolean {
  return ancestor === '' || path === ancestor || path.startsWith(`${ancestor}/`);
}

/** The directories above `path` but for the root, outermost first: `a`, `a/b` for `a/b/c`. */
export function ancestorsOf(path: string): string[] {
  const names = path.split('/').slice(0, -1);
  return names.map((_, index) => names.slice(0, index + 1).join('/'));
}

/**
 * @param what the change, for the message: `delete`.
 * @throws INVALID_ARGUMENT for the root, which is the mount's, and for names that are kept for files being written.
 */
export function checkChangeable(uri: string, path: string, what: string): void {
  checkUfsPath(path);
  if (path === '') {
    throw new SluiceError('INVALID_ARGUMENT', `Cannot ${what} the root of ${uri}: name something in it`);
  }
  if (!isHidden(path)) return;
  throw new SluiceError(
    'INVALID_ARGUMENT',
    `Cannot ${what} ${path}: .sluice-*.tmp names are kept for files being written`,
  );
}

/** @throws INVALID_ARGUMENT when the rename would change the root or move a directory into itself. */
export function checkRename(uri: string, source: string, target: string): void {
  checkChangeable(uri, source, 'rename');
  checkChangeable(uri, target, 'replace');
  if (source !== target && isAtOrBelow(target, source)) {
    throw new SluiceError(
      'INVALID_ARGUMENT',
      `${source} cannot be moved below itself to ${target}: name another place`,
    );
  }
}

/** Whether a name in `path` is temporary: such a thing is nowhere visible. */
export function isHidden(path: string): boolean {
  return path.includes('.sluice-') && path.split('/').some(isTemporaryName);
}
