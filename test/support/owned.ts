import { afterEach } from 'vitest';

interface Closed {
  close(): Promise<void>;
}

const owned: Closed[] = [];

/** `thing` is closed when the test is over, the last one first. */
export function own<T extends Closed>(thing: T): T {
  owned.push(thing);
  return thing;
}

afterEach(async () => {
  for (const thing of owned.splice(0).reverse()) await thing.close();
});
