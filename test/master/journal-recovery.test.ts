import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { DataFolder } from '../../src/host/data-folder.ts';
import { nodeTimers } from '../../src/host/node-timers.ts';
import { writeBinding } from '../../src/master/folder-binding.ts';
import { LevelLogStore } from '../../src/master/level-log-store.ts';
import { LevelStateStore } from '../../src/master/level-state-store.ts';
import { SegmentLogStore } from '../../src/master/segment-log-store.ts';
import type { Command } from '../../src/model/command.ts';
import type { Entry } from '../../src/raft/entry.ts';
import type { LogStore } from '../../src/raft/log-store.ts';
import { AdminChannel } from '../../src/wire/admin-channel.ts';
import { encodeJournalEntry } from '../../src/wire/codec/command.ts';
import { Shell } from '../cli/shell.ts';
import { ROOT_CALLER } from '../support/local-state.ts';
import { freePorts } from '../support/process-cluster.ts';
import { createFile, makeDirectory } from '../support/requests.ts';
import { common, RealMasters, ready } from './real-masters.ts';

const YES = '--yes-lose-what-others-knew';
let real: RealMasters;
let shell: Shell;
beforeEach(() => {
  real = new RealMasters();
  shell = Shell.alone();
});
afterEach(async () => {
  await real.close();
  await shell[Symbol.asyncDispose]();
});

/** Hashes of the files of journal and state. */
function content(path: string): Record<string, string> {
  const files = ['journal', 'state'].flatMap((name) => readdirSync(join(path, name)).map((file) => join(name, file)));
  const hash = (file: string) =>
    createHash('sha256')
      .update(readFileSync(join(path, file)))
      .digest('hex');
  return Object.fromEntries(files.map((file) => [file, `${hash(file)} ${statSync(join(path, file)).mtimeMs}`]));
}

const openState = (folder: string) =>
  LevelStateStore.open({
    folder: join(folder, 'state'),
    cacheBytes: 0,
    timers: nodeTimers,
    onFatal: (error) => {
      throw error;
    },
  });

const entry = (index: number, term: number, command: Command): Entry => {
  const stamped = { atMs: 1_700_000_000_000 + index, principal: ROOT_CALLER, command };
  return { index, term, kind: 'command', bytes: encodeJournalEntry({ kind: 'command', stamped }) };
};
const mkdir = (path: string): Command => ({
  ...{ kind: 'makeDirectory', path, mode: 0o755, recursive: false, allowExists: false, persisted: false },
});
const LOG: readonly Entry[] = [
  entry(1, 1, { kind: 'format', clusterId: 'the-cluster', owner: 'root', group: 'root' }),
  entry(2, 1, mkdir('/known')),
  entry(3, 4, mkdir('/maybe')),
];

/** What is left of a master that knew two of its three entries to be committed and had applied none. */
async function remains(store: (folder: string) => LogStore): Promise<string> {
  const path = join(shell.folder, 'm1');
  const folder = await DataFolder.open(path, 'master');
  const info = { id: 'm1@00', address: 'one:1', clientAddress: 'one:2', priority: 3 };
  const names = { cluster: 'c', clusterId: 'the-cluster', member: 'm1', id: 'm1@00' };
  await writeBinding(folder, { state: 'member', ...names, birth: [info, { ...info, id: 'm2@00' }] });
  const log = store(folder.at('journal'));
  await log.open();
  for (const each of LOG) await log.write({ entries: [each], commit: Math.min(each.index, 2) });
  await log.write({ ballot: { term: 6, votedFor: 'm2@00' }, entries: [], commit: 2 });
  await log.close();
  await (await openState(path)).close();
  await folder.close();
  return path;
}

describe.each<[string, (folder: string) => LogStore]>([
  ['level', (folder) => new LevelLogStore(folder)],
  ['segments', (folder) => new SegmentLogStore(folder, { segmentBytes: 4096 })],
])('what is left with the store %s', (_, store) => {
  test('becomes a cluster of its own, with every entry, and stays as it was', async () => {
    const path = await remains(store);
    const before = content(path);
    const out = await shell.out('journal', 'recover', '--folder', 'm1', '--into', 'new', YES);
    expect(out).toMatch(/up to entry 3 of term 4, in/);
    expect(out).toMatch(/last 1 entries were committed: they take effect/);
    expect(content(path)).toEqual(before);
    const check = JSON.parse(await shell.out('journal', 'check', '--json', '--folder', 'new'));
    const position = { term: 6, index: 4 };
    expect(check).toMatchObject({ member: 'm1', base: position, last: position, state: position, problems: [] });
    expect(check.ballot).toEqual({ term: 6 });
    expect(check.identity).toMatch(/^m1@[0-9a-f]{12}$/);
    expect(check.clusterId).not.toBe('the-cluster');
    expect(out).toContain(check.clusterId);
    const state = await openState(join(shell.folder, 'new'));
    const places = await state.scan('place', { prefix: '', after: '', limit: 9 });
    expect(places.map(({ row }) => row.name)).toEqual(['', 'known', 'maybe']);
    expect(state.get('cluster', '')).toMatchObject({ clusterId: check.clusterId });
    expect(state.get('counters', '')?.nextInodeId).toBeGreaterThan(2 ** 32);
    const info = { id: check.identity, address: 'one:1', clientAddress: 'one:2', priority: 3 };
    expect(state.membership).toEqual({ voters: [check.identity], outgoing: [], learners: [], members: [info] });
    await state.close();
  });
});

