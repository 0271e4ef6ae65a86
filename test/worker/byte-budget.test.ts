import { expect, test } from 'vitest';
import { ByteBudget } from '../../src/worker/byte-budget.ts';

async function settled(promise: Promise<void>): Promise<boolean> {
  let done = false;
  void promise.then(() => {
    done = true;
  });
  await new Promise((resolve) => setImmediate(resolve));
  return done;
}

test('who wants more than is free waits, in order, and the small do not overtake the large', async () => {
  const budget = new ByteBudget(100);
  await budget.acquire(80);
  const large = budget.acquire(50);
  const small = budget.acquire(10);
  expect(budget.tryAcquire(10)).toBe(false);
  expect([await settled(large), await settled(small)]).toEqual([false, false]);
  budget.release(80);
  expect([await settled(large), await settled(small)]).toEqual([true, true]);
  expect(budget.usedBytes).toBe(60);
  expect(budget.tryAcquire(40)).toBe(true);
});

test('who gives up makes room for those behind', async () => {
  const budget = new ByteBudget(100);
  await budget.acquire(60);
  const gone = new AbortController();
  const large = budget.acquire(100, gone.signal);
  const small = budget.acquire(40);
  expect(await settled(small)).toBe(false);
  gone.abort();
  await expect(large).rejects.toMatchObject({ code: 'CANCELLED' });
  expect(await settled(small)).toBe(true);
  await expect(budget.acquire(1, gone.signal)).rejects.toMatchObject({ code: 'CANCELLED' });
  budget.release(100);
  expect(budget.usedBytes).toBe(0);
});
