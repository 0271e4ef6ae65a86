import { afterEach, expect, test, vi } from 'vitest';
import type { Journal } from '../../src/master/journal.ts';
import { LevelLogStore } from '../../src/master/level-log-store.ts';
import { ROOT_CALLER } from '../support/local-state.ts';
import { JournalCluster } from './journal-cluster.ts';

let release = (): void => undefined;
let masters: JournalCluster;
afterEach(async () => {
  release();
  vi.restoreAllMocks();
  await masters.dispose();
});

async function cluster(): Promise<Journal> {
  masters = await new JournalCluster().start();
  const leader = await masters.leader();
  await leader.propose({ kind: 'format', clusterId: 'c', owner: 'root', group: 'root' }, { principal: ROOT_CALLER });
  await masters.settled();
  return leader;
}

const make = (journal: Journal, path: string) => {
  const command = { kind: 'makeDirectory', path, mode: 0o755, recursive: false, allowExists: false } as const;
  return journal.propose({ ...command, persisted: false }, { principal: ROOT_CALLER });
};

/** From now on writes of entries by the `count`-th master that makes one do not return. */
function stall(count: number): void {
  const healed = new Promise<void>((resolve) => {
    release = resolve;
  });
  const seen: unknown[] = [];
  const original = LevelLogStore.prototype.write;
  vi.spyOn(LevelLogStore.prototype, 'write').mockImplementation(async function (this: LevelLogStore, write) {
    if (write.entries.length > 0 && !seen.includes(this)) seen.push(this);
    if (this === seen[count - 1]) await healed;
    await original.call(this, write);
  });
}

test('a read that waits for what a leader with a hanging disk cannot apply is sent away with its leadership', async () => {
  const leader = await cluster();
  // The leader is the first to write what is proposed.
  stall(1);
  const create = make(leader, '/a');
  create.catch(() => undefined);
  await vi.waitFor(() => expect(leader.status().commit).toBeGreaterThan(leader.status().durable));
  const read = leader.barrier();
  await expect(read).rejects.toMatchObject({ code: 'NOT_LEADER' });
  await expect(create).rejects.toMatchObject({ code: 'UNAVAILABLE', details: { fate: 'unknown' } });
  const others = masters.names.filter((name) => name !== masters.nameOf(leader));
  await (await masters.leader(others)).barrier();
});

test('a read at a standby whose disk hangs is sent to the leader', async () => {
  const leader = await cluster();
  stall(2);
  await make(leader, '/a');
  const standbys = masters.names.map((name) => masters.get(name)).filter((journal) => journal !== leader);
  await vi.waitFor(() => expect(standbys.some((journal) => journal.state.applied.index >= leader.status().commit)));
  const reads = await Promise.allSettled(standbys.map((journal) => journal.barrier()));
  expect(reads.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
  expect(reads.find(({ status }) => status === 'rejected')).toMatchObject({ reason: { code: 'NOT_LEADER' } });
  release();
  await masters.settled();
  await Promise.all(standbys.map((journal) => journal.barrier()));
});
