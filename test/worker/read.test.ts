import { once } from 'node:events';
import fs from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { contentFolder } from '../../src/cache/cache-layout.ts';
import { BlockClient } from '../../src/client/block-client.ts';
import { SluiceError } from '../../src/model/errors.ts';
import { formatBlockRequest, type ReadBlock } from '../../src/wire/block-protocol.ts';
import { fileBytes, MOUNT, openService, PAGE, type Service } from './service-fixture.ts';

const BLOCK = 64 * PAGE;

/** Puts a file into the UFS. @returns a request for a block of it. */
function fileIn(service: Service, bytes: Uint8Array, block = 0): ReadBlock {
  const version = service.ufs.put('dir/file', bytes);
  const offsetInFile = block * BLOCK;
  const blockLength = Math.min(BLOCK, bytes.length - offsetInFile);
  return { kind: 'readBlock', fileId: 7, block, version, blockLength, offsetInFile, mount: MOUNT, path: 'dir/file' };
}

function range(start: number, end: number): { headers: Record<string, string> } {
  return { headers: { range: `bytes=${start}-${end - 1}` } };
}

/** Waits until what was fetched is in the cache. */
async function cached(service: Service, pages: number): Promise<void> {
  while (service.store.usage().pageCount < pages) await new Promise((resolve) => setImmediate(resolve));
}

describe('hits and misses', () => {
  test('the second read touches no UFS', async () => {
    const service = await openService();
    const bytes = fileBytes(20 * PAGE + 123);
    const request = fileIn(service, bytes);
    const first = await service.send(request);
    expect([first.status, first.body.equals(bytes)]).toEqual([200, true]);
    expect([first.headers['x-sluice-hit-pages'], first.headers['x-sluice-miss-pages']]).toEqual(['0', '21']);
    await cached(service, 21);
    const reads = service.ufs.reads.length;
    expect(reads).toBe(3);
    const second = await service.send(request);
    expect(second.body.equals(bytes)).toBe(true);
    expect([second.headers['x-sluice-hit-pages'], second.headers['x-sluice-miss-pages']]).toEqual(['21', '0']);
    expect(service.ufs.reads.length).toBe(reads);
    expect(await service.metric('sluice_worker_ufs_reads_total')).toBe(3);
    expect(await service.metric('sluice_worker_ufs_read_bytes_total')).toBe(bytes.length);
    expect(await service.metric('sluice_worker_page_hits_total')).toBe(21);
    expect(await service.metric('sluice_worker_page_misses_total')).toBe(21);
    expect(await service.metric('sluice_worker_served_bytes_total{source="cache"}')).toBe(bytes.length);
  });

  test('all who want a page share one flight', async () => {
    const service = await openService();
    const bytes = fileBytes(6 * PAGE);
    const request = fileIn(service, bytes);
    let open: () => void = () => undefined;
    service.ufs.gate = new Promise((resolve) => {
      open = resolve;
    });
    const replies = Array.from({ length: 30 }, (_, at) => service.send(request, range(at + 1, 5 * PAGE + at + 1)));
    while (service.ufs.reads.length === 0) await new Promise((resolve) => setImmediate(resolve));
    open();
    for (const [at, reply] of (await Promise.all(replies)).entries())
      expect(reply.body.equals(bytes.subarray(at + 1, 5 * PAGE + at + 1))).toBe(true);
    expect(service.ufs.reads).toEqual([{ path: 'dir/file', offset: 0, lengthBytes: 6 * PAGE }]);
  });

  test('many reads of the UFS at a time are no reason to warn of a leak', async () => {
    const service = await openService();
    const warnings: Error[] = [];
    const hear = (warning: Error): void => void warnings.push(warning);
    process.on('warning', hear);
    let open: () => void = () => undefined;
    service.ufs.gate = new Promise((resolve) => {
      open = resolve;
    });
    const request = fileIn(service, fileBytes(10));
    const replies = Array.from({ length: 20 }, (_, fileId) => service.send({ ...request, fileId: fileId + 1 }));
    while (service.ufs.reads.length < 20) await new Promise((resolve) => setImmediate(resolve));
    open();
    for (const { status } of await Promise.all(replies)) expect(status).toBe(200);
    process.off('warning', hear);
    expect(warnings).toEqual([]);
  });

  test('sequential reads of one page fetch ever larger ranges', async () => {
    const service = await openService({ fetchBytes: 16 * PAGE });
    const bytes = fileBytes(BLOCK);
    const request = fileIn(service, bytes);
    for (let page = 0; page < 64; page += 1) {
      const reply = await service.send(request, range(page * PAGE, (page + 1) * PAGE));
      expect(reply.body.equals(bytes.subarray(page * PAGE, (page + 1) * PAGE))).toBe(true);
    }
    expect(service.ufs.reads.length).toBeLessThan(12);
    expect(await service.metric('sluice_worker_ufs_read_bytes_total')).toBe(BLOCK);
  });

  test('random reads fetch only their pages', async () => {
    const service = await openService({ fetchBytes: 16 * PAGE });
    const bytes = fileBytes(BLOCK);
    const request = fileIn(service, bytes);
    for (const page of [40, 10, 30, 20, 5]) await service.send(request, range(page * PAGE + 1, page * PAGE + 9));
    expect(service.ufs.reads.map((read) => read.lengthBytes)).toEqual([PAGE, PAGE, PAGE, PAGE, PAGE]);
  });

  test('a page that cannot be cached is served all the same', async () => {
    const service = await openService({ capacityBytes: 0 });
    const bytes = fileBytes(3 * PAGE);
    const request = fileIn(service, bytes);
    for (let time = 0; time < 2; time += 1) expect((await service.send(request)).body.equals(bytes)).toBe(true);
    expect(service.store.usage().pageCount).toBe(0);
  });

  test('any range of any block is right, however the UFS cuts its chunks', async () => {
    const service = await openService();
    const bytes = fileBytes(2 * BLOCK + 5 * PAGE + 77);
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 0, max: 2 }),
        fc.nat(),
        fc.nat(),
        fc.constantFrom(100, PAGE, 3 * PAGE, 10_000),
        fc.boolean(),
        async (block, a, b, chunkBytes, forget) => {
          const request = { ...fileIn(service, bytes, block) };
          if (forget) await service.store.drop(7);
          service.ufs.chunkBytes = chunkBytes;
          const start = a % request.blockLength;
          const end = start + 1 + (b % (request.blockLength - start));
          const reply = await service.send(request, range(start, end));
          expect(reply.status).toBe(206);
          expect(reply.headers['content-range']).toBe(`bytes ${start}-${end - 1}/${request.blockLength}`);
          expect(reply.body.equals(bytes.subarray(block * BLOCK + start, block * BLOCK + end))).toBe(true);
        },
      ),
      { numRuns: 60 },
    );
  });
});

