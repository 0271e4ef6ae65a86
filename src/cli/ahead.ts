/**
 * Takes items from `source` before they are asked for, `limit` of them at most. What `source` throws comes behind the
 * items before it.
 */
export async function* ahead<T>(source: AsyncIterable<T>, limit: number): AsyncGenerator<T> {
  const waiting: T[] = [];
  let end: { readonly failure?: unknown } | undefined;
  let stopped = false;
  let wakeTaker = (): void => undefined;
  let wakeSource = (): void => undefined;
  const fill = async (): Promise<void> => {
    try {
      for await (const item of source) {
        waiting.push(item);
        wakeTaker();
        while (waiting.length >= limit && !stopped)
          await new Promise<void>((resolve) => {
            wakeSource = resolve;
          });
        if (stopped) break;
      }
      end = {};
    } catch (failure) {
      end = { failure };
    }
    wakeTaker();
  };
  const filling = fill();
  try {
    while (waiting.length > 0 || end === undefined) {
      if (waiting.length === 0)
        await new Promise<void>((resolve) => {
          wakeTaker = resolve;
        });
      const items = waiting.splice(0, 1);
      wakeSource();
      yield* items;
    }
  } finally {
    stopped = true;
    wakeSource();
    await filling;
  }
  if ('failure' in end) throw end.failure;
}
