import { expect, test } from 'vitest';
import { attempt, minimise } from './minimise.ts';
import { SimulationFailure } from './world.ts';

test('a failure is made smaller, breaks the same promise, and can be run again', async () => {
  const bugs = { sendsBeforeDurable: 'voteReply' } as const;
  const results = await Promise.all([1, 2, 3, 4, 5].map((seed) => attempt({ seed, ticks: 1000, bugs })));
  const failure = results.find((result) => result instanceof SimulationFailure)!;
  const least = await minimise(failure);
  expect(least.options.seed).toBe(failure.options.seed);
  expect(least.options.ticks).toBeLessThan(failure.options.ticks);
  expect(least.options.without).not.toHaveLength(0);
  expect(least.promise.slice(0, 3)).toBe(failure.promise.slice(0, 3));
  const again = await attempt(least.options);
  expect(again).toBeInstanceOf(SimulationFailure);
  expect((again as SimulationFailure).message).toBe(least.message);
});
