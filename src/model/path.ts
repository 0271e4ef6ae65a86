import type { Refusal } from './errors.ts';
import { refuse } from './refusal.ts';

/** Linux's PATH_MAX, counted in bytes of UTF-8. */
const MAX_PATH_BYTES = 4096;

/** Linux's NAME_MAX, counted in bytes of UTF-8. */
const MAX_NAME_BYTES = 255;

const SLASH = 0x2f;
const DOT = 0x2e;
const SHOWN_CHARACTERS = 120;

/**
 * Checks and normalises an absolute path: repeated and trailing slashes go, `.` and `..` are resolved by the text alone
 * (there are no symbolic links). Refused with INVALID_ARGUMENT: what is empty, relative, longer than the limits, climbs
 * above the root, or holds NUL or half a surrogate pair.
 */
export function parsePath(text: string): string | Refusal {
  if (isPlain(text)) return text;
  if (text === '') return invalid('The path is empty: give an absolute path such as /data');
  if (text.charCodeAt(0) !== SLASH) return invalid(`Path ${shown(text)} is relative: start it with /`);
  const bytes = utf8Length(text);
  if (typeof bytes !== 'number') return invalid(`Path ${shown(text)} ${bytes}`);
  if (bytes > MAX_PATH_BYTES) {
    return invalid(`Path ${shown(text)} has ${bytes} bytes, more than ${MAX_PATH_BYTES}: use shorter names`);
  }
  const names: string[] = [];
  for (const name of text.split('/')) {
    if (name === '' || name === '.') continue;
    if (name === '..') {
      if (names.pop() === undefined) return invalid(`Path ${shown(text)} climbs above the root: remove the leading ..`);
      continue;
    }
    if (name.length * 3 > MAX_NAME_BYTES) {
      const refusal = checkName(name);
      if (refusal !== undefined) return refusal;
    }
    names.push(name);
  }
  return `/${names.join('/')}`;
}

/** Whether `text` is normal and well within the limits, as nearly all paths are: then one look at it is enough. */
function isPlain(text: string): boolean {
  const { length } = text;
  if (length < 2 || length > MAX_PATH_BYTES || text.charCodeAt(0) !== SLASH) return false;
  let nameStart = 1;
  for (let i = 1; i <= length; i++) {
    const unit = i === length ? SLASH : text.charCodeAt(i);
    if (unit === SLASH) {
      // A name that begins with a dot may be one that the text resolves.
      if (i === nameStart || i - nameStart > MAX_NAME_BYTES || text.charCodeAt(nameStart) === DOT) return false;
      nameStart = i + 1;
    } else if (unit === 0 || unit > 127) return false;
  }
  return true;
}

/** Why `name` cannot be a component of a path, or undefined when it can. */
export function checkName(name: string): Refusal | undefined {
  if (name === '' || name === '.' || name === '..' || name.includes('/')) {
    return invalid(`${shown(name)} cannot name a file: names are not empty, not . or .., and have no slash`);
  }
  const bytes = utf8Length(name);
  if (typeof bytes !== 'number') return invalid(`Name ${shown(name)} ${bytes}`);
  if (bytes <= MAX_NAME_BYTES) return undefined;
  return invalid(`Name ${shown(name)} has ${bytes} bytes, more than ${MAX_NAME_BYTES}: use a shorter one`);
}

/** The names between the slashes of a normal path; none for the root. */
export function namesOf(path: string): string[] {
  return path === '/' ? [] : path.slice(1).split('/');
}

/** The path of `name` in directory `path`. */
export function joinPath(path: string, name: string): string {
  return path === '/' ? `/${name}` : `${path}/${name}`;
}

/** The path of the first `count` names. */
export function pathOfNames(names: readonly string[], count: number): string {
  return `/${names.slice(0, count).join('/')}`;
}

/** The directory of a normal path; the root is its own. */
export function parentOf(path: string): string {
  const slash = path.lastIndexOf('/');
  return slash <= 0 ? '/' : path.slice(0, slash);
}

/** The last name of a normal path; empty for the root. */
export function nameOf(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

/** Whether `path` is strictly below `ancestor`; both normal. */
export function isBelow(path: string, ancestor: string): boolean {
  if (ancestor === '/') return path !== '/';
  return path.length > ancestor.length && path.charCodeAt(ancestor.length) === SLASH && path.startsWith(ancestor);
}

/**
 * Compares as UTF-8 bytes compare, which is by code points, and not as JavaScript does, which is by UTF-16 units: the
 * two differ where a surrogate pair meets a character from U+E000 on.
 */
export function compareKeys(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const x = a.charCodeAt(i);
    const y = b.charCodeAt(i);
    if (x !== y) return rank(x) - rank(y);
  }
  return a.length - b.length;
}

/** Moves surrogates above all other units, where their code points are. */
function rank(unit: number): number {
  return unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit;
}

/** Bytes of `text` in UTF-8, or what is wrong with it. */
function utf8Length(text: string): number | string {
  let bytes = 0;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit === 0) return 'holds a NUL character: remove it';
    if (unit < 0x80) bytes += 1;
    else if (unit < 0x800) bytes += 2;
    else if (unit < 0xd800 || unit > 0xdfff) bytes += 3;
    else {
      const next = text.charCodeAt(i + 1);
      if (unit > 0xdbff || !(next >= 0xdc00 && next <= 0xdfff)) return 'holds half a surrogate pair: use valid Unicode';
      bytes += 4;
      i++;
    }
  }
  return bytes;
}

/** For messages: short, and without characters that cannot be sent. */
function shown(text: string): string {
  return JSON.stringify(text.length > SHOWN_CHARACTERS ? `${text.slice(0, SHOWN_CHARACTERS)}…` : text);
}

function invalid(message: string): Refusal {
  return refuse('INVALID_ARGUMENT', message);
}
