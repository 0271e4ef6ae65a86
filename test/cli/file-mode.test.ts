import { describe, expect, test } from 'vitest';
import { formatMode, parseMode } from '../../src/cli/file-mode.ts';

describe('modes', () => {
  test.each([
    ['file', 0o644, '-rw-r--r--'],
    ['directory', 0o1777, 'drwxrwxrwt'],
    ['file', 0o4755, '-rwsr-xr-x'],
    ['file', 0o2644, '-rw-r-Sr--'],
    ['directory', 0o1000, 'd--------T'],
  ] as const)('%s %i is %s', (kind, mode, wanted) => {
    expect(formatMode({ kind, mode })).toBe(wanted);
  });

  test.each([
    ['755', 'file', 0o644, 0o755],
    ['1777', 'directory', 0, 0o1777],
    ['u+x', 'file', 0o644, 0o744],
    ['+x', 'file', 0o644, 0o755],
    ['go-rwx', 'file', 0o777, 0o700],
    ['o=r', 'file', 0o777, 0o774],
    ['a=,u+rw', 'file', 0o777, 0o600],
    ['a+X', 'file', 0o644, 0o644],
    ['a+X', 'file', 0o744, 0o755],
    ['a+X', 'directory', 0o644, 0o755],
    ['g+s,+t', 'directory', 0o755, 0o3755],
    ['u-s', 'file', 0o4755, 0o755],
  ] as const)('%s of %s %i is %i', (text, kind, mode, wanted) => {
    expect(parseMode(text)({ kind, mode })).toBe(wanted);
  });

  test.each(['', 'x', '888', '12345', 'u+q', 'rwx'])('%j is none', (text) => {
    expect(() => parseMode(text)).toThrow(/must be octal/);
  });
});
