import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Access, mayAccess } from '../../src/model/permission.ts';
import { ALICE, BOB, EVE, ROOT, World } from './world.ts';

const inode = new World().inode('/');

test.each([
  ['the owner by the first digit', 'alice', 'staff', 0o400, ALICE, 4, true],
  ['the owner only by the first digit', 'alice', 'staff', 0o077, ALICE, 4, false],
  ['a member by the second digit', 'root', 'staff', 0o040, BOB, 4, true],
  ['a member only by the second digit', 'root', 'staff', 0o707, BOB, 4, false],
  ['others by the third digit', 'root', 'staff', 0o004, EVE, 4, true],
  ['others only by the third digit', 'root', 'staff', 0o770, EVE, 4, false],
  ['who needs two bits and has one', 'root', 'staff', 0o002, EVE, 3, false],
  ['a superuser always', 'alice', 'staff', 0, ROOT, 7, true],
] as const)('decides about %s', (_name, owner, group, mode, caller, access, expected) => {
  expect(mayAccess(caller, { ...inode, owner, group, mode }, access)).toBe(expected);
});

test('more bits of access never need less', () => {
  fc.assert(
    fc.property(
      fc.nat(0o7777),
      fc.integer({ min: 1, max: 7 }),
      fc.constantFrom(ALICE, BOB, EVE),
      (mode, access, caller) => {
        const at = { ...inode, owner: 'alice', group: 'eng', mode };
        const all = mayAccess(caller, at, access as Access);
        const each = ([1, 2, 4] as const)
          .filter((bit) => (access & bit) !== 0)
          .every((bit) => mayAccess(caller, at, bit));
        expect(all).toBe(each);
      },
    ),
  );
});

describe('a status', () => {
  test('is hidden behind a directory that may not be traversed, whether it exists or not', () => {
    const world = new World();
    world.file('/private/f');
    world.must('setAttributes', { path: '/private', mode: 0o700 });
    for (const path of ['/private/f', '/private/no']) {
      expect(() => world.status(path, EVE)).toThrow(
        /User eve may not traverse \/private \(owner root, group wheel, mode 0700\)/,
      );
    }
    expect(world.status('/private', EVE).name).toBe('private');
  });
});
