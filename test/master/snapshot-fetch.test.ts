import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { CancelTimer, Clock, Timers } from '../../src/base/clock.ts';
import { Metrics } from '../../src/host/metrics.ts';
import { IncomingState } from '../../src/master/incoming-state.ts';
import { LevelStateStore } from '../../src/master/level-state-store.ts';
import { fetchSnapshot } from '../../src/master/snapshot-fetch.ts';
import { SnapshotMetrics } from '../../src/master/snapshot-metrics.ts';
import { SnapshotSource } from '../../src/master/snapshot-source.ts';
import { SluiceError } from '../../src/model/errors.ts';
import { TABLE_NAMES } from '../../src/model/state-store.ts';
import { membershipOf } from '../../src/raft/membership.ts';
import type { LogIndex } from '../../src/raft/position.ts';
import { chainSnapshot, decodeSnapshotRows, encodeSnapshotRows } from '../../src/wire/codec/snapshot-rows.ts';
import type { SnapshotReader } from '../../src/wire/snapshot-reader.ts';
import { inode } from '../contract/state-store.contract.ts';
import { ManualTime } from '../support/manual-time.ts';

const silent = { debug() {}, info() {}, warn() {}, error() {}, child: () => silent };
const ROWS = 6000;

let root = '';
let time: ManualTime;
let state: LevelStateStore;
let source: SnapshotSource;
let pins: LogIndex[];

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'sluice-snapshot-'));
  time = new ManualTime();
  pins = [];
  state = await openState('state');
  for (let index = 1; index <= ROWS; index += 1) {
    state.put('inode', `${index}/${'x'.repeat(200)}`, inode(index));
    state.put('place', String(index), { parentId: index, name: 'y'.repeat(200) });
    state.finishEntry({ term: 2, index });
    if (index === ROWS / 2) await state.flush();
  }
  source = newSource();
});

afterEach(async () => {
  await source.stop();
  await state.close();
  await rm(root, { recursive: true, force: true });
});

function openState(name: string): Promise<LevelStateStore> {
  const onFatal = (error: SluiceError) => {
    throw error;
  };
  return LevelStateStore.open({ folder: join(root, name), cacheBytes: 1 << 20, timers: time, onFatal });
}

function newSource(): SnapshotSource {
  return new SnapshotSource({
    clock: time,
    timers: time,
    metrics: new SnapshotMetrics(new Metrics()),
    view: () => state.view(),
    describe: ({ position }) => ({
      meta: { position, term: 3, membership: membershipOf(['a', 'b']) },
      clusterId: 'c',
      expectedRows: 2 * ROWS,
    }),
    barrier: () => Promise.resolve(),
    pin: (index) => {
      pins.push(index);
      return () => pins.splice(pins.indexOf(index), 1);
    },
  });
}

function fetching(reader: SnapshotReader, superseded = () => false, bandwidth = 0) {
  const incoming = new IncomingState(join(root, 'incoming'));
  const abort = new AbortController();
  const metrics = new SnapshotMetrics(new Metrics());
  const hasty = new HastyTime();
  const parts = { source: reader, incoming, bandwidth, clock: hasty, timers: hasty, logger: silent };
  return { incoming, abort, hasty, done: fetchSnapshot({ ...parts, metrics, superseded }, abort.signal) };
}

/** Time for who waits and tries again: each wait is over in the next turn. */
class HastyTime implements Clock, Timers {
  #nowMs = 0;

  wallMs(): number {
    return this.#nowMs;
  }

  monotonicMs(): number {
    return this.#nowMs;
  }

  after(delayMs: number, task: () => void): CancelTimer {
    const turn = setImmediate(() => {
      this.#nowMs += delayMs;
      task();
    });
    return () => clearImmediate(turn);
  }

  every(): CancelTimer {
    throw new Error('Nothing here comes again and again');
  }
}

async function contents(store: LevelStateStore): Promise<string> {
  const tables = await Promise.all(
    TABLE_NAMES.map((table) => store.scan(table, { prefix: '', after: '', limit: 1e6 })),
  );
  return JSON.stringify(tables);
}

async function received(): Promise<LevelStateStore> {
  return openState('incoming');
}

/** A reader to which things happen on the way. */
function through(change: Partial<SnapshotReader>): SnapshotReader {
  return {
    open: (order) => source.open(order),
    read: (id, after) => source.read(id, after),
    close: (id) => source.close(id),
    ...change,
  };
}

test('everything arrives as it was, although it changes meanwhile', async () => {
  const before = await contents(state);
  let chunks = 0;
  const { done } = fetching(
    through({
      async read(id, after) {
        chunks += 1;
        state.delete('inode', `${chunks}/${'x'.repeat(200)}`);
        state.finishEntry({ term: 2, index: state.applied.index + 1 });
        await state.flush();
        return source.read(id, after);
      },
    }),
  );
  expect(await done).toEqual({
    position: { term: 2, index: ROWS },
    term: 3,
    membership: membershipOf(['a', 'b']),
  });
  expect(chunks).toBeGreaterThan(2);
  const store = await received();
  expect(store.applied).toEqual({ term: 2, index: ROWS });
  expect(store.membership).toEqual(membershipOf(['a', 'b']));
  expect(await contents(store)).toBe(before);
  await store.close();
  expect(source.openCount).toBe(0);
});

