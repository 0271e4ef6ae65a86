/**
 * Runs `act` on each item, `limit` at a time. After a failure no further item is taken; what runs is awaited, and the
 * first failure is thrown.
 */
export async function runAll<T>(
  items: Iterable<T> | AsyncIterable<T>,
  limit: number,
  act: (item: T) => Promise<void>,
): Promise<void> {
  const running = new Set<Promise<void>>();
  const failures: unknown[] = [];
  try {
    for await (const item of items) {
      const task: Promise<void> = act(item)
        .catch((thrown: unknown) => void failures.push(thrown))
        .finally(() => running.delete(task));
      running.add(task);
      if (running.size >= limit) await Promise.race(running);
      if (failures.length > 0) break;
    }
  } catch (thrown) {
    failures.push(thrown);
  }
  await Promise.all(running);
  if (failures.length > 0) throw failures[0];
}
