import { createHash, randomUUID } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { S3 } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { FileSystem } from '../../src/client/file-system.ts';
import type { WriteType } from '../../src/model/inode.ts';
import { regularFiles } from '../drill/tree.ts';
import { passOverTrees } from '../drill/tree-passes.ts';
import { type CommandResult, ProcessCluster, pause } from '../support/process-cluster.ts';
import { type S3Server, startS3Server } from './radosgw.ts';

const FOLDER = fileURLToPath(new URL('../../node_modules', import.meta.url));
const BUCKET = 'cluster';
const MIB = 2 ** 20;
const LANES = 24;
const PATIENCE_MS = 60_000;

let server: S3Server;
let raw: S3;
let cluster: ProcessCluster;
let files: FileSystem;

beforeAll(async () => {
  server = await startS3Server();
  raw = new S3({
    endpoint: server.endpoint,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: { accessKeyId: server.accessKey, secretAccessKey: server.secretKey },
    requestChecksumCalculation: 'WHEN_REQUIRED',
  });
  await raw.createBucket({ Bucket: BUCKET });
  cluster = await ProcessCluster.start({ workers: 2 });
  files = await FileSystem.connect({ masters: cluster.addresses });
});

afterAll(async () => {
  await files?.close();
  await cluster?.close();
  raw?.destroy();
  await server?.stop();
});

/** `sluice fs mount` with the options of the server, of which `more` replaces some. */
function mount(path: string, uri: string, more: Record<string, string> = {}, flags: string[] = []) {
  const options = {
    's3.endpoint': server.endpoint,
    's3.access-key': server.accessKey,
    's3.secret-key': server.secretKey,
    ...more,
  };
  const given = Object.entries(options).flatMap(([key, value]) => ['-o', `${key}=${value}`]);
  return cluster.command('fs', 'mount', path, uri, ...given, ...flags);
}

/** Mounts a new prefix of the bucket. @returns the prefix, with its slash */
async function mountNew(path: string, flags: string[] = []): Promise<string> {
  const prefix = `${randomUUID()}/`;
  expect(await mount(path, `s3://${BUCKET}/${prefix}`, {}, flags)).toMatchObject({ code: 0, err: '' });
  return prefix;
}

async function objectAt(key: string): Promise<{ readonly bytes: Buffer; readonly etag: string | undefined }> {
  const { Body, ETag } = await raw.getObject({ Bucket: BUCKET, Key: key });
  return { bytes: Buffer.from((await Body?.transformToByteArray()) ?? []), etag: ETag };
}

/** Keys of the bucket below `prefix`, which they are told without; markers of directories are among them. */
async function keysBelow(prefix: string): Promise<string[]> {
  const keys: string[] = [];
  let token: string | undefined;
  do {
    const page = await raw.listObjectsV2({
      Bucket: BUCKET,
      Prefix: prefix,
      ...(token === undefined ? {} : { ContinuationToken: token }),
    });
    for (const { Key = '' } of page.Contents ?? []) keys.push(Key.slice(prefix.length));
    token = page.NextContinuationToken;
  } while (token !== undefined);
  return keys;
}

async function objectsBelow(prefix: string): Promise<string[]> {
  return (await keysBelow(prefix)).filter((key) => key !== '' && !key.endsWith('/'));
}

/** Bytes that repeat at no power of two, different for each `seed`. */
function bytesOf(lengthBytes: number, seed: string): Buffer {
  return Buffer.alloc(lengthBytes, createHash('sha512').update(seed).digest().subarray(0, 61));
}

async function workerMetric(name: string): Promise<number> {
  const values = await Promise.all(cluster.workers.map((worker) => worker.metric(name)));
  return values.reduce((sum, value) => sum + value, 0);
}

/** Waits until `check` holds, as another program would that looks again and again. */
async function until(what: string, check: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  while (!(await check())) {
    if (performance.now() > deadline) throw new Error(`After ${PATIENCE_MS} ms not yet: ${what}`);
    await pause(50);
  }
}

/** Two copies of the small files of a tree, so that the bucket has twice as many. */
async function uploadTwice(prefix: string, paths: readonly string[]): Promise<void> {
  let next = 0;
  const lane = async (): Promise<void> => {
    for (let path = paths[next++]; path !== undefined; path = paths[next++]) {
      const Body = await readFile(join(FOLDER, path));
      for (const copy of ['a', 'b']) await raw.putObject({ Bucket: BUCKET, Key: `${prefix}${copy}/${path}`, Body });
    }
  };
  await Promise.all(Array.from({ length: LANES }, lane));
}

/** Hidden entries of the top change while tests run; files of many megabytes would fill the memory of the server. */
async function treeToUpload(): Promise<{ readonly paths: string[]; readonly skip: (path: string) => boolean }> {
  const left = new Set<string>();
  const skip = (path: string): boolean => path.startsWith('.') || left.has(path);
  const paths: string[] = [];
  for await (const path of regularFiles(FOLDER, skip)) {
    if ((await stat(join(FOLDER, path))).size > MIB) left.add(path);
    else paths.push(path);
  }
  return { paths, skip };
}

