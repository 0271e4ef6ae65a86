import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test, vi } from 'vitest';
import { FileSystem } from '../../src/client/file-system.ts';
import { type ClusterOptions, type Node, ProcessCluster } from '../support/process-cluster.ts';

const closing: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

/** So that a few thousand directories make a snapshot of several chunks. */
const LONG = 'x'.repeat(200);
const WAIT = { timeout: 60_000, interval: 50 };

async function start(options: ClusterOptions = {}): Promise<{ cluster: ProcessCluster; files: FileSystem }> {
  const cluster = await ProcessCluster.start({ settings: { 'master.journal.keep-entries': '1000' }, ...options });
  closing.push(() => cluster.close());
  const files = await FileSystem.connect({ masters: [...cluster.addresses] });
  closing.push(() => files.close());
  return { cluster, files };
}

async function make(files: FileSystem, from: number, to: number): Promise<void> {
  for (let i = from; i < to; i += 500)
    await Promise.all(Array.from({ length: Math.min(500, to - i) }, (_, j) => files.mkdir(`/${i + j}-${LONG}`)));
}

const metric = (node: Node, name: string) => node.metric(`sluice_master_${name}`);

async function childrenOf(files: FileSystem): Promise<Set<string>> {
  const names = new Set<string>();
  for await (const { path } of files.list('/')) names.add(path);
  return names;
}

test('a master that was away too long gets a snapshot while the others work at full load, and nobody campaigns', async () => {
  const { cluster, files } = await start();
  const leader = await cluster.leader();
  const away = cluster.masters.find((node) => node !== leader)!;
  await make(files, 0, 500);
  await away.stop('SIGKILL');
  let made = 500;
  for (; (await metric(leader, 'journal_first_index')) < 2000 || made < 4000; made += 500)
    await make(files, made, made + 500);
  const elections = async () => {
    const nodes = cluster.masters.filter((node) => node !== away);
    const counts = await Promise.all(nodes.map((node) => metric(node, 'raft_campaigns_total')));
    return counts.reduce((sum, count) => sum + count, 0);
  };
  const before = await elections();
  away.start();
  let caughtUp = false;
  const writer = (async () => {
    for (; !caughtUp; made += 500) await make(files, made, made + 500);
  })();
  await vi.waitFor(async () => {
    expect(await metric(away, 'snapshot_installs_total').catch(() => 0)).toBe(1);
    expect(await away.ready()).toBe(true);
  }, WAIT);
  caughtUp = true;
  await writer;
  expect(await elections()).toBe(before);
  expect(await metric(leader, 'snapshot_sent_bytes_total')).toBeGreaterThan(2 ** 21);
  // Now it is needed for every commit.
  await leader.stop('SIGKILL');
  await files.mkdir('/behind');
  expect((await childrenOf(files)).size).toBe(made + 1);
}, 180_000);

test('a backup of a cluster that works, restored, has everything that was acknowledged before it', async () => {
  const { cluster, files } = await start();
  const folder = mkdtempSync(join(tmpdir(), 'sluice-restored-'));
  closing.push(() => rmSync(folder, { recursive: true, force: true }));
  const atLeast = 1000;
  await make(files, 0, atLeast);
  let done = false;
  let made = atLeast;
  const writer = (async () => {
    for (; !done; made += 100) await make(files, made, made + 100);
  })();
  const file = join(folder, 'backup.tar');
  const backup = await cluster.command('admin', 'backup', file, '--json');
  done = true;
  await writer;
  expect(backup, backup.err).toMatchObject({ code: 0 });
  const leader = await cluster.leader();
  expect((JSON.parse(backup.out) as { master: string }).master).not.toBe(leader.name);
  const data = join(folder, 'm1');
  const settings = [
    '--set',
    'master.name=m1',
    '--set',
    'master.peers=m1=127.0.0.1:19998',
    '--set',
    `master.data=${data}`,
  ];
  const restored = await cluster.command('admin', 'restore', file, '--json', ...settings);
  expect(restored, restored.err).toMatchObject({ code: 0 });
  const again = await cluster.command('admin', 'restore', file, ...settings);
  expect([again.code, again.err]).toEqual([2, expect.stringContaining('is not empty')]);
  const { cluster: second, files: there } = await start({ masters: 1, masterOwn: () => ({ data }) });
  const names = await childrenOf(there);
  for (let i = 0; i < atLeast; i += 1) expect(names.has(`/${i}-${LONG}`)).toBe(true);
  expect(names.size).toBeLessThanOrEqual(made);
  await there.mkdir('/new');
  // Alone, the leader makes backups.
  const next = await second.command('admin', 'backup', join(folder, 'next.tar'), '--json');
  expect(next, next.err).toMatchObject({ code: 0 });
  expect(JSON.parse(next.out)).toMatchObject({ master: 'm1', tables: { inode: names.size + 2 } });
  const info = JSON.parse((await second.command('admin', 'quorum', 'info', '--json')).out) as { clusterId: string };
  expect(info.clusterId).toBe((JSON.parse(restored.out) as { clusterId: string }).clusterId);
}, 180_000);
