import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { must } from '../../src/base/assert.ts';
import { Metrics } from '../../src/host/metrics.ts';
import { nodeTimers } from '../../src/host/node-timers.ts';
import { systemClock } from '../../src/host/system-clock.ts';
import { Callers } from '../../src/master/callers.ts';
import type { Journal } from '../../src/master/journal.ts';
import { LeaderGate } from '../../src/master/leader-gate.ts';
import { NamespaceReads } from '../../src/master/namespace-reads.ts';
import { OperationMetrics } from '../../src/master/operation-metrics.ts';
import { StandbySync } from '../../src/master/standby-sync.ts';
import { SluiceError } from '../../src/model/errors.ts';
import { MUTATIONS, type OperationName, STANDBY_READS } from '../../src/model/operations.ts';
import { ROOT_CALLER } from '../support/local-state.ts';
import { MasterServices } from '../support/master-services.ts';
import { createFile, deletion, makeDirectory } from '../support/requests.ts';
import { JournalCluster } from './journal-cluster.ts';

const ANY = { anyMaster: true };
const TO_M2 = { code: 'NOT_LEADER', details: { leader: 'two:19998' } };
const LIST_ROOT = { path: '/', recursive: true, cursor: '', limit: 0 };

it('no operation that changes anything is among the reads of standbys', () => {
  const reads: readonly OperationName[] = STANDBY_READS;
  expect(MUTATIONS.filter((name) => reads.includes(name))).toEqual([]);
});

describe('a standby', () => {
  let master: MasterServices;
  beforeEach(async () => {
    master = new MasterServices();
    await master.ask('createFile', createFile('/f', { writeType: 'MUST_CACHE', empty: true }));
    master.state.confirmed = true;
  });
  afterEach(() => master.close());

  it('answers reads of who takes the answer of any master, and counts them', async () => {
    master.state.lead(false, 'm2');
    expect(await master.ask('exists', { path: '/f' }, ANY)).toEqual({ exists: true });
    expect(await master.ask('getStatus', { path: '/f' }, ANY)).toMatchObject({ path: '/f' });
    expect((await master.ask('listStatus', LIST_ROOT, ANY)).entries).toMatchObject([{ path: '/f' }]);
    expect(await master.ask('getMountTable', {}, ANY)).toEqual({ mounts: [] });
    await expect(master.ask('getStatus', { path: '/no' }, ANY)).rejects.toMatchObject({ code: 'NOT_FOUND' });
    const text = await master.metrics.text();
    expect(text).toContain('sluice_master_standby_reads_total{operation="exists"} 1');
    expect(text).toContain('sluice_master_operations_total{operation="exists",code="OK"} 1');
  });

  it('sends everything else to the leader', async () => {
    master.state.lead(false, 'm2');
    await expect(master.ask('exists', { path: '/f' })).rejects.toMatchObject(TO_M2);
    await expect(master.ask('makeDirectory', makeDirectory('/x'), ANY)).rejects.toMatchObject(TO_M2);
    await expect(master.ask('delete', deletion('/f'), ANY)).rejects.toMatchObject(TO_M2);
    await expect(master.ask('getWorkers', {}, ANY)).rejects.toMatchObject(TO_M2);
  });

  it.each([
    ['m2', { leader: 'two:19998' }],
    ['unheard-of', {}],
  ])('that no leader confirms refuses at once and names the leader %s', async (leader, details) => {
    master.state.confirmed = false;
    master.state.lead(false, leader);
    await expect(master.ask('exists', { path: '/f' }, ANY)).rejects.toMatchObject({ code: 'NOT_LEADER', details });
    expect(master.time.pending).toBe(0);
  });

  it('that leads meanwhile is no standby', async () => {
    expect(await master.ask('exists', { path: '/f' }, ANY)).toEqual({ exists: true });
    expect(await master.metrics.text()).toContain('sluice_master_standby_reads_total{operation="exists"} 0');
  });

  it('answers of a mount that is never looked at again what is known, and sends to the leader for the rest', async () => {
    const ufs = await master.mount('/m', master.folder);
    await master.ask('makeDirectory', makeDirectory('/m/known'));
    const listing = { ...LIST_ROOT, path: '/m' };
    master.state.lead(false, 'm2');
    const asked = ufs.calls.length;
    expect(await master.ask('exists', { path: '/m/known' }, ANY)).toEqual({ exists: true });
    expect(await master.ask('exists', { path: '/m/known/no' }, ANY)).toEqual({ exists: false });
    await expect(master.ask('getStatus', { path: '/m/known', sync: true }, ANY)).rejects.toMatchObject(TO_M2);
    // What else is in the UFS is not known yet.
    await expect(master.ask('exists', { path: '/m/no' }, ANY)).rejects.toMatchObject(TO_M2);
    await expect(master.ask('listStatus', listing, ANY)).rejects.toMatchObject(TO_M2);
    expect(ufs.calls.length).toBe(asked);
    master.state.lead(true);
    await master.ask('listStatus', listing);
    master.state.lead(false, 'm2');
    expect((await master.ask('listStatus', listing, ANY)).entries).toMatchObject([{ path: '/m/known' }]);
    expect(await master.ask('exists', { path: '/m/no' }, ANY)).toEqual({ exists: false });
  });

  it('forgets what it saw of a UFS while it led', async () => {
    await master.mount('/m', master.folder, { syncIntervalMs: 60_000 });
    await master.ask('makeDirectory', makeDirectory('/m/d'));
    await master.ask('createFile', createFile('/m/cached', { writeType: 'MUST_CACHE', empty: true }));
    expect(await master.ask('exists', { path: '/m/no' })).toEqual({ exists: false });
    master.state.lead(false, 'm2');
    await expect(master.ask('exists', { path: '/m/d' }, ANY)).rejects.toMatchObject(TO_M2);
    await expect(master.ask('exists', { path: '/m/no' }, ANY)).rejects.toMatchObject(TO_M2);
    expect(await master.ask('exists', { path: '/m/cached' }, ANY)).toEqual({ exists: true });
  });
});

