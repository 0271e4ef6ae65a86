import { createHash } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { SluiceError } from '../../src/model/errors.ts';
import { pattern } from '../client/fake-cluster.ts';
import { Shell } from './shell.ts';

let shell: Awaited<ReturnType<typeof Shell.start>>;

beforeEach(async () => {
  shell = await Shell.start();
  const { files } = shell.cluster;
  await files.writeFile('/d/lines', Array.from({ length: 20 }, (_, i) => `line ${i}\n`).join(''), {
    writeType: 'MUST_CACHE',
    recursive: true,
    mode: 0o640,
  });
  await files.writeFile('/d/big', pattern(300_000), { writeType: 'MUST_CACHE' });
  await files.writeFile('/d/sub/empty', '', { writeType: 'MUST_CACHE', recursive: true });
  for (const path of ['/d/lines', '/d/big', '/d/sub', '/d/sub/empty'])
    await files.setAttributes(path, { modifiedMs: new Date(2026, 0, 2, 3, 4, 5).getTime() });
});

afterEach(() => shell[Symbol.asyncDispose]());

function lastLines(from: number): string {
  return Array.from({ length: 20 - from }, (_, i) => `line ${from + i}\n`).join('');
}

describe('ls', () => {
  test.each([
    [['/d'], '/d/big\n/d/lines\n/d/sub\n'],
    [['-R', '/d'], '/d/big\n/d/lines\n/d/sub\n/d/sub/empty\n'],
    [[], '/d\n/ufs\n'],
    [['/d/lines'], '/d/lines\n'],
    [['/d/sub', '/ufs'], '/d/sub/empty\n'],
    [
      ['-l', '/d'],
      '-rw-r--r--  root  staff  300000  CACHED  2026-01-02 03:04:05  /d/big\n' +
        '-rw-r-----  root  staff     150  CACHED  2026-01-02 03:04:05  /d/lines\n' +
        'drwxr-xr-x  root  staff  DIR     CACHED  2026-01-02 03:04:05  /d/sub\n',
    ],
    [
      ['-lh', '/d'],
      '-rw-r--r--  root  staff    293KiB  CACHED  2026-01-02 03:04:05  /d/big\n' +
        '-rw-r-----  root  staff      150B  CACHED  2026-01-02 03:04:05  /d/lines\n' +
        'drwxr-xr-x  root  staff       DIR  CACHED  2026-01-02 03:04:05  /d/sub\n',
    ],
  ])('ls %j', async (args, wanted) => {
    expect(await shell.out('fs', 'ls', ...args)).toBe(wanted);
  });

  test('--json prints one status a line, wherever the option stands', async () => {
    const after = await shell.out('fs', 'ls', '/d', '--json');
    const statuses = after
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as { path: string; lengthBytes: number });
    expect(statuses.map(({ path, lengthBytes }) => [path, lengthBytes])).toEqual([
      ['/d/big', 300_000],
      ['/d/lines', 150],
      ['/d/sub', 0],
    ]);
    expect(await shell.out('--json', 'fs', 'ls', '/d')).toBe(after);
    expect(await shell.out('fs', '--json', 'ls', '/d')).toBe(after);
  });

  test('on a terminal names are whole, and their control characters are shown', async () => {
    const path = '/d/a name that is longer than\nthe \u001b[31mterminal';
    await shell.cluster.files.mkdir(path);
    shell.columns = 40;
    const shown = '/d/a name that is longer than\\nthe \\x1b[31mterminal';
    expect(await shell.out('fs', 'ls', '-l', '/d')).toContain(`${shown}\n`);
    expect(await shell.out('fs', 'ls', '/d')).toContain(`${shown}\n`);
    shell.columns = 0;
    expect(await shell.out('fs', 'ls', '/d')).toContain(`${path}\n`);
  });

  test('a large directory is fetched and printed page by page', async () => {
    const { files } = shell.cluster;
    for (let i = 0; i < 1500; i++) await files.mkdir(`/many/${String(i).padStart(4, '0')}`, { recursive: true });
    const before = shell.cluster.masters.calls.length;
    expect((await shell.out('fs', 'ls', '/many')).split('\n')).toHaveLength(1501);
    expect(shell.cluster.masters.calls.slice(before).map((call) => call.name)).toEqual(['listStatus', 'listStatus']);
  });
});