test('who never gets a whole chunk gives up, and what came before stays for the next time', async () => {
  let chunks = 0;
  const broken = through({
    async read(id, after) {
      const chunk = await source.read(id, after);
      chunks += 1;
      if (chunks === 1) return chunk;
      const rows = Uint8Array.from(chunk.rows);
      rows[chunks]! ^= 128;
      return { ...chunk, rows };
    },
  });
  await expect(fetching(broken).done).rejects.toMatchObject({ code: 'CORRUPT' });
  expect(source.openCount).toBe(1);
  const reads = vi.fn((id: string, after: string) => source.read(id, after));
  await fetching(through({ read: reads })).done;
  expect(reads.mock.calls[0]![1]).not.toBe('');
  const store = await received();
  expect(await contents(store)).toBe(await contents(state));
  await store.close();
});

test('a row that the disk of the sender had damaged does not spread', async () => {
  const forged = through({
    async read(id, after) {
      const chunk = await source.read(id, after);
      const rows = decodeSnapshotRows(chunk.rows);
      const [key, value] = rows[10]!;
      rows[10] = [key, Uint8Array.from(value, (byte, i) => (i === 9 ? byte ^ 1 : byte))];
      const bytes = encodeSnapshotRows(rows);
      return { ...chunk, rows: bytes, chain: chainSnapshot(bytes, 0) };
    },
  });
  await expect(fetching(forged).done).rejects.toThrow(/wrong checksum/);
});

test('a full disk is given its space back, and tried again', async () => {
  const { incoming, done } = fetching(through({}));
  const add = incoming.add.bind(incoming);
  let full = 0;
  incoming.add = async (chunk) => {
    if (chunk.last && full < 2) {
      full += 1;
      await incoming.clear();
      throw new SluiceError('EXHAUSTED', 'no space left on device');
    }
    return add(chunk);
  };
  await done;
  expect(full).toBe(2);
  const store = await received();
  expect(await contents(store)).toBe(await contents(state));
  await store.close();
});

test('no more bytes come in a second than may', async () => {
  const { hasty, done } = fetching(through({}), undefined, 100_000);
  await done;
  const store = await received();
  await store.close();
  // The last chunk is not waited for.
  expect(hasty.monotonicMs()).toBeGreaterThan(10_000);
  expect(hasty.monotonicMs()).toBeLessThan(60_000);
});

test('however few may come, the sender is asked before it lets go', async () => {
  const { hasty, done } = fetching(through({}), undefined, 1);
  await done;
  const store = await received();
  await store.close();
  expect(hasty.monotonicMs()).toBeLessThan(60 * 60_000);
});

test('a snapshot that is gone is begun anew', async () => {
  let chunks = 0;
  const forgetful = through({
    async read(id, after) {
      chunks += 1;
      if (chunks === 3) await source.drop();
      return source.read(id, after);
    },
  });
  await fetching(forgetful).done;
  const store = await received();
  expect(await contents(store)).toBe(await contents(state));
  await store.close();
});

test('trouble with somebody who does not lead any more ends it at once', async () => {
  const dead = through({ open: () => Promise.reject(new SluiceError('UNAVAILABLE', 'gone')) });
  await expect(fetching(dead, () => true).done).rejects.toMatchObject({ code: 'UNAVAILABLE' });
});

test('nobody who answers: it is given up after a while', async () => {
  const open = vi.fn(() => Promise.reject(new SluiceError('UNAVAILABLE', 'gone')));
  await expect(fetching(through({ open })).done).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  expect(open.mock.calls.length).toBeGreaterThan(10);
});

test('whoever is closed in the middle lets go of the folder', async () => {
  const { abort, done, incoming } = fetching(through({}));
  const add = incoming.add.bind(incoming);
  incoming.add = async (chunk) => {
    await add(chunk);
    abort.abort(new SluiceError('CANCELLED', 'closing'));
  };
  await expect(done).rejects.toMatchObject({ code: 'CANCELLED' });
  expect(await readdir(root)).toContain('incoming');
  const again = new IncomingState(join(root, 'incoming'));
  await again.open();
  expect(again.receipt?.after).not.toBe('');
  await again.clear();
});

test('the log is not kept for a backup', async () => {
  const { id } = await source.open({ latest: true });
  expect(pins).toEqual([]);
  await source.close(id);
});

test('the sender holds few snapshots, each only while it is read, and the log behind those that were read for longer', async () => {
  const open = await Promise.all(Array.from({ length: 4 }, () => source.open({})));
  await expect(source.open({})).rejects.toMatchObject({ code: 'EXHAUSTED' });
  expect(pins.length).toBe(4);
  const { id } = open[0]!;
  let after = '';
  for (let last = false; !last; ) {
    await time.advance(50_000);
    const chunk = await source.read(id, after);
    last = chunk.last;
    after = decodeSnapshotRows(chunk.rows).at(-1)?.[0] ?? after;
  }
  expect(source.openCount).toBe(1);
  await expect(source.read(open[1]!.id, '')).rejects.toMatchObject({ code: 'NOT_FOUND' });
  expect(pins.length).toBe(1);
  await source.close(id);
  expect([source.openCount, pins.length]).toEqual([0, 1]);
  await time.advance(10 * 60_000);
  expect(pins.length).toBe(0);
});
