import { expect, test } from 'vitest';
import { opening, Scope } from '../../src/host/scope.ts';

test('closes in reverse order, once, although children fail', async () => {
  const closed: string[] = [];
  const scope = new Scope();
  for (const name of ['a', 'b', 'c']) {
    scope.onClose(name, () => {
      closed.push(name);
      if (name !== 'b') throw new Error(`${name} broke`);
    });
  }
  const first = scope.close();
  expect(scope.close()).toBe(first);
  await expect(first).rejects.toThrow('Closing c, a failed: c broke; a broke');
  expect(closed).toEqual(['c', 'b', 'a']);
  expect(() => scope.onClose('late', () => undefined)).toThrow('Cannot start late');
});

test('a start that fails closes what it began', async () => {
  const closed: string[] = [];
  const start = opening(async (scope) => {
    scope.own('child', { close: async () => void closed.push('child') });
    throw new Error('no luck');
  });
  await expect(start).rejects.toThrow('no luck');
  expect(closed).toEqual(['child']);
});
