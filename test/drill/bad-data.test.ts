import { mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { FileSystem } from '../../src/client/file-system.ts';
import { type Result, Shell } from '../cli/shell.ts';
import { pattern } from '../client/fake-cluster.ts';
import { type Node, ProcessCluster, pause } from '../support/process-cluster.ts';
import { type FakeS3, sendError, startFakeS3 } from '../ufs/fake-s3.ts';

const MIB = 2 ** 20;

/** Bad data and bad places, seen from the command line, with real masters and workers. */
let cluster: ProcessCluster;
let files: FileSystem;
let shell: Shell;
let s3: FakeS3;
let under: string;

beforeAll(async () => {
  under = mkdtempSync(join(tmpdir(), 'sluice-under-'));
  mkdirSync(join(under, 'data/deep'), { recursive: true });
  writeFileSync(join(under, 'data/file'), 'x');
  for (const name of ['fixed', 'free', 'away', 'plain']) mkdirSync(join(under, name));
  writeFileSync(join(under, 'a-file'), 'x');
  s3 = await startFakeS3();
  s3.answer = (_, response) => sendError(response, 403, 'InvalidAccessKeyId');
  cluster = await ProcessCluster.start({
    masters: 1,
    workers: 2,
    settings: { 'master.worker.timeout': '1s', 'worker.cache.capacity': '24MiB', 'worker.heartbeat': '200ms' },
  });
  shell = Shell.alone();
  shell.environment = { SLUICE_CLIENT_MASTERS: cluster.addresses.join(','), HOME: under };
  files = await FileSystem.connect({ masters: [...cluster.addresses], blockSizeBytes: 4 * MIB, workerBanMs: 100 });
  await files.mount('/data', uri('data'));
  await files.mount('/fixed', uri('fixed'), { readOnly: true });
  await files.mount('/away', uri('away'), { syncIntervalMs: 0 });
}, 60_000);

afterAll(async () => {
  await files?.close();
  await cluster?.close();
  await shell?.[Symbol.asyncDispose]();
  await s3?.close();
  rmSync(under, { recursive: true, force: true });
});

function uri(name: string): string {
  return `file://${join(under, name)}`;
}

function fs(...args: string[]): Promise<Result> {
  return shell.run('fs', ...args);
}

/** Waits until `holds`; another process makes it so. */
async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 20_000;
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error(`${what} did not happen`);
    await pause(50);
  }
}

async function workers(state: 'live' | 'lost', count: number): Promise<void> {
  await until(`${count} workers ${state}`, async () => {
    const { workers: list } = await files.workers();
    return list.filter((worker) => worker.state === state).length === count;
  });
}

async function restart(nodes: readonly Node[]): Promise<void> {
  for (const node of nodes) if (!node.running) node.start();
  await cluster.waitUntilReady(nodes);
  await workers('live', cluster.workers.length);
}

function sum(metric: string): Promise<number> {
  return Promise.all(cluster.workers.map((worker) => worker.metric(metric))).then((all) =>
    all.reduce((total, value) => total + value, 0),
  );
}

