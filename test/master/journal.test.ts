import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, expect, test, vi } from 'vitest';
import type { Journal } from '../../src/master/journal.ts';
import { JOURNAL_STORES } from '../../src/master/journal-store-kind.ts';
import { LevelLogStore } from '../../src/master/level-log-store.ts';
import type { Command } from '../../src/model/command.ts';
import { SluiceError } from '../../src/model/errors.ts';
import { ROOT_CALLER } from '../support/local-state.ts';
import { type ClusterOptions, JournalCluster } from './journal-cluster.ts';

const running: JournalCluster[] = [];
afterEach(async () => {
  vi.restoreAllMocks();
  for (const cluster of running.splice(0)) await cluster.dispose();
});

async function cluster(options: ClusterOptions = {}): Promise<JournalCluster> {
  const made = new JournalCluster(options);
  running.push(made);
  await made.start();
  const leader = await made.leader();
  await leader.propose({ kind: 'format', clusterId: 'c', owner: 'root', group: 'root' }, { principal: ROOT_CALLER });
  return made;
}

const mkdir = (path: string): Command => ({
  kind: 'makeDirectory',
  path,
  mode: 0o755,
  recursive: false,
  allowExists: false,
  persisted: false,
});

const make = (journal: Journal, path: string) => journal.propose(mkdir(path), { principal: ROOT_CALLER });

async function names(journal: Journal): Promise<string[]> {
  const places = await journal.state.scan('place', { prefix: '', after: '', limit: 100_000 });
  return places.map(({ row }) => row.name).filter((name) => name !== '');
}

test('a proposal is applied everywhere, and only the leader takes it', async () => {
  const masters = await cluster();
  const leader = await masters.leader();
  expect(await make(leader, '/a')).toMatchObject({ kind: 'inode', path: '/a' });
  expect(await make(leader, '/a')).toMatchObject({ kind: 'refused', refusal: { code: 'ALREADY_EXISTS' } });
  await masters.settled();
  const contents = await Promise.all(masters.names.map((name) => masters.contents(name)));
  expect(new Set(contents).size).toBe(1);
  const self = masters.nameOf(leader);
  const follower = masters.get(masters.names.find((name) => name !== self)!);
  await expect(make(follower, '/b')).rejects.toMatchObject({
    code: 'NOT_LEADER',
    details: { leader: `127.0.0.1:${1000 + masters.names.indexOf(self)}` },
  });
  const info = leader.quorum();
  expect(info).toMatchObject({ clusterId: 'c', self, leader: self });
  expect(info.members.map((member) => member.role).sort()).toEqual(['follower', 'follower', 'leader']);
});

test('a barrier shows what was acknowledged before it, on followers too', async () => {
  const masters = await cluster();
  const leader = await masters.leader();
  for (let i = 0; i < 20; i += 1) {
    await make(leader, `/d${i}`);
    await Promise.all(
      masters.names.map(async (name) => {
        const journal = masters.get(name);
        await journal.barrier();
        expect(await names(journal)).toContain(`d${i}`);
      }),
    );
  }
});

test('a listener sees every entry once, in order', async () => {
  const masters = await cluster();
  const leader = await masters.leader();
  const seen: number[] = [];
  const end = leader.subscribe({ applied: (index) => seen.push(index) });
  await Promise.all(Array.from({ length: 50 }, (_, i) => make(leader, `/x${i}`)));
  end();
  await make(leader, '/unseen');
  expect(seen).toEqual(Array.from({ length: 50 }, (_, i) => seen[0]! + i));
});

test.each(JOURNAL_STORES)(
  '%s: a killed leader is replaced; restarted it replays its tail and follows',
  async (store) => {
    const masters = await cluster({ store });
    const first = await masters.leader();
    const dead = masters.nameOf(first);
    await Promise.all(Array.from({ length: 500 }, (_, i) => make(first, `/before${i}`)));
    await masters.kill(dead);
    const second = await masters.leader();
    expect(second).not.toBe(first);
    await second.barrier();
    expect((await names(second)).length).toBe(500);
    await make(second, '/after');
    await masters.start([dead]);
    await masters.settled();
    expect(await masters.contents(dead)).toBe(await masters.contents(masters.nameOf(second)));
    expect(await names(masters.get(dead))).toContain('after');
  },
);