describe('what goes wrong below', () => {
  test('another version in the UFS is STALE', async () => {
    const service = await openService();
    const request = fileIn(service, fileBytes(100));
    service.ufs.put('dir/file', fileBytes(200));
    const reply = await service.send(request);
    expect([reply.status, reply.json()['code']]).toEqual([412, 'STALE']);
  });

  test('a file that changes in the middle never gives mixed bytes', async () => {
    const service = await openService({ fetchBytes: PAGE });
    const bytes = fileBytes(4 * PAGE);
    const request = fileIn(service, bytes);
    await service.send(request, range(0, 2 * PAGE));
    await cached(service, 2);
    service.ufs.put('dir/file', Buffer.alloc(4 * PAGE, 1));
    expect((await service.send(request, range(0, 2 * PAGE))).body.equals(bytes.subarray(0, 2 * PAGE))).toBe(true);
    await expect(service.send(request)).rejects.toThrow();
    expect((await service.send(request, range(2 * PAGE, 3 * PAGE))).status).toBe(412);
  });

  test('a body that ends early is asked for again from there, once', async () => {
    const service = await openService();
    const bytes = fileBytes(4 * PAGE);
    const request = fileIn(service, bytes);
    service.ufs.cuts.push(PAGE + 10);
    expect((await service.send(request)).body.equals(bytes)).toBe(true);
    expect(service.ufs.reads.map((read) => read.offset)).toEqual([0, PAGE + 10]);
  });

  test('a body that ends early twice is UNAVAILABLE, and the next try may succeed', async () => {
    const service = await openService();
    const bytes = fileBytes(4 * PAGE);
    const request = fileIn(service, bytes);
    service.ufs.cuts.push(10, 10);
    const reply = await service.send(request);
    expect([reply.status, reply.json()['code']]).toEqual([503, 'UNAVAILABLE']);
    expect(reply.json()['message']).toMatch(/ended dir\/file at byte 20, 16364 bytes too early/);
    expect((await service.send(request)).body.equals(bytes)).toBe(true);
  });

  test.each(['NOT_FOUND', 'PERMISSION_DENIED', 'UNAVAILABLE'] as const)('%s of the UFS is passed on', async (code) => {
    const service = await openService();
    const request = fileIn(service, fileBytes(4 * PAGE));
    service.ufs.failures.push(new SluiceError(code, 'said the storage'));
    expect((await service.send(request)).json()).toMatchObject({ code, message: 'said the storage' });
    expect((await service.send(request)).status).toBe(200);
    expect(await service.metric('sluice_worker_ufs_read_errors_total')).toBe(1);
    expect(await service.metric(`sluice_worker_errors_total{code="${code}"}`)).toBe(1);
  });

  test('a damaged page is read again from the UFS', async () => {
    const service = await openService();
    const bytes = fileBytes(3 * PAGE);
    const request = fileIn(service, bytes);
    await service.send(request);
    await cached(service, 3);
    const path = join(contentFolder(service.folder, request), `0-1-${PAGE}`);
    const file = await fs.readFile(path);
    file[99] = (file[99] ?? 0) ^ 1;
    await fs.writeFile(path, file);
    expect((await service.send(request)).body.equals(bytes)).toBe(true);
    expect(service.ufs.reads.at(-1)).toEqual({ path: 'dir/file', offset: PAGE, lengthBytes: PAGE });
    expect(await service.metric('sluice_cache_pages_damaged_total')).toBe(1);
    await cached(service, 3);
    expect((await service.send(request)).headers['x-sluice-hit-pages']).toBe('3');
  });

  test('content that is only cached and damaged is not here, so that the next worker is asked', async () => {
    const service = await openService();
    await service.store.put({ fileId: 7, version: 'c:7', block: 0, page: 0 }, fileBytes(100), { protect: true });
    const request: ReadBlock = {
      kind: 'readBlock',
      fileId: 7,
      block: 0,
      version: 'c:7',
      blockLength: 100,
      offsetInFile: 0,
    };
    expect((await service.send(request)).body.equals(fileBytes(100))).toBe(true);
    await fs.truncate(join(contentFolder(service.folder, request), '0-0-100'), 50);
    expect((await service.send(request)).json()).toMatchObject({ code: 'NOT_FOUND' });
    expect((await service.send({ ...request, block: 1 })).status).toBe(404);
    expect((await service.send({ ...request, blockLength: PAGE + 1 })).status).toBe(404);
  });

  test('an unknown mount may be known soon or elsewhere', async () => {
    const service = await openService();
    const reply = await service.send({ ...fileIn(service, fileBytes(10)), mount: 77 });
    expect([reply.status, reply.json()['code']]).toEqual([503, 'UNAVAILABLE']);
  });
});