describe('a mount is refused', () => {
  const s3Options = (endpoint: string) => [
    '-o',
    `s3.endpoint=${endpoint}`,
    '-o',
    's3.access-key=a',
    '-o',
    's3.secret-key=b',
  ];
  test.each<readonly [string, () => readonly string[], number, RegExp]>([
    ['of a missing directory', () => ['/m', uri('none')], 1, /^sluice: NOT_FOUND: .*none does not exist.*create it$/],
    ['of a file', () => ['/m', uri('a-file')], 1, /^sluice: NOT_A_DIRECTORY: .*a-file is not a directory/],
    [
      'of what contains a mounted directory',
      () => ['/m', `file://${under}`],
      1,
      /ALREADY_EXISTS: .* overlaps .*unmount it/,
    ],
    [
      'of what is inside a mounted directory',
      () => ['/m', uri('data/deep')],
      1,
      /ALREADY_EXISTS: .* overlaps .*\/data:/,
    ],
    [
      'onto a directory of a mount',
      () => ['/data/deep', uri('free')],
      1,
      /ALREADY_EXISTS: .*mount at a path that does not/,
    ],
    ['onto a mount point', () => ['/data', uri('free')], 1, /ALREADY_EXISTS: .*is mounted at \/data: unmount it first/],
    ['below a missing directory', () => ['/no/m', uri('free')], 1, /NOT_FOUND: .*\/no/],
    ['of an unknown scheme', () => ['/m', 'fil:///x'], 2, /INVALID_ARGUMENT: .*did you mean file/],
    ['of a bare path', () => ['/m', '/x'], 2, /INVALID_ARGUMENT: .*no scheme: write it like file:\/\/\/data/],
    ['with an unknown option', () => ['/m', uri('free'), '-o', 'x=1'], 2, /INVALID_ARGUMENT: .*Unknown option x/],
    ['without credentials', () => ['/m', 's3://bucket'], 1, /UNAUTHENTICATED: .*set s3.access-key and s3.secret-key/],
    [
      'with bad credentials',
      () => ['/m', 's3://bucket', ...s3Options(s3.endpoint)],
      1,
      /UNAUTHENTICATED: .*s3.access-key/,
    ],
    [
      'of a closed port',
      () => ['/m', 's3://bucket', ...s3Options('http://127.0.0.1:1')],
      75,
      /UNAVAILABLE: .*Nothing listens/,
    ],
    ['by an ordinary user', () => ['/m', uri('free'), '--user', 'eve'], 1, /PERMISSION_DENIED: .*ask a superuser/],
  ])('%s', async (_, args, code, message) => {
    const { err, ...result } = await fs('mount', ...args());
    expect({ ...result, err: err.trimEnd() }).toEqual({ code, out: '', err: expect.stringMatching(message) });
    expect((await files.mounts()).map(({ path }) => path)).toEqual(['/data', '/fixed', '/away']);
  });

  test('a read-only mount refuses every change', async () => {
    for (const args of [
      ['touch', '/fixed/x'],
      ['mkdir', '/fixed/x'],
      ['cp', `file://${join(under, 'a-file')}`, '/fixed/x'],
      ['chmod', '600', '/fixed'],
      ['rm', '-r', '/fixed'],
    ]) {
      const { code, err } = await fs(...args);
      expect([code, err]).toEqual([1, expect.stringMatching(/READ_ONLY: .*mount it without --readonly/)]);
    }
    expect(readdirSync(join(under, 'fixed'))).toEqual([]);
  });
});

