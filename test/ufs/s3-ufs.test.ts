import { createHash } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import { setImmediate as turn } from 'node:timers/promises';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createLogger } from '../../src/host/logger.ts';
import { compareKeys } from '../../src/model/path.ts';
import { openUfs } from '../../src/ufs/open-ufs.ts';
import type { Ufs } from '../../src/ufs/ufs.ts';
import { listAll, readAll, writeFile } from '../contract/ufs.ts';
import { type FakeS3, listingOf, sendError, sendListing, sendXml, startFakeS3 } from './fake-s3.ts';

const logger = createLogger('silent', {});
const MODIFIED = 'Fri, 02 Jan 2026 03:04:05 GMT';
let fake: FakeS3;
let ufs: Ufs;

beforeEach(async () => {
  fake = await startFakeS3();
  ufs = open();
});

afterEach(async () => {
  await ufs.close();
  await fake.close();
});

function open(more: Record<string, string> = {}): Ufs {
  const options = { 's3.endpoint': fake.endpoint, 's3.access-key': 'a', 's3.secret-key': 's', 's3.part-size': '5MiB' };
  return openUfs('s3://bucket', { ...options, 's3.max-attempts': '1', ...more }, logger);
}

describe('errors', () => {
  test.each([
    [404, 'NoSuchBucket', 'NOT_FOUND', /Bucket bucket does not exist/],
    [403, 'InvalidAccessKeyId', 'UNAUTHENTICATED', /s3\.access-key/],
    [403, 'SignatureDoesNotMatch', 'UNAUTHENTICATED', /s3\.secret-key/],
    [403, 'RequestTimeTooSkewed', 'UNAUTHENTICATED', /clocks/],
    [400, 'ExpiredToken', 'UNAUTHENTICATED', /s3\.session-token/],
    [403, 'AccessDenied', 'PERMISSION_DENIED', /policy of bucket bucket/],
    [403, 'QuotaExceeded', 'EXHAUSTED', /quota/],
    [301, 'PermanentRedirect', 'INVALID_ARGUMENT', /s3\.region/],
    [400, 'AuthorizationHeaderMalformed', 'INVALID_ARGUMENT', /s3\.region/],
    [400, 'SomethingNew', 'INVALID_ARGUMENT', /SomethingNew/],
    [503, 'SlowDown', 'UNAVAILABLE', /busy/],
    [500, 'InternalError', 'UNAVAILABLE', /InternalError/],
    [501, 'NotImplemented', 'UNSUPPORTED', /does not support/],
  ] as const)('%i %s', async (status, name, code, message) => {
    fake.answer = (_seen, response) => sendError(response, status, name);
    await expect(ufs.check(true)).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
    await expect(ufs.list('d')[Symbol.asyncIterator]().next()).rejects.toMatchObject({ code });
    await expect(readAll(ufs, 'f')).rejects.toMatchObject({ code });
    await expect(ufs.stat('f')).rejects.toMatchObject({ code });
  });

  test.each([200, 404])('an answer that is not of S3 is no absence, with status %i', async (status) => {
    fake.answer = (_seen, response) => response.writeHead(status).end('<html><body>It works!</body></html>');
    await expect(ufs.list('')[Symbol.asyncIterator]().next()).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    await expect(ufs.stat('f')).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    await expect(ufs.delete('f', { recursive: true })).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  });

  test('a server that goes silent', async () => {
    const impatient = open({ 's3.request-timeout': '100ms' });
    fake.answer = () => {};
    await expect(impatient.stat('f')).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    await impatient.close();
  });

  test('a failing server is asked as often as it was agreed', async () => {
    const stubborn = open({ 's3.max-attempts': '3' });
    fake.answer = (_seen, response) => sendError(response, 500, 'InternalError');
    await expect(stubborn.list('')[Symbol.asyncIterator]().next()).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    expect(fake.log).toHaveLength(3);
    await stubborn.close();
  });
});