describe('content', () => {
  test.each([
    [['cat', '/d/lines'], lastLines(0)],
    [['cat', '/d/sub/empty', '/d/lines'], lastLines(0)],
    [['head', '/d/lines'], Array.from({ length: 10 }, (_, i) => `line ${i}\n`).join('')],
    [['head', '-n', '1', '/d/lines'], 'line 0\n'],
    [['head', '-n', '0', '/d/lines'], ''],
    [['head', '-n', '100', '/d/lines'], lastLines(0)],
    [['head', '-c', '8', '/d/lines'], 'line 0\nl'],
    [['head', '-c', '1KiB', '/d/lines'], lastLines(0)],
    [['tail', '/d/lines'], lastLines(10)],
    [['tail', '-n', '1', '/d/lines'], lastLines(19)],
    [['tail', '-n', '0', '/d/lines'], ''],
    [['tail', '-n', '99', '/d/lines'], lastLines(0)],
    [['tail', '-c', '3', '/d/lines'], '19\n'],
    [['tail', '/d/sub/empty'], ''],
  ])('%j', async (args, wanted) => {
    expect(await shell.out('fs', ...args)).toBe(wanted);
  });

  test.each(['md5', 'sha256'])('checksum -a %s', async (algorithm) => {
    const sum = createHash(algorithm).update(pattern(300_000)).digest('hex');
    expect(await shell.out('fs', 'checksum', '-a', algorithm, '/d/big')).toBe(`${sum}  /d/big\n`);
  });

  test('checksum: md5 by default, crc32 known from a table, JSON', async () => {
    await shell.cluster.files.writeFile('/c', '123456789', { writeType: 'MUST_CACHE' });
    expect(await shell.out('fs', 'checksum', '/c')).toBe('25f9e794323b453885f5181f1b624d0b  /c\n');
    const json = JSON.parse(await shell.out('fs', 'checksum', '-a', 'crc32', '--json', '/c'));
    expect(json).toEqual({ path: '/c', algorithm: 'crc32', checksum: 'cbf43926', lengthBytes: 9 });
  });
});