test('a bucket of many objects is listed and read as it is, from caches the second time, and while the leader dies', async () => {
  const { paths, skip } = await treeToUpload();
  const prefix = `${randomUUID()}/`;
  let begun = performance.now();
  const lap = (): number => {
    const seconds = (performance.now() - begun) / 1000;
    begun = performance.now();
    return Math.round(seconds * 10) / 10;
  };
  await uploadTwice(prefix, paths);
  const uploadSeconds = lap();
  // Never looked at again: what is known of it must be enough from then on.
  const flags = ['--readonly', '--sync-interval', 'never'];
  expect(await mount('/lake', `s3://${BUCKET}/${prefix}`, {}, flags)).toMatchObject({ code: 0, err: '' });
  const listing = await cluster.command('fs', 'ls', '-R', '--json', '/lake');
  const listSeconds = lap();
  expect(listing).toMatchObject({ code: 0, err: '' });
  const statuses = listing.out
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as { readonly path: string; readonly kind: string });
  const listed = statuses.filter(({ kind }) => kind === 'file').map(({ path }) => path.slice('/lake/'.length));
  expect(listed.sort()).toEqual(['a', 'b'].flatMap((copy) => paths.map((path) => `${copy}/${path}`)).sort());

  const trees = ['a', 'b'].map((copy) => ({ mounted: `/lake/${copy}`, folder: FOLDER }));
  const passes = await passOverTrees(cluster, files, trees, { skip });
  const { first, second, third } = passes;
  process.stdout.write(
    `S3: ${first.comparison.files} files, ${first.comparison.bytes} bytes, upload ${uploadSeconds} s, ` +
      `ls -R ${listSeconds} s, first pass ${first.seconds.toFixed(1)} s, second pass ${second.seconds.toFixed(1)} s, ` +
      `with the leader killed ${third.seconds.toFixed(1)} s\n`,
  );
  expect(first.comparison.files).toBe(2 * paths.length);
  const right = { missing: [], invented: [], different: [] };
  expect(first.comparison).toMatchObject(right);
  expect(second.comparison).toEqual(first.comparison);
  expect(third.comparison).toMatchObject({ ...right, files: paths.length });
  expect(first.ufsReads).toBeGreaterThan(0);
  expect(second.ufsReads).toBe(0);
  expect(second.pageHits).toBeGreaterThan(0);
  expect(third.ufsReads).toBe(0);
  for (const { ufsLooks } of [first, second, third]) expect(ufsLooks).toBe(0);
  expect(passes.comparedBeforeDeath).toBeGreaterThan(0);
  const dead = cluster.masters.filter((master) => !master.running);
  expect(dead).toHaveLength(1);
  for (const master of dead) master.start();
  await cluster.waitUntilReady();
}, 1_200_000);

test.each<[WriteType, boolean]>([
  ['CACHE_THROUGH', true],
  ['THROUGH', false],
])('what is written %s is in the bucket byte for byte', async (writeType, cached) => {
  const path = `/written-${writeType}`;
  const prefix = await mountNew(path);
  for (const lengthBytes of [0, 1, 8 * MIB, 20 * MIB + 7, 65 * MIB + 1]) {
    const content = bytesOf(lengthBytes, `${writeType} ${lengthBytes}`);
    const name = `d/${lengthBytes}`;
    const status = await files.writeFile(`${path}/${name}`, content, { writeType, recursive: true });
    const { bytes, etag } = await objectAt(`${prefix}${name}`);
    expect(bytes.equals(content), name).toBe(true);
    expect(etag?.replaceAll('"', '')).toMatch(lengthBytes > 8 * MIB ? /^[0-9a-f]{32}-\d+$/ : /^[0-9a-f]{32}$/);
    expect(status).toMatchObject({ lengthBytes, persistence: 'persisted', complete: true });
    const before = await workerMetric('sluice_worker_ufs_reads_total');
    expect(Buffer.from(await files.readFile(`${path}/${name}`)).equals(content), name).toBe(true);
    const reads = (await workerMetric('sluice_worker_ufs_reads_total')) - before;
    if (cached || lengthBytes === 0) expect(reads, name).toBe(0);
    else expect(reads, name).toBeGreaterThan(0);
  }
  const incomplete = await raw.listMultipartUploads({ Bucket: BUCKET });
  expect(incomplete.Uploads ?? []).toEqual([]);
});

test('the command line copies a tree into the bucket and out of it again', async () => {
  const prefix = await mountNew('/copied');
  const folder = join(FOLDER, 'commander');
  expect(await cluster.command('fs', 'cp', '-r', `file://${folder}`, '/copied/in')).toMatchObject({ code: 0 });
  const paths: string[] = [];
  for await (const path of regularFiles(folder)) paths.push(path);
  expect((await objectsBelow(`${prefix}in/`)).sort()).toEqual(paths.sort());
  const out = join(cluster.folder, 'out');
  expect(await cluster.command('fs', 'cp', '-r', '/copied/in', `file://${out}`)).toMatchObject({ code: 0 });
  for (const path of paths) {
    const wanted = await readFile(join(folder, path));
    expect((await objectAt(`${prefix}in/${path}`)).bytes.equals(wanted), path).toBe(true);
    expect((await readFile(join(out, path))).equals(wanted), path).toBe(true);
  }
});

