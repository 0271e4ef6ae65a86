import { describe, expect, test } from 'vitest';
import { BlockRouter } from '../../src/client/block-router.ts';
import type { WorkerList, WorkerStatus } from '../../src/model/worker.ts';

const BAN_MS = 1000;
const REFRESH_MS = 10_000;

function worker(name: string, state: 'live' | 'lost' = 'live', capacityBytes = 100): WorkerStatus {
  const address = `${name}:1`;
  return {
    id: name,
    address,
    host: name,
    capacityBytes,
    state,
    lastHeardMs: 0,
    usedBytes: 0,
    pageCount: 0,
    registeredMs: 0,
  };
}

class Bench {
  nowMs = 0;
  asked = 0;
  workers: WorkerStatus[] = ['a', 'b', 'c', 'd'].map((name) => worker(name));
  fail = false;
  readonly router = new BlockRouter({
    fetchWorkers: (): Promise<WorkerList> => {
      this.asked += 1;
      if (this.fail) return Promise.reject(new Error('no master'));
      return Promise.resolve({ version: this.asked, workers: this.workers });
    },
    clock: { monotonicMs: () => this.nowMs, wallMs: () => this.nowMs },
    refreshMs: REFRESH_MS,
    banMs: BAN_MS,
  });

  async order(file = 7, block = 0): Promise<string> {
    return (await this.router.candidates(file, block)).map(({ id }) => id).join('');
  }
}

describe('BlockRouter', () => {
  test('of another cluster it knows nothing: neither workers nor which of them failed', async () => {
    const bench = new Bench();
    const before = await bench.order();
    bench.router.failed(`${before[0]}:1`);
    expect(await bench.order()).not.toBe(before);
    const asked = bench.asked;
    bench.router.forget();
    expect(await bench.order()).toBe(before);
    expect(bench.asked).toBe(asked + 1);
  });

  test('asks once for many blocks, also when they come together', async () => {
    const bench = new Bench();
    await Promise.all([bench.order(1), bench.order(2), bench.order(3)]);
    await bench.order(4);
    expect(bench.asked).toBe(1);
  });

  test('who failed comes behind the others for a while', async () => {
    const bench = new Bench();
    const before = await bench.order();
    bench.router.failed(`${before[0]}:1`);
    const moved = before.slice(1) + before[0];
    expect(await bench.order()).toBe(moved);
    bench.nowMs += BAN_MS;
    expect(await bench.order()).toBe(before);
    bench.router.failed(`${before[0]}:1`);
    bench.router.reached(`${before[0]}:1`);
    expect(await bench.order()).toBe(before);
  });

  test('lost workers come last and keep their place on the ring', async () => {
    const bench = new Bench();
    const before = await bench.order();
    const [first = ''] = before;
    bench.workers = bench.workers.map((one) => worker(one.id, one.id === first ? 'lost' : 'live'));
    await bench.router.refresh();
    expect(await bench.order()).toBe(before.slice(1) + first);
    bench.workers = bench.workers.map((one) => worker(one.id));
    await bench.router.refresh();
    expect(await bench.order()).toBe(before);
  });

  test('an old list serves while the new one is fetched', async () => {
    const bench = new Bench();
    await bench.order();
    bench.workers = [worker('e')];
    bench.nowMs = REFRESH_MS;
    expect(await bench.order()).toHaveLength(4);
    expect(await bench.order()).toBe('e');
    expect(bench.asked).toBe(2);
  });

  test('a failure asks for the list, but not at each request', async () => {
    const bench = new Bench();
    await bench.order();
    for (let i = 0; i < 10; i++) {
      bench.nowMs += 100;
      bench.router.failed('a:1');
      await bench.order();
    }
    expect(bench.asked).toBeLessThanOrEqual(3);
    expect(bench.asked).toBeGreaterThan(1);
  });

  test('masters that do not answer leave the old list in use', async () => {
    const bench = new Bench();
    const before = await bench.order();
    bench.fail = true;
    bench.nowMs = REFRESH_MS;
    expect(await bench.order()).toBe(before);
    await expect(new Promise((_, reject) => bench.router.refresh().catch(reject))).rejects.toThrow('no master');
    expect(await bench.order()).toBe(before);
  });

  test('without a live worker a new list is awaited', async () => {
    const bench = new Bench();
    bench.workers = [worker('a', 'lost')];
    expect(await bench.order()).toBe('a');
    bench.workers = [worker('a', 'lost'), worker('b')];
    bench.nowMs = REFRESH_MS;
    expect(await bench.order()).toBe('ba');
  });
});
