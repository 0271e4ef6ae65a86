import { afterEach, expect, test, vi } from 'vitest';
import type { Journal } from '../../src/master/journal.ts';
import { raftLimits } from '../../src/master/journal-open.ts';
import { decodeRaftFrames, encodeRaftFrames } from '../../src/wire/codec/raft-frame.ts';
import { ROOT_CALLER } from '../support/local-state.ts';
import { JournalCluster } from './journal-cluster.ts';

const TIMING = { data: '', name: 'm1', peers: [], raftAddress: '' };

let running: JournalCluster | undefined;
afterEach(async () => {
  await running?.dispose();
  running = undefined;
});

const make = (journal: Journal, path: string) => {
  const command = { kind: 'makeDirectory', path, mode: 0o755, recursive: false, allowExists: false } as const;
  return journal.propose({ ...command, persisted: false }, { principal: ROOT_CALLER });
};

async function existsAt(journal: Journal, name: string): Promise<boolean> {
  await journal.barrier();
  const places = await journal.state.scan('place', { prefix: '', after: '', limit: 1000 });
  return places.some(({ row }) => row.name === name);
}

const started = async () => {
  running = await new JournalCluster({ leaseReads: true }).start();
  return running;
};

test('with leases every master reads what was acknowledged before, and hardly any read asks the others', async () => {
  const masters = await started();
  const leases = (journal: Journal) => masters.metric(masters.nameOf(journal), 'sluice_master_raft_lease_reads_total');
  const leader = await masters.leader();
  await leader.propose({ kind: 'format', clusterId: 'c', owner: 'root', group: 'root' }, { principal: ROOT_CALLER });
  await vi.waitFor(async () => {
    await leader.barrier();
    expect(await leases(leader)).toBeGreaterThan(0);
  });
  for (let i = 0; i < 20; i += 1) {
    await make(leader, `/d${i}`);
    for (const name of masters.names) expect(await existsAt(masters.get(name), `d${i}`)).toBe(true);
  }
  const rounds = masters.metric(masters.nameOf(leader), 'sluice_master_raft_read_rounds_total');
  expect(await leases(leader)).toBeGreaterThan(await rounds);
});

test('a leader that was cut off does not read by a lease when another one may lead', async () => {
  const masters = await started();
  const old = await masters.leader();
  await old.propose({ kind: 'format', clusterId: 'c', owner: 'root', group: 'root' }, { principal: ROOT_CALLER });
  masters.isolate(masters.nameOf(old));
  const others = masters.names.filter((name) => name !== masters.nameOf(old));
  const next = await masters.leader(others);
  await make(next, '/new');
  await expect(existsAt(old, 'new')).rejects.toMatchObject({ code: 'NOT_LEADER' });
  masters.heal();
  await vi.waitFor(async () => expect(await existsAt(old, 'new')).toBe(true));
});

test('what followers promise passes between masters, whatever their timing is', () => {
  for (const tick of [1, 3, 10, 15, 20, 33])
    for (const electionTimeout of [100, 250, 300, 333, 1000]) {
      const limits = raftLimits({ ...TIMING, tick, electionTimeout, heartbeat: 1, leaseReads: true });
      expect(limits.leaseMs).toBeGreaterThan(0);
      expect(limits.leaseMs).toBeLessThan(electionTimeout);
      const reply = { kind: 'heartbeatReply', term: 1, readPosition: 2, promiseMs: limits.leaseMs } as const;
      expect(decodeRaftFrames(encodeRaftFrames([reply]))).toEqual([reply]);
    }
});
