import { randomUUID } from 'node:crypto';
import { S3 } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createLogger } from '../../src/host/logger.ts';
import { openUfs } from '../../src/ufs/open-ufs.ts';
import { parseS3Options } from '../../src/ufs/s3-options.ts';
import { S3Ufs } from '../../src/ufs/s3-ufs.ts';
import type { Ufs } from '../../src/ufs/ufs.ts';
import { listAll, readAll, ufsContract, writeFile } from '../contract/ufs.ts';
import { type S3Server, startS3Server } from './radosgw.ts';

const BUCKET = 'contract';
const logger = createLogger('silent', {});
let server: S3Server;
let raw: S3;

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
});

afterAll(async () => {
  raw?.destroy();
  await server?.stop();
});

function optionsOf(more: Record<string, string> = {}): Record<string, string> {
  return {
    's3.endpoint': server.endpoint,
    's3.access-key': server.accessKey,
    's3.secret-key': server.secretKey,
    's3.part-size': '5MiB',
    ...more,
  };
}

function open(prefix: string, more: Record<string, string> = {}): Ufs {
  return openUfs(`s3://${BUCKET}/${prefix}`, optionsOf(more), logger);
}

ufsContract('s3 at radosgw', async () => ({ ufs: open(randomUUID()), dispose: async () => {} }), {
  hierarchical: false,
  renameKeepsVersion: false,
  largestFile: 23_000_001,
});

test('a multipart upload has its ETag, although the answer to its completion had none', async () => {
  const ufs = open(randomUUID());
  const exact = await writeFile(ufs, 'one-part', Buffer.alloc(5 * 2 ** 20, 1));
  expect(exact.version).toMatch(/^[0-9a-f]{32}$/);
  const fact = await writeFile(ufs, 'three-parts', Buffer.alloc(11 * 2 ** 20, 1));
  expect(fact.version).toMatch(/^[0-9a-f]{32}-3$/);
  const writer = await ufs.create('aborted', {});
  await writer.write(Buffer.alloc(11 * 2 ** 20));
  await writer.abort();
  const uploads = await raw.listMultipartUploads({ Bucket: BUCKET });
  expect(uploads.Uploads ?? []).toEqual([]);
  await ufs.close();
});

test('a large object is copied in parts, with its metadata', async () => {
  const prefix = randomUUID();
  const limits = { wholeBytes: 6 * 2 ** 20, partBytes: 5 * 2 ** 20 };
  const ufs = new S3Ufs({ bucket: BUCKET, prefix: `${prefix}/` }, parseS3Options(optionsOf()), logger, limits);
  const body = Buffer.alloc(12 * 2 ** 20, 'sluice');
  await raw.putObject({ Bucket: BUCKET, Key: `${prefix}/d/big`, Body: body, ContentType: 'text/x-sluice' });
  await ufs.rename('d', 'e');
  expect((await readAll(ufs, 'e/big')).equals(body)).toBe(true);
  const head = await raw.headObject({ Bucket: BUCKET, Key: `${prefix}/e/big` });
  expect(head).toMatchObject({ ContentType: 'text/x-sluice', ETag: expect.stringMatching(/-3"$/) });
  expect(await ufs.stat('d')).toBeUndefined();
  await ufs.close();
});

test('keys that are no names of files are left out; objects beside directories yield', async () => {
  const prefix = randomUUID();
  const ufs = open(prefix);
  const keys = [
    'ok',
    'twice',
    'twice/child',
    'twice-',
    '//x',
    'a//b',
    './c',
    '../d',
    'ctl\u0001',
    `${'n'.repeat(256)}`,
  ];
  for (const key of keys) await raw.putObject({ Bucket: BUCKET, Key: `${prefix}/${key}`, Body: 'x' });
  const facts = await listAll(ufs, '');
  expect(facts.map(({ name, kind }) => `${kind} ${name}`)).toEqual([
    'directory a',
    'file ctl\u0001',
    'file ok',
    'directory twice',
    'file twice-',
  ]);
  expect(await ufs.stat('twice')).toMatchObject({ kind: 'directory' });
  await ufs.delete('twice', { recursive: true });
  expect(await ufs.stat('twice')).toMatchObject({ kind: 'file' });
  await ufs.rename('ctl\u0001', 'b\u0001');
  expect((await readAll(ufs, 'b\u0001')).toString()).toBe('x');
  await ufs.close();
});

test.each([
  ['a bucket that is missing', { uri: 's3://missing/x' }, 'NOT_FOUND', /Bucket missing does not exist/],
  ['an unknown access key', { 's3.access-key': 'wrong' }, 'UNAUTHENTICATED', /s3\.access-key/],
  ['a wrong secret', { 's3.secret-key': 'wrong' }, 'UNAUTHENTICATED', /s3\.secret-key/],
  ['a port where nothing listens', { 's3.endpoint': 'http://127.0.0.1:1' }, 'UNAVAILABLE', /Nothing listens/],
  ['a host that does not exist', { 's3.endpoint': 'http://no.such.host.invalid' }, 'UNAVAILABLE', /DNS/],
  ['TLS where there is none', { tls: 'yes' }, 'UNAVAILABLE', /http:\/\//],
] as const)('the check names %s', async (_title, change, code, message) => {
  const { uri = `s3://${BUCKET}/x`, tls, ...options } = change as Record<string, string>;
  const secure = tls === undefined ? {} : { 's3.endpoint': server.endpoint.replace('http:', 'https:') };
  const ufs = openUfs(uri, optionsOf({ ...options, ...secure }), logger);
  await expect(ufs.check(false)).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
  await ufs.close();
});

test('the check tells a forbidden bucket, an object and an empty prefix', async () => {
  const anonymous = openUfs(`s3://${BUCKET}`, optionsOf(), logger);
  await anonymous.check(true);
  await raw.putObject({ Bucket: BUCKET, Key: 'plain', Body: 'x' });
  await expect(open('plain').check(true)).rejects.toMatchObject({ code: 'NOT_A_DIRECTORY' });
  await expect(open('nothing-here').check(true)).rejects.toMatchObject({ code: 'NOT_FOUND' });
  await open('nothing-here').check(false);
  await raw.putBucketPolicy({ Bucket: BUCKET, Policy: denyAll() });
  try {
    await expect(open('p').check(false)).rejects.toMatchObject({ code: 'PERMISSION_DENIED' });
  } finally {
    await raw.deleteBucketPolicy({ Bucket: BUCKET });
  }
  await anonymous.close();
});

function denyAll(): string {
  const resources = [`arn:aws:s3:::${BUCKET}`, `arn:aws:s3:::${BUCKET}/*`];
  const actions = ['s3:PutObject', 's3:GetObject', 's3:ListBucket'];
  const statement = { Effect: 'Deny', Principal: '*', Action: actions, Resource: resources };
  return JSON.stringify({ Version: '2012-10-17', Statement: [statement] });
}