describe('read', () => {
  function serve(headers: Record<string, string | number>, body: string, status = 206): void {
    fake.answer = (_seen, response) => {
      response.writeHead(status, { etag: '"e"', 'last-modified': MODIFIED, ...headers });
      response.end(body);
    };
  }

  test('asks for the range of the version', async () => {
    let asked: unknown;
    fake.answer = ({ headers }, response) => {
      asked = [headers['range'], headers['if-match']];
      response.writeHead(206, { etag: '"e"', 'content-range': 'bytes 2-4/9', 'content-length': 3 });
      response.end('abc');
    };
    expect((await readAll(ufs, 'f', 2, 3, 'e')).toString()).toBe('abc');
    expect(asked).toEqual(['bytes=2-4', '"e"']);
  });

  test('412 is STALE', async () => {
    fake.answer = (_seen, response) => sendError(response, 412, 'PreconditionFailed');
    await expect(readAll(ufs, 'f', 0, 1, 'old')).rejects.toMatchObject({ code: 'STALE' });
  });

  test('a server without If-Match is found out by the ETag of its answer', async () => {
    serve({ 'content-range': 'bytes 0-2/3', 'content-length': 3 }, 'abc');
    await expect(readAll(ufs, 'f', 0, 3, 'old')).rejects.toMatchObject({ code: 'STALE' });
  });

  test('a body that ends too early is UNAVAILABLE', async () => {
    fake.answer = (_seen, response) => {
      response.writeHead(206, { etag: '"e"', 'content-range': 'bytes 0-9/10', 'content-length': 10 });
      response.write('abc', () => response.destroy());
    };
    await expect(readAll(ufs, 'f', 0, 10, 'e')).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  });

  test.each([
    ['the whole for a range', { 'content-length': 10 }, 200],
    ['another range', { 'content-range': 'bytes 0-2/10', 'content-length': 3 }, 206],
    ['less than the range', { 'content-range': 'bytes 2-3/10', 'content-length': 2 }, 206],
  ])('a server that answers with %s is UNSUPPORTED', async (_title, headers, status) => {
    serve(headers, 'x'.repeat(headers['content-length']), status);
    await expect(readAll(ufs, 'f', 2, 3, 'e')).rejects.toMatchObject({ code: 'UNSUPPORTED' });
  });

  test('behind the end: empty for the same version, STALE for another', async () => {
    fake.answer = ({ method }, response) => {
      if (method === 'GET') return sendError(response, 416, 'InvalidRange');
      response.writeHead(200, { etag: '"e"', 'content-length': 3, 'last-modified': MODIFIED }).end();
    };
    expect(await readAll(ufs, 'f', 3, 10, 'e')).toHaveLength(0);
    await expect(readAll(ufs, 'f', 3, 10, 'old')).rejects.toMatchObject({ code: 'STALE' });
  });

  test('giving up ends a body that hangs', async () => {
    fake.answer = (_seen, response) => {
      response.writeHead(206, { etag: '"e"', 'content-range': 'bytes 0-9/10', 'content-length': 10 });
      response.write('abc');
    };
    const aborter = new AbortController();
    const range = { offset: 0, lengthBytes: 10, version: 'e', signal: aborter.signal };
    const chunks = ufs.read('f', range)[Symbol.asyncIterator]();
    expect((await chunks.next()).value).toHaveLength(3);
    const rest = chunks.next();
    aborter.abort();
    await expect(rest).rejects.toMatchObject({ code: 'CANCELLED' });
  });
});

describe('list', () => {
  test.each([
    ['repeats its token', { token: 'again' }],
    ['says there is more but not where', {}],
  ])('a server that %s does not end the listing normally', async (_title, next) => {
    fake.answer = (_seen, response) => sendListing(response, [{ key: 'a' }], [], next);
    await expect(listAll(ufs, '')).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    expect(fake.log.length).toBeLessThanOrEqual(2);
  });

  test('a server that sorts otherwise is refused', async () => {
    let page = 0;
    fake.answer = (_seen, response) => {
      page += 1;
      if (page === 1) sendListing(response, [{ key: 'b' }], [], { token: 't' });
      else sendListing(response, [{ key: 'a' }]);
    };
    await expect(listAll(ufs, '')).rejects.toMatchObject({ code: 'UNSUPPORTED' });
  });

  test('a directory far behind the files that sort after it is asked for', async () => {
    const files = Array.from({ length: 3500 }, (_, index) => `part-${String(index).padStart(4, '0')}`);
    fake.answer = listingOf([...files, 'part', 'part/child', 'parts'], 1000);
    const facts = await listAll(ufs, '');
    expect(facts.map(({ name }) => name)).toEqual(['part', ...files, 'parts']);
    expect(facts[0]).toMatchObject({ kind: 'directory' });
    // Four pages, and one question for `part/`.
    expect(fake.log).toHaveLength(5);
  });

  test('any keys come out as the names that they imply, in order', async () => {
    const letter = fc.constantFrom('a', 'b', '-', '.', '!', '/', '0', ' ', '\u0001', 'é', '\uffee', '😀');
    const keys = fc.uniqueArray(fc.string({ unit: letter, minLength: 1, maxLength: 6 }), { maxLength: 30 });
    await fc.assert(
      fc.asyncProperty(keys, fc.integer({ min: 1, max: 7 }), async (given, pageSize) => {
        fake.answer = listingOf(given, pageSize);
        const kinds = new Map<string, string>();
        for (const key of given) {
          const [name = '', ...rest] = key.split('/');
          if (name === '' || name === '.' || name === '..') continue;
          if (rest.length > 0) kinds.set(name, 'directory');
          else if (!kinds.has(name)) kinds.set(name, 'file');
        }
        const wanted = [...kinds].sort(([a], [b]) => compareKeys(a, b));
        const facts = await listAll(ufs, '');
        expect(facts.map(({ name, kind }) => [name, kind])).toEqual(wanted);
      }),
      { numRuns: 60 },
    );
  });
});

