import { expect, test } from 'vitest';
import { type Waiter, Waiters } from '../../src/master/waiters.ts';

const waiter = (): Waiter => ({ resolve: () => undefined, reject: () => undefined });

test('entries find their waiters, entries of others find none', () => {
  const waiters = new Waiters();
  const all = Array.from({ length: 20_000 }, waiter);
  for (const [i, each] of all.entries()) waiters.add({ term: 3, index: 10 + i }, each);
  expect(waiters.applied({ term: 2, index: 9 })).toBeUndefined();
  for (const [i, each] of all.entries())
    expect(waiters.applied({ term: 3, index: 10 + i })).toEqual({ waiter: each, same: true });
  expect(waiters.size).toBe(0);
  expect(waiters.applied({ term: 3, index: 20_010 })).toBeUndefined();
});

test('another term at the index means that the proposal is gone', () => {
  const waiters = new Waiters();
  const first = waiter();
  waiters.add({ term: 3, index: 5 }, first);
  expect(waiters.applied({ term: 4, index: 5 })).toEqual({ waiter: first, same: false });
});

test('clearing gives everybody who waits, and another leadership begins anew', () => {
  const waiters = new Waiters();
  const [a, b, c] = [waiter(), waiter(), waiter()];
  waiters.add({ term: 3, index: 5 }, a);
  waiters.add({ term: 3, index: 6 }, b);
  waiters.applied({ term: 3, index: 5 });
  expect(waiters.clear()).toEqual([b]);
  waiters.add({ term: 5, index: 4 }, c);
  expect(waiters.applied({ term: 5, index: 4 })).toEqual({ waiter: c, same: true });
});

test('nobody waits for entries between proposals: changes of the membership', () => {
  const waiters = new Waiters();
  const [a, b, c] = [waiter(), waiter(), waiter()];
  waiters.add({ term: 3, index: 5 }, a);
  waiters.add({ term: 3, index: 8 }, b);
  waiters.add({ term: 3, index: 10 }, c);
  const found = [5, 6, 7, 8].map((index) => waiters.applied({ term: 3, index })?.waiter);
  expect(found).toEqual([a, undefined, undefined, b]);
  expect(waiters.last).toBe(10);
  expect(waiters.clear()).toEqual([c]);
});

test('proposals out of order and skipped entries are defects', () => {
  const waiters = new Waiters();
  waiters.add({ term: 3, index: 5 }, waiter());
  expect(() => waiters.add({ term: 3, index: 5 }, waiter())).toThrow(/follow each other/);
  expect(() => waiters.add({ term: 4, index: 6 }, waiter())).toThrow(/follow each other/);
  expect(() => waiters.applied({ term: 3, index: 6 })).toThrow(/was not applied/);
});
