import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Metrics } from '../../src/host/metrics.ts';
import { nodeTimers } from '../../src/host/node-timers.ts';
import { systemClock } from '../../src/host/system-clock.ts';
import { readBackup } from '../../src/master/backup-read.ts';
import { restoreBackup } from '../../src/master/backup-restore.ts';
import { writeBackup } from '../../src/master/backup-write.ts';
import { LevelStateStore } from '../../src/master/level-state-store.ts';
import { newLogStore } from '../../src/master/new-log-store.ts';
import { SnapshotMetrics } from '../../src/master/snapshot-metrics.ts';
import { SnapshotSource } from '../../src/master/snapshot-source.ts';
import { checkStatePosition } from '../../src/master/state-position.ts';
import { apply } from '../../src/model/apply.ts';
import type { Command } from '../../src/model/command.ts';
import { SluiceError } from '../../src/model/errors.ts';
import { TABLE_NAMES } from '../../src/model/state-store.ts';
import { membershipOf } from '../../src/raft/membership.ts';
import type { SnapshotReader } from '../../src/wire/snapshot-reader.ts';
import { ROOT_CALLER } from '../support/local-state.ts';

const never = new AbortController().signal;
const place = {
  cluster: 'sluice',
  name: 'm1',
  address: 'm1.example:19200',
  clientAddress: 'm1.example:19998',
  others: new Map<string, string>(),
  listed: true,
  shared: false,
  clientAddressOf: () => '',
};
const stores = { store: 'level', segmentSize: 1 << 20 } as const;

let root = '';
let state: LevelStateStore;
let source: SnapshotSource;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'sluice-backup-'));
  state = await openState('state');
  source = new SnapshotSource({
    clock: systemClock,
    timers: nodeTimers,
    metrics: new SnapshotMetrics(new Metrics()),
    view: () => state.view(),
    describe: ({ position }) => ({
      meta: { position, term: 9, membership: membershipOf(['a', 'b', 'c']) },
      clusterId: 'old',
      expectedRows: 1,
    }),
    barrier: () => Promise.resolve(),
    pin: () => () => undefined,
  });
  run({ kind: 'format', clusterId: 'old', owner: 'root', group: 'root' });
});
afterEach(async () => {
  await source.stop();
  await state.close();
  await rm(root, { recursive: true, force: true });
});

function openState(name: string): Promise<LevelStateStore> {
  return LevelStateStore.open({
    folder: join(root, name),
    cacheBytes: 1 << 20,
    timers: nodeTimers,
    onFatal: (error) => {
      throw error;
    },
  });
}

function run(command: Command): void {
  apply(state, { atMs: 1, principal: ROOT_CALLER, command });
  state.finishEntry({ term: 3, index: state.applied.index + 1 });
}

function makeDirectories(count: number, name = ''): void {
  for (let i = 0; i < count; i += 1)
    run({
      kind: 'makeDirectory',
      path: `/d${i}${name}`,
      mode: 0o755,
      recursive: false,
      allowExists: false,
      persisted: false,
    });
}

async function contents(store: LevelStateStore, tables = TABLE_NAMES): Promise<string> {
  const all = await Promise.all(tables.map((table) => store.scan(table, { prefix: '', after: '', limit: 1e6 })));
  return JSON.stringify(all);
}

const backup = (reader: SnapshotReader = source) =>
  writeBackup({
    source: reader,
    path: join(root, 'backup.tar'),
    timers: nodeTimers,
    signal: never,
    progress: () => undefined,
  });

const restore = (folder: string) =>
  restoreBackup({
    path: join(root, 'backup.tar'),
    folder: join(root, folder),
    place,
    signal: never,
    newLog: (at) => newLogStore(at, stores),
    progress: () => undefined,
  });