test.each(JOURNAL_STORES)('%s: all killed at once: everything acknowledged is there again', async (store) => {
  const masters = await cluster({ store });
  await Promise.all(Array.from({ length: 300 }, async (_, i) => make(await masters.leader(), `/n${i}`)));
  for (const name of masters.names) await masters.kill(name);
  await masters.start();
  const leader = await masters.leader();
  await leader.barrier();
  expect((await names(leader)).length).toBe(300);
});

test('a cut-off leader settles nothing falsely, and each waiter once', async () => {
  const masters = await cluster();
  const old = await masters.leader();
  const cutOff = masters.nameOf(old);
  await make(old, '/kept');
  masters.isolate(cutOff);
  const lost = Promise.allSettled(Array.from({ length: 50 }, (_, i) => make(old, `/lost${i}`)));
  const read = Promise.allSettled([old.barrier()]);
  const others = masters.names.filter((name) => name !== cutOff);
  const next = await masters.leader(others);
  await make(next, '/next');
  const settled = await lost;
  for (const each of settled)
    expect(each).toMatchObject({ status: 'rejected', reason: { code: 'UNAVAILABLE', details: { fate: 'unknown' } } });
  expect(await read).toMatchObject([{ status: 'rejected', reason: { code: 'NOT_LEADER' } }]);
  expect(old.leadership().leading).toBe(false);
  masters.heal();
  await masters.leader();
  await masters.settled();
  expect((await names(old)).sort()).toEqual(['kept', 'next']);
});

test('a leader that closes has handed over before', async () => {
  const masters = await cluster();
  const leader = await masters.leader();
  const name = masters.nameOf(leader);
  const { term } = leader.leadership();
  await make(leader, '/a');
  await masters.stop(name);
  const known = [...masters.journals.values()].map((journal) => journal.leadership());
  expect(known.some((each) => each.term > term && each.leader !== name)).toBe(true);
  const next = await masters.leader();
  await next.barrier();
  expect(await names(next)).toEqual(['a']);
});

test('under cuts of the leader, what succeeded is there exactly once and what was refused is not', async () => {
  const masters = await cluster();
  const fates = new Map<string, 'done' | 'unknown' | 'refused'>();
  let last = 0;
  for (let round = 0; round < 3; round += 1) {
    const leader = await masters.leader();
    const proposals = Array.from({ length: 200 }, async () => {
      last += 1;
      const name = `r${last}`;
      try {
        const outcome = await make(leader, `/${name}`);
        fates.set(name, outcome.kind === 'inode' ? 'done' : 'refused');
      } catch (thrown) {
        const error = thrown as SluiceError;
        fates.set(name, error.details['fate'] === 'unknown' ? 'unknown' : 'refused');
      }
    });
    if (round > 0) setImmediate(() => masters.isolate(masters.nameOf(leader)));
    await Promise.all(proposals);
    masters.heal();
  }
  const leader = await masters.leader();
  await leader.barrier();
  const there = new Set(await names(leader));
  expect(fates.size).toBe(600);
  for (const [name, fate] of fates)
    if (fate !== 'unknown') expect([name, there.has(name)]).toEqual([name, fate === 'done']);
});

test.each(JOURNAL_STORES)('%s: a master that was away is caught up from the disk', async (store) => {
  const masters = await cluster({ recentBytes: 20_000, store });
  const leader = await masters.leader();
  const away = masters.names.find((name) => name !== masters.nameOf(leader))!;
  await masters.stop(away);
  for (let i = 0; i < 20; i += 1) await Promise.all(Array.from({ length: 100 }, (_, j) => make(leader, `/${i}-${j}`)));
  await masters.start([away]);
  await masters.settled();
  expect((await names(masters.get(away))).length).toBe(2000);
});