describe('clients', () => {
  test('one whose reply broke off behind cached pages hears why', async () => {
    const service = await openService();
    const bytes = fileBytes(8 * PAGE);
    const request = fileIn(service, bytes);
    await service.send(request, range(0, 3 * PAGE));
    await cached(service, 3);
    service.ufs.put('dir/file', fileBytes(9 * PAGE));
    const client = new BlockClient({ token: undefined, socketsPerWorker: 1, timeoutMs: 5000 });
    const read = client.read(`127.0.0.1:${service.port}`, request, { start: 0, end: 8 * PAGE }, Buffer.alloc(8 * PAGE));
    await expect(read).rejects.toMatchObject({ code: 'STALE' });
    client.close();
  });

  test('one that goes away disturbs nobody who shares its flight', async () => {
    const service = await openService();
    const bytes = fileBytes(4 * PAGE);
    const request = fileIn(service, bytes);
    let open: () => void = () => undefined;
    service.ufs.gate = new Promise((resolve) => {
      open = resolve;
    });
    const { target } = formatBlockRequest(request);
    const socket = connect(service.port, '127.0.0.1');
    socket.write(`GET ${target} HTTP/1.1\r\nHost: x\r\n\r\n`);
    while (service.ufs.reads.length === 0) await new Promise((resolve) => setImmediate(resolve));
    const other = service.send(request);
    socket.destroy();
    await once(socket, 'close');
    open();
    expect((await other).body.equals(bytes)).toBe(true);
    expect(service.ufs.reads.length).toBe(1);
    while (service.budgets.read.usedBytes + service.budgets.fetch.usedBytes > 0)
      await new Promise((resolve) => setImmediate(resolve));
  });

  test('a slow one holds a bounded window of pages, not the block', async () => {
    const size = 64 * 2 ** 20;
    const service = await openService({ memory: 2 ** 26, fetchBytes: 2 ** 20 });
    const bytes = Buffer.alloc(size, 5);
    const version = service.ufs.put('big', bytes);
    service.ufs.chunkBytes = 2 ** 20;
    const { target } = formatBlockRequest({
      kind: 'readBlock',
      fileId: 8,
      block: 0,
      version,
      blockLength: size,
      offsetInFile: 0,
      mount: MOUNT,
      path: 'big',
    });
    const socket = connect(service.port, '127.0.0.1');
    socket.pause();
    socket.write(`GET ${target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
    // It stalls when the buffers of the connection are full: from then on nothing more is read from the UFS.
    let seen = -1;
    for (let quiet = 0; quiet < 2000; ) {
      await new Promise((resolve) => setImmediate(resolve));
      const now = service.ufs.deliveredBytes;
      quiet = now === seen && now > 0 && service.budgets.fetch.usedBytes === 0 ? quiet + 1 : 0;
      seen = now;
      expect(service.budgets.read.usedBytes).toBeLessThanOrEqual(4 * 2 ** 20);
    }
    expect(seen).toBeLessThan(size / 2);
    let received = 0;
    socket.on('data', (part) => {
      received += part.length;
    });
    socket.resume();
    await once(socket, 'close');
    expect(received).toBeGreaterThan(size);
    expect(service.budgets.read.usedBytes).toBe(0);
  });

  test('slow ones get their bytes, though the memory of pages is used again and again meanwhile', async () => {
    // More than the buffers of a connection take, so that the worker holds pages that the kernel has not taken yet.
    const size = 16 * 2 ** 20;
    const service = await openService({ memory: 2 ** 27, fetchBytes: 2 ** 20 });
    const words = Uint32Array.from({ length: size / 4 }, (_, at) => Math.imul(at, 2654435761));
    const bytes = Buffer.from(words.buffer);
    const request = { ...fileIn(service, bytes), blockLength: size };
    await service.send(request);
    await cached(service, size / PAGE);
    const { target } = formatBlockRequest(request);
    const slow = Array.from({ length: 4 }, () => {
      const socket = connect(service.port, '127.0.0.1');
      const parts: Buffer[] = [];
      socket.pause();
      socket.write(`GET ${target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
      socket.on('data', (part) => parts.push(part));
      return { socket, parts };
    });
    let seen = -1;
    for (let quiet = 0; quiet < 1000; ) {
      await new Promise((resolve) => setImmediate(resolve));
      const now = await service.metric('sluice_cache_page_hits_total');
      quiet = now === seen && service.budgets.read.usedBytes > 0 ? quiet + 1 : 0;
      seen = now;
    }
    const ranges = Array.from({ length: 300 }, (_, at) => {
      const start = (at * 1_234_577) % (size - 40_000);
      return { start, end: start + 1 + ((at * 7919) % 40_000) };
    });
    const lane = async (own: typeof ranges): Promise<void> => {
      for (const { start, end } of own) {
        const { body } = await service.send(request, range(start, end));
        expect(body.equals(bytes.subarray(start, end))).toBe(true);
      }
    };
    await Promise.all([0, 1, 2, 3, 4, 5].map((nth) => lane(ranges.filter((_, at) => at % 6 === nth))));
    for (const { socket } of slow) socket.resume();
    await Promise.all(slow.map(({ socket }) => once(socket, 'close')));
    for (const { parts } of slow) {
      const reply = Buffer.concat(parts);
      expect(reply.subarray(reply.indexOf('\r\n\r\n') + 4).equals(bytes)).toBe(true);
    }
    expect(service.budgets.read.usedBytes).toBe(0);
  });
});