describe('write', () => {
  /** A server that takes one upload; `complete` answers the completion. */
  function takeUpload(complete: (response: ServerResponse) => void): { readonly parts: Map<number, Buffer> } {
    const parts = new Map<number, Buffer>();
    fake.answer = ({ method, query, body }, response) => {
      if (query.get('list-type') === '2') return sendListing(response, []);
      if (method === 'POST' && query.has('uploads')) {
        return sendXml(
          response,
          '<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>',
        );
      }
      if (method === 'POST') return complete(response);
      if (method === 'PUT') {
        parts.set(Number(query.get('partNumber')), body);
        return void response.writeHead(200, { etag: `"${md5(body).toString('hex')}"` }).end();
      }
      if (method === 'DELETE') return void response.writeHead(204).end();
      const bytes = [...parts.values()].reduce((sum, part) => sum + part.length, 0);
      const headers = { etag: `"${etagOf(parts)}"`, 'content-length': bytes, 'last-modified': MODIFIED };
      response.writeHead(200, headers).end();
    };
    return { parts };
  }

  const md5 = (bytes: Buffer): Buffer => createHash('md5').update(bytes).digest();
  const etagOf = (parts: Map<number, Buffer>): string => {
    const hash = createHash('md5');
    for (const number of [...parts.keys()].sort((a, b) => a - b)) hash.update(md5(parts.get(number)!));
    return `${hash.digest('hex')}-${parts.size}`;
  };
  const content = Buffer.alloc(12 * 2 ** 20, 'content of parts');

  test('an empty ETag after completion is looked up', async () => {
    const { parts } = takeUpload((response) =>
      sendXml(response, '<CompleteMultipartUploadResult><ETag></ETag></CompleteMultipartUploadResult>'),
    );
    const fact = await writeFile(ufs, 'f', content);
    expect(fact).toMatchObject({ version: etagOf(parts), lengthBytes: content.length });
    expect([...parts.keys()].sort()).toEqual([1, 2, 3]);
    expect(Buffer.concat([1, 2, 3].map((number) => parts.get(number)!)).equals(content)).toBe(true);
    expect([1, 2, 3].map((number) => parts.get(number)!.length / 2 ** 20)).toEqual([5, 5, 2]);
  });

  test('a completion whose answer was lost counts when the object is there', async () => {
    takeUpload((response) => sendError(response, 404, 'NoSuchUpload'));
    expect(await writeFile(ufs, 'f', content)).toMatchObject({ lengthBytes: content.length });
  });

  test('a completion that fails inside a 200 is a failure, and the upload is given back', async () => {
    takeUpload((response) => sendError(response, 200, 'InternalError'));
    await expect(writeFile(ufs, 'f', content)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    expect(fake.log.at(-1)).toBe('DELETE f?uploadId');
  });

  test('a part that fails ends the file; abort gives the upload back', async () => {
    takeUpload((response) => sendError(response, 500, 'InternalError'));
    const take = fake.answer;
    fake.answer = (seen, response) => {
      if (seen.query.get('partNumber') === '2') return sendError(response, 403, 'QuotaExceeded');
      take(seen, response);
    };
    const writer = await ufs.create('f', {});
    const failing = (async () => {
      for (;;) {
        await writer.write(Buffer.alloc(2 ** 20));
        await turn();
      }
    })();
    await expect(failing).rejects.toMatchObject({ code: 'EXHAUSTED' });
    await writer.abort();
    expect(fake.log.at(-1)).toBe('DELETE f?uploadId');
    expect(fake.log).not.toContain('POST f?uploadId');
  });

  test('a small file is one PUT of known length', async () => {
    let length: string | undefined;
    fake.answer = ({ method, query, headers, body }, response) => {
      if (query.get('list-type') === '2') return sendListing(response, []);
      if (method === 'PUT') length = headers['content-length'];
      expect(headers['transfer-encoding']).toBeUndefined();
      expect(method === 'PUT' ? body.toString() : 'hello').toBe('hello');
      response.writeHead(200, { etag: '"e"', 'content-length': method === 'HEAD' ? 5 : 0, 'last-modified': MODIFIED });
      response.end();
    };
    await writeFile(ufs, 'f', 'hello');
    expect(length).toBe('5');
    expect(fake.log.filter((line) => line.startsWith('PUT'))).toEqual(['PUT f']);
  });
});

describe('delete', () => {
  const keys = [{ key: 'd/a' }, { key: 'd/b' }, { key: 'd/c' }];

  test.each([400, 405, 501])(
    'a server that refuses batches with %i gets single deletes, and no batch again',
    async (status) => {
      fake.answer = ({ method, query }, response) => {
        if (query.get('list-type') === '2') return sendListing(response, keys);
        if (query.has('delete')) return sendError(response, status, 'MissingContentMD5');
        expect(method).toBe('DELETE');
        response.writeHead(204).end();
      };
      await ufs.delete('d', { recursive: true });
      await ufs.delete('d', { recursive: true });
      const deletes = fake.log.filter((line) => line.includes('delete') || line.startsWith('DELETE'));
      expect(deletes.filter((line) => line.includes('?delete'))).toHaveLength(1);
      expect(deletes.filter((line) => line.startsWith('DELETE d/'))).toHaveLength(6);
    },
  );

  test('one key that could not be deleted fails the whole', async () => {
    fake.answer = ({ query }, response) => {
      if (query.get('list-type') === '2') return sendListing(response, keys);
      const error = '<Error><Key>d/b</Key><Code>AccessDenied</Code><Message>no</Message></Error>';
      sendXml(response, `<DeleteResult>${error}</DeleteResult>`);
    };
    const failure = { code: 'PERMISSION_DENIED', message: expect.stringContaining('d/b') };
    await expect(ufs.delete('d', { recursive: true })).rejects.toMatchObject(failure);
  });
});

describe('rename of a directory', () => {
  /** A small S3 in memory; `refuse` decides which requests fail. */
  function serve(objects: Map<string, string>, refuse: (line: string) => boolean): void {
    fake.answer = ({ method, key, query, headers, body }, response) => {
      const line = fake.log.at(-1) ?? '';
      if (refuse(line)) return sendError(response, 500, 'InternalError');
      if (query.get('list-type') === '2')
        return listingOf([...objects.keys()], 1000)({ method, key, query, headers, body }, response);
      if (query.has('delete')) {
        for (const [, deleted = ''] of body.toString().matchAll(/<Key>([^<]*)<\/Key>/g)) objects.delete(deleted);
        return sendXml(response, '<DeleteResult></DeleteResult>');
      }
      const source = headers['x-amz-copy-source'];
      if (typeof source === 'string') {
        objects.set(key, objects.get(decodeURIComponent(source).replace('bucket/', ''))!);
        return sendXml(response, '<CopyObjectResult><ETag>"e"</ETag></CopyObjectResult>');
      }
      if (method === 'DELETE') {
        objects.delete(key);
        return void response.writeHead(204).end();
      }
      if (!objects.has(key)) return sendError(response, 404, 'NoSuchKey');
      response.writeHead(200, { etag: '"e"', 'content-length': 1, 'last-modified': MODIFIED }).end();
    };
  }

  const tree = (): Map<string, string> => new Map(['d/a', 'd/b', 'd/s/c', 'other'].map((key) => [key, key]));

  test('deletes nothing before everything is copied', async () => {
    const objects = tree();
    serve(objects, () => false);
    await ufs.rename('d', 'e');
    expect([...objects].sort()).toEqual([
      ['e/a', 'd/a'],
      ['e/b', 'd/b'],
      ['e/s/c', 'd/s/c'],
      ['other', 'other'],
    ]);
    const firstDelete = fake.log.findIndex((line) => line.includes('delete') || line.startsWith('DELETE'));
    const lastCopy = fake.log.findLastIndex((line) => line.startsWith('PUT'));
    expect(lastCopy).toBeLessThan(firstDelete);
  });

  test('a copy that fails leaves the source whole and no copies', async () => {
    const objects = tree();
    serve(objects, (line) => line === 'PUT e/s/c');
    await expect(ufs.rename('d', 'e')).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    expect([...objects.keys()].sort()).toEqual(['d/a', 'd/b', 'd/s/c', 'other']);
  });

  test('what appears in the source while it is copied moves too', async () => {
    const objects = tree();
    serve(objects, (line) => {
      if (line === 'PUT e/a') objects.set('d/late', 'd/late');
      return false;
    });
    await ufs.rename('d', 'e');
    expect([...objects.keys()].sort()).toEqual(['e/a', 'e/b', 'e/late', 'e/s/c', 'other']);
    expect(objects.get('e/late')).toBe('d/late');
  });
});