describe('cp', () => {
  const local = (name: string) => join(shell.folder, name);

  beforeEach(() => {
    mkdirSync(local('tree/deep'), { recursive: true });
    writeFileSync(local('tree/a'), pattern(700_000));
    writeFileSync(local('tree/deep/b'), 'b');
    writeFileSync(local('tree/deep/empty'), '');
  });

  test('to the cluster, within it, and back', async () => {
    expect(await shell.out('fs', 'cp', '-r', 'file://tree', '/ufs/t')).toBe('copied 3 files (684KiB)\n');
    expect(await shell.out('fs', 'cp', '-r', '--write-type', 'must-cache', '/ufs/t', '/t2')).toMatch(/^copied 3 files/);
    expect(await shell.out('fs', 'ls', '-R', '/t2')).toBe('/t2/a\n/t2/deep\n/t2/deep/b\n/t2/deep/empty\n');
    const json = JSON.parse(await shell.out('fs', 'cp', '-r', '--json', '/t2', `file://${local('back')}`));
    expect(json).toEqual({ source: '/t2', target: local('back'), files: 3, bytes: 700_001 });
    expect(readFileSync(local('back/a')).equals(pattern(700_000))).toBe(true);
    expect(readFileSync(local('back/deep/b'), 'utf8')).toBe('b');
    expect(readFileSync(local('back/deep/empty'))).toHaveLength(0);
  });

  test('into an existing directory', async () => {
    await shell.out('fs', 'cp', 'file://tree/deep/b', '/ufs');
    await shell.out('fs', 'cp', '-r', 'file://tree/deep', '/ufs');
    await shell.out('fs', 'cp', '/d/lines', 'file://tree');
    expect(await shell.out('fs', 'ls', '-R', '/ufs')).toBe('/ufs/b\n/ufs/deep\n/ufs/deep/b\n/ufs/deep/empty\n');
    expect(existsSync(local('tree/lines'))).toBe(true);
  });

  test.each([
    ['a directory without -r', ['file://tree', '/x'], 1, /IS_A_DIRECTORY: .*tree is a directory: copy it with -r/],
    ['a missing local file', ['file://none', '/x'], 1, /NOT_FOUND: .*none does not exist on this machine/],
    ['a local path below a file', ['file://tree/a/b', '/x'], 1, /NOT_A_DIRECTORY: .*a\/b is below a file/],
    ['a missing file of the cluster', ['/none', 'file://x'], 1, /NOT_FOUND: .*\/none/],
    ['over an existing file', ['/d/big', '/d/lines'], 1, /ALREADY_EXISTS: .*\/d\/lines/],
    ['over an existing local file', ['/d/big', 'file://tree/a'], 1, /ALREADY_EXISTS: .*-f to replace it/],
    ['onto itself', ['/d/big', '/d/big'], 2, /INVALID_ARGUMENT: Cannot copy \/d\/big onto itself/],
    ['into itself', ['-r', '/d', '/d/sub/d2'], 2, /INVALID_ARGUMENT: Cannot copy \/d into itself/],
    ['with a bad number', ['--parallel', 'x', '/d/big', '/y'], 2, /--parallel must be a whole number from 1, got x/],
    ['with a bad write type', ['--write-type', 'FAST', '/d/big', '/y'], 2, /--write-type must be one of/],
    ['to nowhere', ['/d/big'], 2, /missing required argument 'target'/],
  ])('refuses %s', async (_, args, code, message) => {
    const result = await shell.run('fs', 'cp', ...args);
    expect(result).toMatchObject({ code, out: '', err: expect.stringMatching(message) });
  });

  test('-f replaces', async () => {
    await shell.out('fs', 'cp', '-f', '--write-type', 'MUST_CACHE', 'file://tree/deep/b', '/d/lines');
    expect(await shell.out('fs', 'cat', '/d/lines')).toBe('b');
    await shell.out('fs', 'cp', '-f', '/d/lines', 'file://tree/a');
    expect(readFileSync(local('tree/a'), 'utf8')).toBe('b');
  });

  test('permissions go along, and a replaced file keeps its own', async () => {
    const { files } = shell.cluster;
    const modeOf = async (path: string) => (await files.stat(path)).mode;
    chmodSync(local('tree/deep'), 0o700);
    chmodSync(local('tree/deep/b'), 0o600);
    await shell.out('fs', 'cp', '-r', 'file://tree', '/ufs/t');
    expect([await modeOf('/ufs/t/deep'), await modeOf('/ufs/t/deep/b')]).toEqual([0o700, 0o600]);
    await shell.out('fs', 'cp', '-f', 'file://tree/a', '/ufs/t/deep/b');
    expect(await modeOf('/ufs/t/deep/b')).toBe(0o600);
    await shell.out('fs', 'cp', '-r', '/ufs/t', 'file://back');
    const localMode = (name: string) => statSync(local(name)).mode & 0o777;
    expect([localMode('back/deep'), localMode('back/deep/b')]).toEqual([0o700, 0o600]);
    await shell.out('fs', 'cp', '-f', '/ufs/t/a', 'file://back/deep/b');
    expect(localMode('back/deep/b')).toBe(0o600);
  });

  test('a link to a directory is refused, not followed in circles', async () => {
    symlinkSync('..', local('tree/deep/up'));
    const result = await shell.run('fs', 'cp', '-r', 'file://tree', '/ufs/t');
    expect(result).toMatchObject({ code: 1, err: expect.stringContaining('UNSUPPORTED') });
  });

  test('a copy that fails leaves no part of a file', async () => {
    const gone = new SluiceError('UNAVAILABLE', 'gone');
    let reads = 0;
    for (const worker of shell.cluster.workers)
      worker.fault = (request) => (request.kind === 'readBlock' && ++reads > 2 ? gone : undefined);
    const down = await shell.run('fs', 'cp', '/d/big', 'file://part');
    expect(down.code).toBe(75);
    expect(readdirSync(shell.folder)).toEqual(['tree']);
    for (const worker of shell.cluster.workers)
      worker.fault = (request) => (request.kind === 'appendUpload' && request.block > 0 ? gone : undefined);
    const up = await shell.run('fs', 'cp', 'file://tree/a', '/ufs/part');
    expect(up.code).toBe(75);
    expect(await shell.out('fs', 'ls', '/ufs')).toBe('');
  });

  test('Ctrl-C ends it with 130 and leaves no part of a file', async () => {
    for (const worker of shell.cluster.workers)
      worker.fault = (request) => {
        if (request.kind === 'appendUpload' && request.block === 1) shell.stop.abort();
        return undefined;
      };
    writeFileSync(local('tree/a'), pattern(20 * 2 ** 20));
    const result = await shell.run('fs', 'cp', 'file://tree/a', '/ufs/part');
    expect(result).toEqual({ code: 130, out: '', err: '' });
    shell.stop = new AbortController();
    expect(await shell.out('fs', 'ls', '/ufs')).toBe('');
    expect(shell.cluster.ufs.size).toBe(0);
  });
});