describe('requests that are wrong', () => {
  const good = '/v1/blocks/7/0?version=v&blockLength=100&offsetInFile=0&mount=3&path=dir/file';
  test.each([
    ['a bad file id', 'GET', good.replace('/7/', '/x/'), 400, 'INVALID_ARGUMENT'],
    ['a negative block', 'GET', good.replace('/7/0', '/7/-1'), 400, 'INVALID_ARGUMENT'],
    ['a huge block', 'GET', good.replace('/7/0', '/7/536870912'), 400, 'INVALID_ARGUMENT'],
    ['no version', 'GET', good.replace('version=v&', ''), 400, 'INVALID_ARGUMENT'],
    ['an empty version', 'GET', good.replace('version=v', 'version='), 400, 'INVALID_ARGUMENT'],
    ['a version twice', 'GET', `${good}&version=w`, 400, 'INVALID_ARGUMENT'],
    ['an empty block', 'GET', good.replace('blockLength=100', 'blockLength=0'), 400, 'INVALID_ARGUMENT'],
    ['a fraction', 'GET', good.replace('offsetInFile=0', 'offsetInFile=1.5'), 400, 'INVALID_ARGUMENT'],
    ['a mount without path', 'GET', good.replace('&path=dir/file', ''), 400, 'INVALID_ARGUMENT'],
    ['an unknown field', 'GET', `${good}&speed=1`, 400, 'INVALID_ARGUMENT'],
    ['bad encoding', 'GET', '/v1/blocks/%zz/0', 400, 'INVALID_ARGUMENT'],
    ['an unknown path', 'GET', '/v2/blocks/7/0', 404, 'NOT_FOUND'],
    ['an unknown method', 'PATCH', good, 501, 'UNSUPPORTED'],
  ])('%s', async (_name, method, target, status, code) => {
    const service = await openService();
    const reply = await service.raw(method, target);
    expect([reply.status, reply.json()['code']]).toEqual([status, code]);
    expect(service.ufs.reads.length).toBe(0);
  });

  test.each([
    ['bytes=100-', 416],
    ['bytes=100-200', 416],
    ['bytes=-0', 416],
    ['bytes=5-4', 400],
    ['bytes=0-1,3-4', 400],
    ['lines=0-1', 400],
    ['bytes=-', 400],
  ])('Range %s', async (header, status) => {
    const service = await openService();
    const reply = await service.send(fileIn(service, fileBytes(100)), { headers: { range: header } });
    expect([reply.status, reply.json()['code']]).toEqual([status, 'INVALID_ARGUMENT']);
  });

  test.each([
    ['bytes=90-', 90, 100],
    ['bytes=90-5000', 90, 100],
    ['bytes=-7', 93, 100],
    ['bytes=-5000', 0, 100],
    ['bytes=0-0', 0, 1],
  ])('Range %s is cut to what there is', async (header, start, end) => {
    const service = await openService();
    const reply = await service.send(fileIn(service, fileBytes(100)), { headers: { range: header } });
    expect([reply.status, reply.headers['content-range']]).toEqual([206, `bytes ${start}-${end - 1}/100`]);
    expect(reply.body.equals(fileBytes(100).subarray(start, end))).toBe(true);
  });

  test('a wrong token is refused, whatever is asked', async () => {
    const service = await openService({ token: 'secret' });
    const request = fileIn(service, fileBytes(10));
    for (const headers of [{}, { authorization: 'Bearer wrong' }, { authorization: 'secret' }]) {
      const reply = await service.send(request, { headers: headers as Record<string, string> });
      expect([reply.status, reply.json()['code']]).toEqual([401, 'UNAUTHENTICATED']);
    }
    expect((await service.send(request, { headers: { authorization: 'Bearer secret' } })).status).toBe(200);
    for (const kind of ['health', 'metrics', 'status'] as const)
      expect((await service.send({ kind })).status).toBe(401);
  });
});