describe('a UFS that is changed behind our back', () => {
  test('a file that was replaced is read anew, although the mount never syncs', async () => {
    const path = join(under, 'data/replaced');
    writeFileSync(path, pattern(9 * MIB, 1));
    expect((await fs('ls', '/data')).code).toBe(0);
    expect(await fs('head', '-c', '3', '/data/replaced')).toMatchObject({ code: 0 });
    writeFileSync(join(under, 'next'), pattern(5 * MIB, 2));
    renameSync(join(under, 'next'), path);
    expect(Buffer.compare(await files.readFile('/data/replaced'), pattern(5 * MIB, 2))).toBe(0);
  });

  test('a file that is replaced while it is read ends with STALE, never with bytes of both', async () => {
    const path = join(under, 'data/long');
    writeFileSync(path, pattern(40 * MIB, 1));
    await files.stat('/data/long', { sync: true });
    const reader = await files.open('/data/long');
    const pieces: Uint8Array[] = [];
    const reading = (async () => {
      for await (const bytes of reader.stream()) {
        pieces.push(bytes);
        if (pieces.length > 1) continue;
        writeFileSync(join(under, 'next'), pattern(40 * MIB, 2));
        renameSync(join(under, 'next'), path);
      }
    })();
    await expect(reading).rejects.toMatchObject({ code: 'STALE', message: expect.stringContaining('open it again') });
    const read = Buffer.concat(pieces);
    expect(Buffer.compare(read, pattern(40 * MIB, 1).subarray(0, read.length))).toBe(0);
    expect(Buffer.compare(await files.readFile('/data/long'), pattern(40 * MIB, 2))).toBe(0);
  });

  test.each<readonly [string, () => void, number, RegExp]>([
    ['was deleted', () => rmSync(join(under, 'data/victim')), 1, /NOT_FOUND: .*victim does not exist/],
    [
      'became a directory',
      () => {
        rmSync(join(under, 'data/victim'));
        mkdirSync(join(under, 'data/victim'));
      },
      1,
      /IS_A_DIRECTORY/,
    ],
  ])('a file that %s is no longer read', async (_, change, code, message) => {
    rmSync(join(under, 'data/victim'), { recursive: true, force: true });
    writeFileSync(join(under, 'data/victim'), 'text');
    await files.stat('/data/victim', { sync: true });
    change();
    expect(await fs('cat', '/data/victim')).toMatchObject({ code, err: expect.stringMatching(message) });
  });

  test('a directory that became a file is one after a look', async () => {
    mkdirSync(join(under, 'data/kind'));
    writeFileSync(join(under, 'data/kind/in'), 'x');
    expect((await fs('ls', '-R', '--sync', '/data/kind')).out).toBe('/data/kind/in\n');
    rmSync(join(under, 'data/kind'), { recursive: true });
    writeFileSync(join(under, 'data/kind'), 'now a file');
    expect((await fs('cat', '/data/kind/in')).code).toBe(1);
    expect((await fs('stat', '--sync', '/data/kind')).out).toMatch(/kind +file/);
    expect((await fs('cat', '/data/kind')).out).toBe('now a file');
  });

  test('a UFS that is gone hides nothing and removes nothing', async () => {
    writeFileSync(join(under, 'away/f'), 'text');
    expect((await fs('ls', '/away')).out).toBe('/away/f\n');
    renameSync(join(under, 'away'), join(under, 'taken'));
    for (const args of [
      ['cat', '/away/f'],
      ['test', '-e', '/away/other'],
      ['touch', '/away/new'],
      ['rm', '/away/f'],
    ]) {
      const { code, err } = await fs(...args);
      expect([args, code, err]).toEqual([args, 75, expect.stringMatching(/UNAVAILABLE: .*is its disk mounted\?/)]);
    }
    expect((await fs('ls', '--sync', '/away')).out).toBe('/away/f\n');
    mkdirSync(join(under, 'away'));
    expect((await fs('ls', '--sync', '/away')).out).toBe('/away/f\n');
    rmSync(join(under, 'away'), { recursive: true });
    renameSync(join(under, 'taken'), join(under, 'away'));
    expect((await fs('cat', '/away/f')).out).toBe('text');
  });
});