test('a backup that is restored has the namespace, in a new cluster whose numbers do not meet those of the lost future', async () => {
  makeDirectories(4000, 'x'.repeat(200));
  const before = await contents(state, ['inode', 'place', 'mount', 'session']);
  const counters = state.get('counters', '')!;
  const manifest = await backup();
  expect(manifest).toMatchObject({ clusterId: 'old', position: state.applied, term: 9, rows: 8004 });
  expect(manifest.chunks).toBeGreaterThan(1);
  expect((await stat(join(root, 'backup.tar'))).mode & 0o077).toBe(0);
  const { clusterId, epoch } = await restore('new');
  expect(clusterId).not.toBe('old');
  const restored = await openState('new/state');
  expect(await contents(restored, ['inode', 'place', 'mount', 'session'])).toBe(before);
  expect(restored.applied).toEqual(manifest.position);
  const next = restored.get('counters', '')!;
  expect(next.nextInodeId).toBeGreaterThan(counters.nextInodeId + 1e12);
  expect(restored.get('cluster', '')).toMatchObject({
    clusterId,
    epoch: 1,
    skippedIds: [{ from: counters.nextInodeId, below: next.nextInodeId }],
  });
  expect(epoch).toBe(1);
  const [voter] = restored.membership!.voters;
  expect(voter).toMatch(/^m1@/);
  expect(restored.membership).toMatchObject({ members: [{ id: voter, address: 'm1.example:19200' }] });
  const log = newLogStore(join(root, 'new'), stores);
  const stored = await log.open();
  checkStatePosition('new', restored.applied, stored);
  expect(stored).toMatchObject({ ballot: { term: 9 }, last: manifest.position, commit: manifest.position.index });
  await log.close();
  await restored.close();
  const binding = JSON.parse(await readFile(join(root, 'new', 'cluster.json'), 'utf8')) as object;
  expect(binding).toMatchObject({ state: 'member', clusterId, member: 'm1', id: voter });
  expect(await readdir(root)).not.toContain('new.restoring');
});

test('what is there is not touched', async () => {
  await backup();
  await expect(backup()).rejects.toMatchObject({ code: 'ALREADY_EXISTS' });
  await mkdir(join(root, 'full'));
  await writeFile(join(root, 'full', 'something'), '');
  await expect(restore('full')).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  await mkdir(join(root, 'empty'));
  await restore('empty');
  await expect(restore('empty')).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  expect(source.openCount).toBe(0);
});

test('a file that is cut anywhere is refused, and nothing is made of it', async () => {
  makeDirectories(3);
  await backup();
  const path = join(root, 'backup.tar');
  const whole = await readFile(path);
  // Two empty blocks end a tar file; without them it is whole, too.
  const end = whole.length - 1024;
  for (let length = 0; length < end; length += 97) {
    await writeFile(path, whole.subarray(0, length));
    await expect(
      readBackup(path, never, async () => undefined),
      `${length}`,
    ).rejects.toMatchObject({ code: 'CORRUPT' });
  }
  await expect(restore('new')).rejects.toMatchObject({ code: 'CORRUPT' });
  expect((await readdir(root)).filter((name) => name.startsWith('new'))).toEqual([]);
});

test('a byte that changed anywhere is noticed, or tells nothing', async () => {
  makeDirectories(3);
  const manifest = await backup();
  const path = join(root, 'backup.tar');
  const whole = await readFile(path);
  const collect = async () => {
    const rows: string[] = [];
    const seen = await readBackup(path, never, async (more) => {
      for (const [key, value] of more) rows.push(key, Buffer.from(value).toString('hex'));
    });
    return { seen, rows };
  };
  const right = await collect();
  expect(right.seen).toEqual(manifest);
  let refused = 0;
  for (let at = 0; at < whole.length; at += 5) {
    const damaged = Buffer.from(whole);
    damaged[at]! ^= 1 << (at % 8);
    await writeFile(path, damaged);
    const found = await collect().catch((error: unknown) => error);
    if (found instanceof SluiceError) {
      expect(['CORRUPT', 'UNSUPPORTED']).toContain(found.code);
      refused += 1;
    } else expect(found, `byte ${at}`).toEqual(right);
  }
  expect(refused).toBeGreaterThan(100);
});

test('a connection that breaks is tried again; a snapshot that is gone leaves no file', async () => {
  makeDirectories(4000, 'x'.repeat(200));
  let calls = 0;
  const shaky: SnapshotReader = {
    open: (order) => source.open(order),
    async read(id, after) {
      calls += 1;
      if (calls % 2 === 0) throw new SluiceError('UNAVAILABLE', 'the connection broke');
      return source.read(id, after);
    },
    close: (id) => source.close(id),
  };
  expect(await backup(shaky)).toMatchObject({ rows: 8004 });
  await rm(join(root, 'backup.tar'));
  const lost: SnapshotReader = {
    ...shaky,
    async read(id, after) {
      if (after !== '') await source.drop();
      return source.read(id, after);
    },
  };
  await expect(backup(lost)).rejects.toMatchObject({ code: 'NOT_FOUND' });
  expect((await readdir(root)).filter((name) => name.startsWith('backup'))).toEqual([]);
});
