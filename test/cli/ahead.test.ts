import { expect, test } from 'vitest';
import { ahead } from '../../src/cli/ahead.ts';

function numbers(count: number, failure?: Error) {
  const taken: number[] = [];
  let closed = false;
  async function* source(): AsyncGenerator<number> {
    try {
      for (let i = 0; i < count; i++) {
        taken.push(i);
        yield i;
      }
      if (failure !== undefined) throw failure;
    } finally {
      closed = true;
    }
  }
  return { source: source(), taken, closed: () => closed };
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

test.each([0, 1, 5, 100])('%d items come in order', async (count) => {
  const got: number[] = [];
  for await (const item of ahead(numbers(count).source, 3)) got.push(item);
  expect(got).toEqual(Array.from({ length: count }, (_, i) => i));
});

test('it runs ahead, as far as it may, and ends its source when it is left', async () => {
  const { source, taken, closed } = numbers(100);
  const items = ahead(source, 10);
  expect((await items.next()).value).toBe(0);
  await turn();
  expect(taken.length).toBeGreaterThanOrEqual(10);
  expect(taken.length).toBeLessThanOrEqual(12);
  await items.return(undefined);
  expect(closed()).toBe(true);
});

test('a failure comes behind what came before it', async () => {
  const items = ahead(numbers(2, new Error('broken')).source, 10);
  expect([(await items.next()).value, (await items.next()).value]).toEqual([0, 1]);
  await expect(items.next()).rejects.toThrow('broken');
});
