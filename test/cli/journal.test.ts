import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { DataFolder } from '../../src/host/data-folder.ts';
import { LevelDatabase } from '../../src/host/level-database.ts';
import { nodeTimers } from '../../src/host/node-timers.ts';
import { writeBinding } from '../../src/master/folder-binding.ts';
import { LevelLogStore } from '../../src/master/level-log-store.ts';
import { LevelStateStore } from '../../src/master/level-state-store.ts';
import { SegmentLogStore } from '../../src/master/segment-log-store.ts';
import type { Entry } from '../../src/raft/entry.ts';
import type { LogStore } from '../../src/raft/log-store.ts';
import { encodeJournalEntry } from '../../src/wire/codec/command.ts';
import { entry as unreadable } from '../contract/log-store.contract.ts';
import { Shell } from './shell.ts';

let shell: Shell;
beforeEach(() => {
  shell = Shell.alone();
});
afterEach(() => shell[Symbol.asyncDispose]());

const command = (index: number, term: number): Entry => ({
  index,
  term,
  kind: 'command',
  bytes: encodeJournalEntry({ kind: 'heldByAll', index: index - 1 }),
});
const noop = (index: number, term: number): Entry => ({ index, term, kind: 'noop', bytes: new Uint8Array() });
const LOG: readonly Entry[] = [noop(1, 1), command(2, 1), command(3, 1), noop(4, 3), command(5, 3), command(6, 3)];

/** The data folder of a master that has stopped, with one write for each entry. */
async function master(
  entries: readonly Entry[] = LOG,
  applied: readonly Entry[] = LOG.slice(0, 5),
  store: (folder: string) => LogStore = (folder) => new LevelLogStore(folder),
): Promise<string> {
  const path = join(shell.folder, 'm1');
  const folder = await DataFolder.open(path, 'master');
  const names = { cluster: 'c', member: 'm1', id: 'm1@00' };
  await writeBinding(folder, { state: 'member', clusterId: 'the-cluster', ...names, birth: [] });
  const log = store(folder.at('journal'));
  await log.open();
  await log.write({ ballot: { term: 3, votedFor: 'm2' }, entries: [], commit: 0 });
  for (const each of entries) await log.write({ entries: [each], commit: Math.min(each.index, 5) });
  await log.close();
  const state = await LevelStateStore.open({
    folder: folder.at('state'),
    cacheBytes: 0,
    timers: nodeTimers,
    onFatal: (error) => {
      throw error;
    },
  });
  for (const { term, index } of applied) state.finishEntry({ term, index });
  await state.close();
  await folder.close();
  return path;
}

/** Hashes of all files of journal and state. */
function content(path: string): Record<string, string> {
  const files = ['journal', 'state'].flatMap((name) =>
    readdirSync(join(path, name)).map((file) => join(path, name, file)),
  );
  const hash = (file: string) => createHash('sha256').update(readFileSync(file)).digest('hex');
  return Object.fromEntries(files.map((file) => [file, `${hash(file)} ${statSync(file).mtimeMs}`]));
}

function logOf(path: string): string {
  const [name] = readdirSync(join(path, 'journal')).filter((file) => file.endsWith('.log'));
  return join(path, 'journal', name ?? '');
}

function flip(file: string, at: number): void {
  const bytes = readFileSync(file);
  bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at);
  writeFileSync(file, bytes);
}

/** Small files, so that there are several. */
const segments = (folder: string) => new SegmentLogStore(folder, { segmentBytes: 256 });
const STORES: readonly (readonly [string, (folder: string) => LogStore])[] = [
  ['level', (folder) => new LevelLogStore(folder)],
  ['segments', segments],
];