describe('a cluster', () => {
  let masters: JournalCluster;
  beforeEach(async () => {
    masters = await new JournalCluster().start();
    const leader = await masters.leader();
    await leader.propose({ kind: 'format', clusterId: 'c', owner: 'root', group: 'root' }, { principal: ROOT_CALLER });
  });
  afterEach(() => masters.dispose());

  it('shows each acknowledged write on every master at once', async () => {
    const leader = await masters.leader();
    for (let i = 0; i < 50; i += 1) {
      await make(leader, `/d${i}`);
      const seen = await Promise.all(masters.names.map((name) => exists(masters.get(name), `/d${i}`)));
      expect(seen).toEqual([true, true, true]);
    }
  });

  it('answers nothing from a standby that is cut off, until it knows everything again', async () => {
    const leader = await masters.leader();
    const standby = must(
      masters.names.find((name) => name !== masters.nameOf(leader)),
      'There are three',
    );
    masters.isolate(standby);
    await make(leader, '/new');
    await expect(exists(masters.get(standby), '/new')).rejects.toMatchObject({ code: 'NOT_LEADER' });
    masters.heal();
    await masters.leader();
    expect(await exists(masters.get(standby), '/new')).toBe(true);
  });

  it('answers nothing stale from the old leader or a standby when another one leads', async () => {
    const old = await masters.leader();
    const cutOff = masters.nameOf(old);
    masters.isolate(cutOff);
    // Reads go on all the time, at all masters: whatever was acknowledged before one began is seen by it.
    let acknowledged: string | undefined;
    let over = false;
    let answers = 0;
    const wrong: string[] = [];
    const readAll = async (name: string): Promise<void> => {
      while (!over) {
        const path = acknowledged;
        if (path !== undefined) {
          const seen = await exists(masters.get(name), path).catch(codeOf);
          if (seen === true) answers += 1;
          else if (seen !== 'NOT_LEADER') wrong.push(`${name} says ${seen} for ${path}`);
        }
        await new Promise<void>((resolve) => setImmediate(resolve));
      }
    };
    const readers = Promise.all(masters.names.map(readAll));
    const next = await masters.leader(masters.names.filter((name) => name !== cutOff));
    for (let i = 0; i < 20; i += 1) {
      await make(next, `/after${i}`);
      acknowledged = `/after${i}`;
    }
    await expect(exists(old, '/after19')).rejects.toMatchObject({ code: 'NOT_LEADER' });
    masters.heal();
    await masters.leader();
    expect(await exists(old, '/after19')).toBe(true);
    over = true;
    await readers;
    expect(wrong).toEqual([]);
    expect(answers).toBeGreaterThan(0);
  });
});

const codeOf = (thrown: unknown): string => SluiceError.from(thrown).code;

/** Asks a master as a client does that takes the answer of any. */
async function exists(state: Journal, path: string): Promise<boolean> {
  const gate = new LeaderGate({ state, timers: nodeTimers, patienceMs: 1, addressOf: () => undefined });
  const callers = new Callers({ user: 'root', group: 'root' });
  const clock = systemClock;
  const reads = new NamespaceReads({ state, callers, clock, sync: new StandbySync(state.state, clock) });
  const read: typeof reads.exists = (request, context) => reads.exists(request, context);
  const ask = new OperationMetrics(new Metrics(), clock).measured('exists', gate, read, read);
  const principal = { user: 'root', groups: [] };
  return (await ask({ path }, { principal, signal: new AbortController().signal, anyMaster: true })).exists;
}

async function make(leader: Journal, path: string): Promise<void> {
  const command = { kind: 'makeDirectory', path, mode: 0o755, recursive: false, allowExists: false } as const;
  const outcome = await leader.propose({ ...command, persisted: false }, { principal: ROOT_CALLER });
  expect(outcome).toMatchObject({ kind: 'inode', path });
}