describe('metadata', () => {
  test('mkdir, touch, mv, rm', async () => {
    await shell.out('fs', 'mkdir', '-p', '/n/a/b', '/n/c');
    await shell.out('fs', 'touch', '--write-type', 'MUST_CACHE', '/n/f');
    expect(await shell.out('fs', 'test', '-z', '/n/f')).toBe('');
    await shell.out('fs', 'mv', '/n/f', '/n/c');
    await shell.out('fs', 'mv', '/n/c', '/n/moved');
    expect(await shell.out('fs', 'ls', '-R', '/n')).toBe('/n/a\n/n/a/b\n/n/moved\n/n/moved/f\n');
    await shell.out('fs', 'rm', '/n/moved/f');
    await shell.out('fs', 'rm', '-r', '/n');
    expect(await shell.out('fs', 'ls', '/')).toBe('/d\n/ufs\n');
  });

  test('touch sets the time of what is there', async () => {
    await shell.out('fs', 'touch', '/d/lines');
    expect((await shell.cluster.files.stat('/d/lines')).modifiedMs).toBeGreaterThan(new Date(2026, 0, 3).getTime());
  });

  test('mv -f replaces a file', async () => {
    expect((await shell.run('fs', 'mv', '/d/big', '/d/lines')).code).toBe(1);
    await shell.out('fs', 'mv', '-f', '/d/big', '/d/lines');
    expect((await shell.cluster.files.stat('/d/lines')).lengthBytes).toBe(300_000);
  });

  test('rm -f passes over what is missing, --keep-ufs is passed on', async () => {
    await shell.out('fs', 'rm', '-f', '/none', '/d/big', '--keep-ufs');
    const removal = shell.cluster.masters.calls.filter((call) => call.name === 'delete');
    expect(removal.map((call) => call.request)).toEqual([{ path: '/d/big', recursive: false, keepUfs: true, id: 0 }]);
  });

  test.each([
    [['-e', '/d'], 0],
    [['-e', '/none'], 1],
    [['-d', '/d'], 0],
    [['-d', '/d/lines'], 1],
    [['-f', '/d/lines'], 0],
    [['-f', '/d'], 1],
    [['-z', '/d/sub/empty'], 0],
    [['-z', '/d/lines'], 1],
    [['-z', '/d'], 1],
    [['-z', '/ufs'], 0],
    [['-d', '-z', '/d/sub/empty'], 1],
    [['/d'], 2],
  ])('test %j is %i', async (args, code) => {
    expect((await shell.run('fs', 'test', ...args)).code).toBe(code);
  });

  test('count and du', async () => {
    expect(await shell.out('fs', 'count', '/d')).toBe(
      'files  directories  bytes   path\n    3            2  300150  /d\n',
    );
    expect(await shell.out('fs', 'du', '/')).toBe('0\t/d/sub\n300150\t/d\n0\t/ufs\n300150\t/\n');
    expect(await shell.out('fs', 'du', '-s', '-h', '/d')).toBe('293KiB\t/d\n');
    expect(await shell.out('fs', 'du', '/d/lines')).toBe('150\t/d/lines\n');
    expect(await shell.out('fs', 'du', '-s', '/d', '--json')).toBe('{"path":"/d","bytes":300150}\n');
  });

  test('chmod and chown', async () => {
    const mode = async (path: string) => (await shell.cluster.files.stat(path)).mode.toString(8);
    await shell.out('fs', 'chmod', '600', '/d/lines');
    expect(await mode('/d/lines')).toBe('600');
    await shell.out('fs', 'chmod', '-R', 'a-w,o=,u+X', '/d');
    expect([await mode('/d'), await mode('/d/lines'), await mode('/d/big'), await mode('/d/sub/empty')]).toEqual([
      '550',
      '400',
      '440',
      '440',
    ]);
    await shell.out('fs', 'chown', '-R', 'alice:eng', '/d');
    await shell.out('fs', 'chown', ':ops', '/d/lines');
    expect(await shell.cluster.files.stat('/d/lines')).toMatchObject({ owner: 'alice', group: 'ops' });
    expect(await shell.cluster.files.stat('/d/sub/empty')).toMatchObject({ owner: 'alice', group: 'eng' });
  });

  test('stat', async () => {
    const text = await shell.out('fs', 'stat', '/d/lines');
    expect(text).toContain('length        150 (150B)\n');
    expect(text).toContain('mode          0640 (-rw-r-----)\n');
    expect(text).toContain('owner         root:staff\n');
    expect(JSON.parse(await shell.out('fs', 'stat', '--json', '/d'))).toMatchObject({ path: '/d', childCount: 3 });
  });

  test('mount and unmount', async () => {
    await shell.out('fs', 'mount', '/s3', 's3://b/p', '-o', 's3.endpoint=http://m', '-o', 'a=b=c', '--readonly');
    expect(await shell.out('fs', 'mount')).toBe(
      'path  uri           mode        sync  options\n' +
        '/s3   s3://b/p      read-only   1m    s3.endpoint=http://m a=b=c\n' +
        '/ufs  memory://ufs  read-write  1m\n',
    );
    await shell.out('fs', 'unmount', '/s3');
    await shell.out('fs', 'unmount', '/ufs');
    expect(await shell.out('fs', 'mount')).toBe('nothing is mounted\n');
    await shell.out('fs', 'mount', '/x', 'file:///x', '--sync-interval', 'never');
    expect((await shell.cluster.files.mounts())[0]).toMatchObject({ path: '/x', syncIntervalMs: -1 });
  });
});