describe('journal check', () => {
  test.each(STORES)('shows what is there and changes nothing: %s', async (_, store) => {
    const path = await master(LOG, LOG.slice(0, 5), store);
    const before = content(path);
    expect((await shell.out('journal', 'check', '--folder', 'm1')).split('\n')).toEqual([
      `folder      ${path}`,
      'cluster     the-cluster',
      'member      m1@00',
      'base        0 of term 0',
      'first       1',
      'last        6 of term 3',
      'terms       1 to 3',
      'ballot      term 3, voted for m2',
      'commit      5',
      'state       5 of term 3',
      'verdict     sound',
      'what to do  nothing: this master can be started',
      '',
    ]);
    expect(content(path)).toEqual(before);
  });

  test('finds the folder of master.data, and prints JSON', async () => {
    await master();
    const out = await shell.out('journal', 'check', '--json', '--set', 'master.data=m1');
    expect(JSON.parse(out)).toEqual({
      folder: join(shell.folder, 'm1'),
      clusterId: 'the-cluster',
      member: 'm1',
      identity: 'm1@00',
      base: { term: 0, index: 0 },
      last: { term: 3, index: 6 },
      firstTerm: 1,
      ballot: { term: 3, votedFor: 'm2' },
      commit: 5,
      state: { term: 3, index: 5 },
      problems: [],
    });
  });

  test("damage of LevelDB's own log is found and left as it is", async () => {
    const path = await master();
    flip(logOf(path), 100);
    const before = content(path);
    const { code, out } = await shell.run('journal', 'check', '--folder', 'm1');
    expect(code).toBe(70);
    expect(out).toMatch(
      /problem +CORRUPT: Database \S+m1\/journal is damaged: \d+\.log has a broken record at byte \d+\n/,
    );
    expect(out).toMatch(/what to do +stop this master, move its data folder away/);
    expect(content(path)).toEqual(before);
  });

  test.each([
    ['a state that is ahead', LOG.slice(0, 3), LOG.slice(0, 4), /has entries 1 to 3, its state is at 4$/],
    [
      'a state of another term',
      LOG,
      LOG.slice(0, 5).map((each) => ({ ...each, term: 1 })),
      /has entry 5 of term 3, its state has one of term 1$/,
    ],
    ['an entry that says nothing', [...LOG, unreadable(7, 3)], LOG, /is damaged at entry 7 /],
  ])('%s is damage', async (_, entries, applied, message) => {
    await master(entries, applied);
    const { code, out } = await shell.run('journal', 'check', '--folder', 'm1', '--json');
    expect(code).toBe(70);
    const problems = (JSON.parse(out) as { problems: { code: string; message: string }[] }).problems;
    expect(problems.map((problem) => problem.code)).toEqual(['CORRUPT']);
    expect(problems[0]?.message).toMatch(message);
  });

  test.each(['journal', 'state'])('a damaged table of %s is found before LevelDB fails by it', async (name) => {
    const path = await master();
    // Opening makes a table of the log.
    const options = { blockCacheBytes: 0, writeBufferBytes: 64 * 1024 };
    await (await LevelDatabase.openBinary(join(path, name), options)).close();
    const [table = ''] = readdirSync(join(path, name)).filter((file) => file.endsWith('.ldb'));
    expect(await shell.out('journal', 'check', '--folder', 'm1')).toContain('sound');
    flip(join(path, name, table), 3);
    const { code, out } = await shell.run('journal', 'check', '--folder', 'm1');
    expect([code, out]).toEqual([
      70,
      expect.stringContaining(`m1/${name} is damaged: ${table} has a wrong checksum\n`),
    ]);
  });

  test('damage of a segment file is found, with its place, and left as it is', async () => {
    const path = await master(LOG, LOG.slice(0, 5), segments);
    const [file = ''] = readdirSync(join(path, 'journal')).filter((name) => name.startsWith('0000000000000003-'));
    flip(join(path, 'journal', file), 60);
    const before = content(path);
    const { code, out } = await shell.run('journal', 'check', '--folder', 'm1');
    expect(code).toBe(70);
    expect(out).toMatch(
      /problem +CORRUPT: Journal \S+m1\/journal is damaged at entry 3, in \S+\.segment at byte \d+ \(/,
    );
    expect(out).toMatch(/last +2 of term 1\n/);
    expect(out).toMatch(/what to do +stop this master, move its data folder away/);
    expect(content(path)).toEqual(before);
    const dump = await shell.run('journal', 'dump', '--folder', 'm1');
    expect(dump).toMatchObject({ code: 70, out: '1\t1\tnoop\t""\n2\t1\tcommand\t{"kind":"heldByAll","index":1}\n' });
  });

  test('each part that is damaged is told of', async () => {
    const path = await master();
    writeFileSync(join(path, 'cluster.json'), '{');
    rmSync(join(path, 'state', 'CURRENT'));
    flip(logOf(path), 100);
    const { code, out } = await shell.run('journal', 'check', '--folder', 'm1');
    expect(code).toBe(70);
    expect(out.match(/^problem/gm)).toHaveLength(3);
  });

  test('a running master is left alone', async () => {
    const path = await master();
    const running = await DataFolder.open(path, 'master');
    for (const command of ['check', 'dump']) {
      const { code, err } = await shell.run('journal', command, '--folder', 'm1');
      expect([code, err]).toEqual([75, expect.stringContaining(`is in use by process ${process.pid}: stop it`)]);
    }
    await running.close();
  });

  test('a folder of something else is refused and not filled', async () => {
    mkdirSync(join(shell.folder, 'other'));
    const { code, err } = await shell.run('journal', 'check', '--folder', 'other');
    expect([code, err]).toEqual([1, expect.stringContaining('other is not the data folder of a master')]);
    expect(readdirSync(join(shell.folder, 'other'))).toEqual([]);
  });
});

describe('journal dump', () => {
  test('keeps the secrets of mounts', async () => {
    const options = { 's3.endpoint': 'http://there', 's3.secret-key': 'hush' };
    const mount = { kind: 'mount', path: '/s3', uri: 's3://b', options, readOnly: false, syncIntervalMs: 0 } as const;
    const principal = { user: 'root', groups: [], superuser: true };
    const bytes = encodeJournalEntry({ kind: 'command', stamped: { atMs: 1, principal, command: mount } });
    await master([{ index: 1, term: 1, kind: 'command', bytes }], []);
    const out = await shell.out('journal', 'dump', '--folder', 'm1');
    expect(out).toContain('"s3.endpoint":"http://there"');
    expect(out).not.toContain('hush');
  });

  test.each(STORES)('prints entries: %s', async (_, store) => {
    await master(LOG, LOG.slice(0, 5), store);
    expect(await shell.out('journal', 'dump', '--folder', 'm1')).toBe(
      '1\t1\tnoop\t""\n' +
        '2\t1\tcommand\t{"kind":"heldByAll","index":1}\n' +
        '3\t1\tcommand\t{"kind":"heldByAll","index":2}\n' +
        '4\t3\tnoop\t""\n' +
        '5\t3\tcommand\t{"kind":"heldByAll","index":4}\n' +
        '6\t3\tcommand\t{"kind":"heldByAll","index":5}\n',
    );
    expect(await shell.out('journal', 'dump', '--folder', 'm1', '--from', '3', '--to', '4', '--json')).toBe(
      '{"index":3,"term":1,"kind":"command","content":{"kind":"heldByAll","index":2}}\n' +
        '{"index":4,"term":3,"kind":"noop","content":""}\n',
    );
  });

  test('leaves out what later writes have replaced', async () => {
    const path = await master(LOG, [], segments);
    const log = segments(join(path, 'journal'));
    await log.open();
    await log.write({ ballot: { term: 9, votedFor: 'm1' }, truncateFrom: 6, entries: [], commit: 5 });
    await log.write({ entries: [noop(6, 9), command(7, 9)], commit: 5 });
    await log.write({ truncateFrom: 7, entries: [noop(7, 10)], commit: 6 });
    await log.compact({ index: 4, term: 3 });
    await log.close();
    const out = await shell.out('journal', 'dump', '--folder', 'm1');
    expect(out.split('\n').map((line) => line.split('\t').slice(0, 3).join(' '))).toEqual([
      '5 3 command',
      '6 9 noop',
      '7 10 noop',
      '',
    ]);
    const { code, err } = await shell.run('journal', 'dump', '--folder', 'm1', '--from', '4');
    expect([code, err]).toEqual([1, expect.stringContaining('has entries 5 to 7')]);
  });

  test.each([
    [['--from', '7'], 1, /has entries 1 to 6: ask for some of these/],
    [['--to', '9'], 1, /has entries 1 to 6/],
    [['--from', '4', '--to', '3'], 2, /--from 4 is behind --to 3/],
    [['--from', 'x'], 2, /--from must be a whole number/],
  ])('%s is refused', async (args, exit, message) => {
    await master();
    const { code, out, err } = await shell.run('journal', 'dump', '--folder', 'm1', ...args);
    expect([code, out]).toEqual([exit, '']);
    expect(err).toMatch(message);
  });

  test('damage ends it', async () => {
    const path = await master();
    flip(logOf(path), 100);
    const { code, err } = await shell.run('journal', 'dump', '--folder', 'm1');
    expect([code, err]).toEqual([70, expect.stringContaining('m1/journal is damaged')]);
  });
});