describe('the journal is shortened', () => {
  const fill = async (leader: Journal, count: number) => {
    for (let i = 0; i < count; i += 250)
      await Promise.all(Array.from({ length: 250 }, (_, j) => make(leader, `/${i + j}`)));
  };
  const kept = async (masters: JournalCluster, name: string) => {
    await masters.stop(name);
    const store = new LevelLogStore(join(masters.folder(name), 'journal'));
    const { base, last } = await store.open();
    await store.close();
    return last.index - base.index;
  };

  test('to a bounded tail, whoever is away, and a restart still fits state and journal together', async () => {
    const masters = await cluster({ keepEntries: 1000 });
    const leader = await masters.leader();
    const away = masters.names.find((name) => name !== masters.nameOf(leader))!;
    await masters.stop(away);
    const here = masters.names.filter((name) => name !== away);
    await fill(leader, 5000);
    await masters.settled();
    // On a slow disk the first flush may outlive all of that; nothing is forgotten that is not flushed.
    for (const name of here) await masters.get(name).state.flush();
    await fill(leader, 250);
    await masters.settled();
    for (const name of here) expect(await kept(masters, name)).toBeLessThan(4000);
    await masters.start(here);
    await (await masters.leader()).barrier();
    expect((await names(await masters.leader())).length).toBe(5000);
  });
});

describe('trouble', () => {
  test('a failed write stops the master and answers nobody', async () => {
    const masters = await cluster({ size: 1 });
    const leader = await masters.leader();
    vi.spyOn(LevelLogStore.prototype, 'write').mockRejectedValueOnce(new SluiceError('EXHAUSTED', 'disk is full'));
    await expect(make(leader, '/a')).rejects.toMatchObject({ code: 'UNAVAILABLE', details: { fate: 'unknown' } });
    expect(masters.fatal.get('m1')).toMatchObject({ code: 'EXHAUSTED', message: 'disk is full' });
    masters.fatal.clear();
    // A code that makes clients ask another master, mutations too: nothing took effect.
    const refusal = { code: 'NOT_LEADER', message: expect.stringMatching(/has failed \(disk is full\)/) };
    await expect(make(leader, '/b')).rejects.toMatchObject(refusal);
    await expect(leader.barrier()).rejects.toMatchObject(refusal);
    expect(leader.leadership().leading).toBe(false);
  });

  test('a state ahead of its journal is CORRUPT', async () => {
    const masters = await cluster({ size: 1 });
    await make(await masters.leader(), '/a');
    await masters.stop('m1');
    await rm(join(masters.folder('m1'), 'journal'), { recursive: true });
    await expect(masters.start()).rejects.toMatchObject({ code: 'CORRUPT' });
  });

  test('more proposals than may wait are refused at once, and the others take effect', async () => {
    const masters = await cluster({ size: 1 });
    const leader = await masters.leader();
    const all = Array.from({ length: 66_000 }, () =>
      leader.propose({ kind: 'unmount', path: '/none' }, { principal: ROOT_CALLER }),
    );
    const settled = await Promise.allSettled(all);
    const refused = settled.filter((each) => each.status === 'rejected');
    expect(refused.length).toBeGreaterThanOrEqual(464);
    for (const each of refused) expect(each.reason).toMatchObject({ code: 'EXHAUSTED' });
    expect(settled.length - refused.length).toBeGreaterThanOrEqual(16_384);
  });

  test('closing tells who waits that the fate is unknown, and refuses what comes later', async () => {
    const masters = await cluster();
    const leader = await masters.leader();
    masters.isolate(masters.nameOf(leader));
    const waiting = make(leader, '/a');
    waiting.catch(() => undefined);
    await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
    await leader.close();
    await expect(waiting).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    await expect(make(leader, '/b')).rejects.toMatchObject({
      code: 'NOT_LEADER',
      message: expect.stringMatching(/is closing/),
    });
  });
});