describe('workers', () => {
  /** Flips a byte in every page file of a worker. @returns how many there were. */
  function damage(node: Node): number {
    let pages = 0;
    const root = join(cluster.folder, node.name, 'cache/pages');
    for (const name of readdirSync(root, { recursive: true }) as string[]) {
      if (!/\/\d+-\d+-\d+$/.test(name)) continue;
      const bytes = readFileSync(join(root, name));
      bytes[bytes.length - 7] = (bytes[bytes.length - 7] ?? 0) ^ 0x10;
      writeFileSync(join(root, name), bytes);
      pages += 1;
    }
    return pages;
  }

  test('damaged pages are read from the UFS again, and counted; what only they had is lost, and said so', async () => {
    await files.writeFile('/data/kept', pattern(6 * MIB, 3));
    await files.writeFile('/only', pattern(6 * MIB, 4), { writeType: 'MUST_CACHE' });
    await files.readFile('/only');
    expect(cluster.workers.map(damage).reduce((a, b) => a + b, 0)).toBeGreaterThanOrEqual(12);
    expect(Buffer.compare(await files.readFile('/data/kept'), pattern(6 * MIB, 3))).toBe(0);
    expect(await sum('sluice_cache_pages_damaged_total')).toBeGreaterThanOrEqual(6);
    expect(await fs('cat', '/only')).toMatchObject({
      code: 70,
      err: expect.stringMatching(/CORRUPT: Block \d of \/only, .*MUST_CACHE.*it is lost, write the file again/),
    });
    await files.delete('/only');
  });

  test('cached content that does not fit is refused with the way out; with a UFS it is no matter', async () => {
    const large = join(under, 'large');
    writeFileSync(large, pattern(60 * MIB, 5));
    const { code, err } = await fs('cp', '--write-type', 'MUST_CACHE', `file://${large}`, '/large');
    expect([code, err]).toEqual([75, expect.stringMatching(/EXHAUSTED: .*raise worker.cache.capacity, add workers/)]);
    expect(await files.exists('/large')).toBe(false);
    expect((await fs('cp', `file://${large}`, '/data/large')).code).toBe(0);
    expect(Buffer.compare(await files.readFile('/data/large'), pattern(60 * MIB, 5))).toBe(0);
  });

  test('what a worker that is killed was reading is read elsewhere', async () => {
    writeFileSync(join(under, 'data/read'), pattern(40 * MIB, 6));
    await files.stat('/data/read', { sync: true });
    const reader = await files.open('/data/read');
    const pieces: Uint8Array[] = [];
    for await (const bytes of reader.stream()) {
      if (pieces.length === 1) await cluster.workers[0]?.stop('SIGKILL');
      pieces.push(bytes);
    }
    expect(Buffer.compare(Buffer.concat(pieces), pattern(40 * MIB, 6))).toBe(0);
    await restart(cluster.workers);
  });

  test('what a worker that is killed was writing is refused as a whole', async () => {
    const writer = await files.create('/data/written');
    await writer.write(pattern(20 * MIB, 7));
    await Promise.all(cluster.workers.map((worker) => worker.stop('SIGKILL')));
    const failed = (async () => {
      await writer.write(pattern(20 * MIB, 8));
      await writer.close();
    })();
    await expect(failed).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      message: expect.stringContaining('write it again'),
    });
    expect(await files.exists('/data/written')).toBe(false);
    expect(readdirSync(join(under, 'data'))).not.toContain('written');
    await restart(cluster.workers);
    await files.writeFile('/data/written', pattern(MIB, 9));
    expect(Buffer.compare(readFileSync(join(under, 'data/written')), pattern(MIB, 9))).toBe(0);
  });

  test('without any, reads and writes say so; with them back, cached content is there, and deleted is forgotten', async () => {
    await files.writeFile('/stays', pattern(6 * MIB, 10), { writeType: 'MUST_CACHE' });
    await files.writeFile('/goes', pattern(6 * MIB, 11), { writeType: 'MUST_CACHE' });
    const kept = await sum('sluice_cache_protected_bytes');
    await Promise.all(cluster.workers.map((worker) => worker.stop('SIGKILL')));
    await workers('lost', 2);
    expect(await fs('cat', '/data/file')).toMatchObject({
      code: 75,
      err: 'sluice: UNAVAILABLE: Cannot read /data/file: no worker is live, start one\n',
    });
    expect(await fs('cp', `file://${join(under, 'a-file')}`, '/data/x')).toMatchObject({
      code: 75,
      err: expect.stringMatching(/UNAVAILABLE: Cannot write \/data\/x .*no worker is live, start one/),
    });
    expect(await fs('cat', '/stays')).toMatchObject({
      code: 75,
      err: expect.stringMatching(/UNAVAILABLE: .*\/stays.*\(lost\).*: start that worker/),
    });
    await files.delete('/goes');
    await restart(cluster.workers);
    expect(Buffer.compare(await files.readFile('/stays'), pattern(6 * MIB, 10))).toBe(0);
    await until('forgetting', async () => (await sum('sluice_cache_protected_bytes')) <= kept - 6 * MIB);
  });
});
