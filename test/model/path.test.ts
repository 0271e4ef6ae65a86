import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  checkName,
  compareKeys,
  isBelow,
  joinPath,
  nameOf,
  namesOf,
  parentOf,
  parsePath,
} from '../../src/model/path.ts';
import { isRefusal } from '../../src/model/refusal.ts';

describe('parsePath', () => {
  test.each([
    ['the root', '/', '/'],
    ['a plain path', '/a/b', '/a/b'],
    ['repeated and trailing slashes', '//a///b//', '/a/b'],
    ['dots', '/./a/./b/.', '/a/b'],
    ['dots to the parent', '/a/../b/c/..', '/b'],
    ['back to the root', '/a/..', '/'],
    ['names that only look like dots', '/.../..a/a..', '/.../..a/a..'],
    ['emoji', '/😀/ü', '/😀/ü'],
    ['a name of 255 bytes', `/${'ü'.repeat(127)}a`, `/${'ü'.repeat(127)}a`],
  ])('takes %s', (_name, text, path) => expect(parsePath(text)).toBe(path));

  test.each([
    ['nothing', '', /is empty/],
    ['a relative path', 'a/b', /"a\/b" is relative: start it with \//],
    ['a climb above the root', '/a/../..', /climbs above the root/],
    ['NUL', '/a\0b', /NUL/],
    ['a high surrogate at the end', '/a\ud83d', /half a surrogate pair/],
    ['a high surrogate before a letter', '/\ud83da', /half a surrogate pair/],
    ['a low surrogate alone', '/\ude00', /half a surrogate pair/],
    ['a name of 256 bytes', `/${'ü'.repeat(128)}`, /256 bytes, more than 255/],
    ['a path of 4097 bytes', `/${'a/'.repeat(2048)}`, /4097 bytes, more than 4096/],
  ])('refuses %s', (_name, text, message) => {
    const refusal = parsePath(text);
    expect(refusal).toMatchObject({ code: 'INVALID_ARGUMENT', message: expect.stringMatching(message) });
    const { message: said } = refusal as { message: string };
    expect(Buffer.from(said).toString()).toBe(said);
  });

  test('keeps normal paths, and gives normal paths', () => {
    fc.assert(
      fc.property(
        fc.array(fc.oneof(fc.constantFrom('', '.', '..', 'a', 'b'), fc.string({ unit: 'binary' }))),
        (parts) => {
          const path = parsePath(`/${parts.join('/')}`);
          // A repeated slash takes the slower way.
          expect(parsePath(`//${parts.join('/')}/`)).toEqual(isRefusal(path) ? expect.anything() : path);
          if (isRefusal(path)) return;
          expect(parsePath(path)).toBe(path);
          for (const name of namesOf(path)) expect(checkName(name)).toBeUndefined();
          if (path !== '/') expect(joinPath(parentOf(path), nameOf(path))).toBe(path);
        },
      ),
    );
  });

  test('measures as UTF-8 does', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', minLength: 60, maxLength: 260 }), (text) => {
        const name = text.replaceAll('/', '-').replaceAll('\0', '-');
        expect(checkName(name) === undefined).toBe(Buffer.byteLength(name) <= 255);
      }),
    );
  });
});

test.each(['', '.', '..', 'a/b', 'a\0'])('checkName refuses %j', (name) => {
  expect(checkName(name)).toMatchObject({ code: 'INVALID_ARGUMENT' });
});

test.each([
  ['/a/b', '/a', true],
  ['/a', '/', true],
  ['/', '/', false],
  ['/a', '/a', false],
  ['/ab', '/a', false],
  ['/a', '/a/b', false],
])('isBelow(%s, %s) is %s', (path, ancestor, expected) => expect(isBelow(path, ancestor)).toBe(expected));

test('compareKeys orders as the bytes of UTF-8 do', () => {
  const text = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.string({ unit: fc.constantFrom('a', '\ue000', '\uffff', '😀', '\u{10ffff}') }),
  );
  fc.assert(
    fc.property(text, text, (a, b) => {
      expect(Math.sign(compareKeys(a, b))).toBe(Buffer.compare(Buffer.from(a), Buffer.from(b)));
    }),
  );
  expect(compareKeys('\uffff', '😀')).toBeLessThan(0);
});
