import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, expect, test, vi } from 'vitest';
import { IncomingState } from '../../src/master/incoming-state.ts';
import type { Journal } from '../../src/master/journal.ts';
import { JOURNAL_STORES } from '../../src/master/journal-store-kind.ts';
import { SluiceError } from '../../src/model/errors.ts';
import { ROOT_CALLER } from '../support/local-state.ts';
import { type ClusterOptions, JournalCluster } from './journal-cluster.ts';

const running: JournalCluster[] = [];
afterEach(async () => {
  vi.restoreAllMocks();
  for (const cluster of running.splice(0)) await cluster.dispose();
});

async function cluster(options: ClusterOptions = {}): Promise<JournalCluster> {
  const made = new JournalCluster({ keepEntries: 1000, ...options });
  running.push(made);
  await made.start();
  const leader = await made.leader();
  await leader.propose({ kind: 'format', clusterId: 'c', owner: 'root', group: 'root' }, { principal: ROOT_CALLER });
  return made;
}

const make = (journal: Journal, path: string) =>
  journal.propose(
    { kind: 'makeDirectory', path, mode: 0o755, recursive: false, allowExists: false, persisted: false },
    { principal: ROOT_CALLER },
  );

/** So that a few thousand directories make a snapshot of several chunks. */
const LONG = 'x'.repeat(200);

async function fill(leader: Journal, from: number, to: number): Promise<void> {
  for (let i = from; i < to; i += 250)
    await Promise.all(Array.from({ length: Math.min(250, to - i) }, (_, j) => make(leader, `/${i + j}-${LONG}`)));
}

const FIRST_INDEX = 'sluice_master_journal_first_index';

/** A cluster that has forgotten what the master `away`, which is down, lacks. */
async function withStraggler(options: ClusterOptions = {}) {
  const masters = await cluster(options);
  const leader = await masters.leader();
  await fill(leader, 0, 100);
  const away = masters.names.find((name) => name !== masters.nameOf(leader))!;
  await masters.settled();
  await masters.stop(away);
  await fill(leader, 100, 4000);
  for (let i = 4000; (await masters.metric(masters.nameOf(leader), FIRST_INDEX)) < 1000; i += 250)
    await fill(leader, i, i + 250);
  await masters.settled();
  return { masters, leader, away };
}

async function equal(masters: JournalCluster): Promise<void> {
  await masters.settled();
  const all = await Promise.all([...masters.journals.keys()].map((name) => masters.contents(name)));
  expect(new Set(all).size).toBe(1);
}

const there = (path: string) =>
  access(path).then(
    () => true,
    () => false,
  );

test.each(JOURNAL_STORES)('%s: who lacks what nobody keeps gets a snapshot, while the others work', async (store) => {
  const { masters, leader, away } = await withStraggler({ store });
  let chunks = 0;
  masters.onChunk = async (chunk) => {
    chunks += 1;
    await fill(leader, 100_000 + chunks * 250, 100_000 + (chunks + 1) * 250);
    return chunk;
  };
  const replaced = vi.fn();
  await masters.start([away]);
  masters.get(away).subscribe({ stateReplaced: replaced });
  await vi.waitFor(() => expect(replaced).toHaveBeenCalledTimes(1), { timeout: 20_000 });
  await make(leader, '/behind');
  await equal(masters);
  expect(chunks).toBeGreaterThan(1);
  const folder = masters.folder(away);
  // It is a state like any other: a restart replays from it, and the folders of the transfer are gone.
  await masters.kill(away);
  await masters.start([away]);
  await equal(masters);
  for (const name of ['state.incoming', 'install.json']) expect(await there(join(folder, name))).toBe(false);
});

test('a damaged chunk is asked for again', async () => {
  const { masters, away } = await withStraggler();
  let damaged = 0;
  masters.onChunk = (chunk) => {
    if (damaged >= 3) return chunk;
    damaged += 1;
    const rows = Uint8Array.from(chunk.rows);
    rows[rows.length >> 1]! ^= 1;
    return { ...chunk, rows };
  };
  await masters.start([away]);
  await equal(masters);
  expect(damaged).toBe(3);
});

test('a broken transfer goes on where it was', async () => {
  const { masters, away } = await withStraggler();
  let asked = 0;
  let lost = 0;
  const read = vi.spyOn(IncomingState.prototype, 'begin');
  masters.onChunk = (chunk) => {
    asked += 1;
    if (asked % 2 === 1) return chunk;
    lost += 1;
    throw new SluiceError('UNAVAILABLE', 'the connection broke');
  };
  await masters.start([away]);
  await equal(masters);
  expect(read).toHaveBeenCalledTimes(1);
  expect(lost).toBeGreaterThan(0);
});

test('the receiver is killed in the middle and goes on where it was', async () => {
  const { masters, away } = await withStraggler();
  const begun = vi.spyOn(IncomingState.prototype, 'begin');
  let seen = 0;
  let stuck: (() => void) | undefined;
  masters.onChunk = async (chunk) => {
    seen += 1;
    if (seen === 2) await new Promise<void>((resolve) => (stuck = resolve));
    return chunk;
  };
  await masters.start([away]);
  await vi.waitFor(() => expect(stuck).toBeDefined(), { timeout: 20_000 });
  await masters.kill(away);
  await masters.start([away]);
  await equal(masters);
  expect(begun).toHaveBeenCalledTimes(1);
  stuck?.();
});

test('the sender dies in the middle: another one takes over', async () => {
  const { masters, leader, away } = await withStraggler();
  const first = masters.nameOf(leader);
  let killed: Promise<void> | undefined;
  const senders = new Set<string>();
  masters.onChunk = (chunk, from) => {
    senders.add(from);
    if (from === first) killed ??= masters.kill(first);
    return chunk;
  };
  await masters.start([away]);
  await vi.waitFor(() => expect(killed).toBeDefined(), { timeout: 20_000 });
  await killed;
  const next = await masters.leader();
  await make(next, '/after');
  await equal(masters);
  await masters.start([first]);
  await equal(masters);
});

test('a snapshot that is not needed any more when it is here is thrown away', async () => {
  const masters = await cluster();
  const leader = await masters.leader();
  const first = masters.nameOf(leader);
  const [patient, away] = masters.names.filter((name) => name !== first) as [string, string];
  // It keeps everything, and will lead.
  await masters.stop(patient);
  masters.keepEntries.set(patient, 100_000);
  await masters.start([patient]);
  await fill(leader, 0, 100);
  await masters.stop(away);
  await fill(leader, 100, 4000);
  for (let i = 4000; (await masters.metric(first, FIRST_INDEX)) < 1000; i += 250) await fill(leader, i, i + 250);
  let go: (() => void) | undefined;
  masters.onChunk = async (chunk) => {
    if (go === undefined) await new Promise<void>((resolve) => (go = resolve));
    return chunk;
  };
  const completed = vi.spyOn(IncomingState.prototype, 'complete');
  await masters.start([away]);
  await vi.waitFor(() => expect(go).toBeDefined(), { timeout: 20_000 });
  const replaced = vi.fn();
  masters.get(away).subscribe({ stateReplaced: replaced });
  await leader.transferLeadership(patient);
  await equal(masters);
  expect(replaced).not.toHaveBeenCalled();
  go?.();
  const incoming = join(masters.folder(away), 'state.incoming');
  await vi.waitFor(async () => {
    expect(completed).toHaveBeenCalledTimes(1);
    expect(await there(incoming)).toBe(false);
  });
  await equal(masters);
  expect(replaced).not.toHaveBeenCalled();
});