describe('refusals', () => {
  test.each([
    ['a missing path', ['cat', '/none'], 1, 'sluice: NOT_FOUND: '],
    ['cat of a directory', ['cat', '/d'], 1, 'sluice: IS_A_DIRECTORY: /d is a directory'],
    ['a relative path', ['ls', 'd'], 2, 'sluice: INVALID_ARGUMENT: Path "d" is relative: start it with /'],
    ['rm of a full directory', ['rm', '/d'], 1, 'sluice: NOT_EMPTY: '],
    ['mkdir of what is there', ['mkdir', '/d'], 1, 'sluice: ALREADY_EXISTS: '],
    [
      'a bad size',
      ['head', '-c', '3XB', '/d/lines'],
      2,
      'sluice: INVALID_ARGUMENT: --bytes must be a size such as 64MiB',
    ],
    ['a bad count', ['tail', '-n', '-1', '/d/lines'], 2, 'sluice: INVALID_ARGUMENT: --lines must be a whole number'],
    ['a bad mode', ['chmod', 'rwx', '/d'], 2, 'sluice: INVALID_ARGUMENT: Mode rwx must be octal'],
    ['a bad owner', ['chown', ':', '/d'], 2, 'sluice: INVALID_ARGUMENT: ":" must be owner'],
    ['a bad algorithm', ['checksum', '-a', 'md4', '/d/big'], 2, 'sluice: INVALID_ARGUMENT: --algorithm must be'],
    [
      'a bad interval',
      ['mount', '/x', 'file:///', '--sync-interval', '5'],
      2,
      'sluice: INVALID_ARGUMENT: --sync-interval',
    ],
    ['a bad option', ['mount', '/x', 'file:///', '-o', 'x'], 2, 'sluice: INVALID_ARGUMENT: x must be key=value'],
    ['half a mount', ['mount', '/x'], 2, 'sluice: INVALID_ARGUMENT: Say what to mount at /x'],
    ['unmount of no mount', ['unmount', '/d'], 2, 'sluice: INVALID_ARGUMENT: /d is not a mount point'],
  ])('%s', async (_, args, code, message) => {
    const result = await shell.run('fs', ...args);
    expect(result).toMatchObject({ code, out: '', err: expect.stringContaining(message) });
  });

  test('with --json an error is an object on standard error', async () => {
    const { code, out, err } = await shell.run('fs', 'cat', '/none', '--json');
    expect([code, out]).toEqual([1, '']);
    expect(JSON.parse(err)).toMatchObject({ code: 'NOT_FOUND', message: expect.any(String), details: {} });
  });
});