describe('refused', () => {
  const level = (folder: string) => new LevelLogStore(folder);

  test('without the word, after it has said what would be lost', async () => {
    const path = await remains(level);
    const before = content(path);
    const { code, out, err } = await shell.run('journal', 'recover', '--folder', 'm1', '--into', 'new');
    expect(code).toBe(2);
    expect(out).toMatch(/Every change behind that entry is lost for ever/);
    expect(err).toMatch(/Nothing was changed/);
    expect(content(path)).toEqual(before);
    expect(existsSync(join(shell.folder, 'new'))).toBe(false);
  });

  test('without a folder, or into one that has something', async () => {
    const path = await remains(level);
    expect(await shell.run('journal', 'recover', '--folder', 'm1', YES)).toMatchObject({
      code: 2,
      err: expect.stringContaining('--into PATH'),
    });
    const before = content(path);
    expect(await shell.run('journal', 'recover', '--folder', 'm1', '--into', 'm1', YES)).toMatchObject({
      code: 1,
      err: expect.stringContaining('m1 is not empty'),
    });
    expect(content(path)).toEqual(before);
  });

  test('when it is damaged', async () => {
    const path = await remains(level);
    const name = readdirSync(join(path, 'journal')).find((file) => file.endsWith('.log')) ?? '';
    const bytes = readFileSync(join(path, 'journal', name));
    bytes.writeUInt8(bytes.readUInt8(60) ^ 1, 60);
    writeFileSync(join(path, 'journal', name), bytes);
    const { code, err } = await shell.run('journal', 'recover', '--folder', 'm1', '--into', 'new', YES);
    expect(code).toBe(70);
    expect(err).toMatch(/use the data folder of another master that is left/);
    expect(existsSync(join(shell.folder, 'new'))).toBe(false);
  });

  test('when there is nothing in it', async () => {
    await (await DataFolder.open(join(shell.folder, 'm1'), 'master')).close();
    const { err } = await shell.run('journal', 'recover', '--folder', 'm1', '--into', 'new', YES);
    expect(err).toMatch(/nothing to keep/);
  });
});

test('one of three masters serves alone with what it had', async () => {
  const three = await real.startThree();
  const { masters, addresses, names } = three;
  const asked = real.channel(addresses);
  await asked.call('makeDirectory', makeDirectory('/d'));
  for (let i = 0; i < 20; i += 1)
    await asked.call('createFile', createFile(`/d/f${i}`, { writeType: 'MUST_CACHE', empty: true }));
  const old = masters[0]?.clusterId;
  // Two are lost for ever.
  await Promise.all(masters.map((master) => master.close()));
  const folder = join(real.folder, names[0] ?? '');
  const into = join(real.folder, 'recovered');
  await shell.out('journal', 'recover', '--folder', folder, '--into', into, YES);
  const [raft = 0] = await freePorts(1);
  const settings = { 'master.data': into, 'master.port': '0', 'master.peers': `${names[0]}=127.0.0.1:${raft}` };
  const alone = await real.start(names[0] ?? '', settings);
  await ready(alone);
  expect(alone.clusterId).not.toBe(old);
  const address = `127.0.0.1:${alone.port}`;
  const again = real.channel([address]);
  const { entries } = await again.call('listStatus', { path: '/d', recursive: false, cursor: '', limit: 0 });
  expect(entries.length).toBeGreaterThan(0);
  await again.call('createFile', createFile('/d/new', { writeType: 'MUST_CACHE', empty: true }));
  expect((await again.call('getStatus', { path: '/d/new' })).id).toBeGreaterThan(2 ** 32);
  const { members } = (await new AdminChannel({ masters: [address], ...common }).report()).quorum;
  expect(members.map(({ role }) => role)).toEqual(['leader']);
});