test('foreign changes are seen after the interval', async () => {
  const path = '/foreign';
  const prefix = await mountNew(path, ['--sync-interval', '500ms']);
  const put = (name: string, Body: string) => raw.putObject({ Bucket: BUCKET, Key: `${prefix}${name}`, Body });
  const text = async (name: string) => Buffer.from(await files.readFile(`${path}/${name}`)).toString();
  const names = async () => {
    const found: string[] = [];
    for await (const status of files.list(path)) found.push(status.path.slice(path.length + 1));
    return found;
  };
  await put('same-length', 'one');
  await put('longer', 'one');
  await put('leaves', 'one');
  expect(await names()).toEqual(['leaves', 'longer', 'same-length']);
  for (const name of await names()) expect(await text(name)).toBe('one');

  await put('same-length', 'two');
  await until('the new bytes of the same length', async () => (await text('same-length')) === 'two');
  await put('longer', 'one and more');
  await until('the longer bytes', async () => (await text('longer')) === 'one and more');
  await put('comes', 'new');
  await raw.deleteObject({ Bucket: BUCKET, Key: `${prefix}leaves` });
  await until('the new names', async () => (await names()).join() === 'comes,longer,same-length');
  expect(await text('comes')).toBe('new');
  await expect(files.stat(`${path}/leaves`)).rejects.toMatchObject({ code: 'NOT_FOUND' });
});

test('renames and deletes are seen in the bucket', async () => {
  const path = '/changed';
  const prefix = await mountNew(path);
  const large = bytesOf(20 * MIB, 'large');
  await files.mkdir(`${path}/d`);
  await files.writeFile(`${path}/d/large`, large);
  await files.writeFile(`${path}/d/e/small`, 'small', { recursive: true });
  await files.writeFile(`${path}/replaced`, 'old');
  expect(await objectsBelow(prefix)).toEqual(['d/e/small', 'd/large', 'replaced']);

  await files.rename(`${path}/d/large`, `${path}/replaced`, { overwrite: true });
  expect(await objectsBelow(prefix)).toEqual(['d/e/small', 'replaced']);
  expect((await objectAt(`${prefix}replaced`)).bytes.equals(large)).toBe(true);
  expect(Buffer.from(await files.readFile(`${path}/replaced`)).equals(large)).toBe(true);

  expect(await cluster.command('fs', 'mv', `${path}/d`, `${path}/moved`)).toMatchObject({ code: 0, err: '' });
  expect(await objectsBelow(prefix)).toEqual(['moved/e/small', 'replaced']);
  expect(Buffer.from(await files.readFile(`${path}/moved/e/small`)).toString()).toBe('small');
  expect(await files.exists(`${path}/d`)).toBe(false);

  expect(await cluster.command('fs', 'rm', '-r', `${path}/moved`)).toMatchObject({ code: 0, err: '' });
  expect(await keysBelow(prefix)).toEqual(['replaced']);
  await files.delete(`${path}/replaced`);
  expect(await keysBelow(prefix)).toEqual([]);
});

test.each<[string, { readonly uri?: string; readonly options?: Record<string, string> }, number, RegExp]>([
  ['an unknown access key', { options: { 's3.access-key': 'wrong' } }, 1, /UNAUTHENTICATED: .*s3\.access-key/],
  ['a wrong secret', { options: { 's3.secret-key': 'wrong' } }, 1, /UNAUTHENTICATED: .*s3\.secret-key/],
  ['a bucket that is missing', { uri: 's3://missing/x' }, 1, /NOT_FOUND: .*Bucket missing does not exist/],
  [
    'an endpoint where nothing listens',
    { options: { 's3.endpoint': 'http://127.0.0.1:1' } },
    75,
    /UNAVAILABLE: .*Noth/,
  ],
  ['an endpoint that is no URL', { options: { 's3.endpoint': 'nonsense' } }, 2, /INVALID_ARGUMENT: .*s3\.endpoint/],
  ['an option that does not exist', { options: { 's3.endpont': 'x' } }, 2, /INVALID_ARGUMENT: .*s3\.endpoint/],
])('a mount with %s is refused, and nothing is mounted', async (_title, { uri, options }, code, message) => {
  const table = async (): Promise<CommandResult> => cluster.command('fs', 'mount', '--json');
  const before = await table();
  expect(before.code).toBe(0);
  const refused = await mount('/refused', uri ?? `s3://${BUCKET}/x`, options);
  expect(refused).toMatchObject({ code, out: '', err: expect.stringMatching(message) });
  expect(refused.err).not.toContain(server.secretKey);
  expect(await table()).toEqual(before);
  expect(await files.exists('/refused')).toBe(false);
});

test('the mount table tells no secret', async () => {
  await mountNew('/secretive');
  for (const flags of [[], ['--json']]) {
    const { code, out } = await cluster.command('fs', 'mount', ...flags);
    expect(code).toBe(0);
    expect(out).toContain('/secretive');
    expect(out).not.toContain(server.secretKey);
  }
});
