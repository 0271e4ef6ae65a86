import { createServer, type RequestListener, type Server, type ServerResponse } from 'node:http';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { BlockClient } from '../../src/client/block-client.ts';
import { SluiceError } from '../../src/model/errors.ts';
import { formatErrorBody } from '../../src/wire/block-errors.ts';
import type { ReadBlock } from '../../src/wire/block-protocol.ts';
import { FakeWorker } from './fake-worker.ts';

const READ = { kind: 'readBlock', fileId: 1, block: 0, version: 'v', blockLength: 100, offsetInFile: 0 } as const;
const RANGE = { start: 10, end: 20 };

let client: BlockClient;
let server: Server | undefined;

beforeEach(() => {
  client = new BlockClient({ token: 'secret', socketsPerWorker: 2, timeoutMs: 500 });
});

afterEach(async () => {
  client.close();
  server?.closeAllConnections();
  await new Promise((resolve) => (server === undefined ? resolve(undefined) : server.close(resolve)));
  server = undefined;
});

async function serve(listener: RequestListener): Promise<string> {
  server = createServer(listener);
  await new Promise<void>((resolve) => server?.listen(0, '127.0.0.1', resolve));
  return `127.0.0.1:${(server!.address() as AddressInfo).port}`;
}

function answer(response: ServerResponse, status: number, body: string): void {
  response.writeHead(status, { 'content-length': Buffer.byteLength(body) }).end(body);
}

/** Reads `range` of the block into memory of its own. */
async function read(address: string, request: ReadBlock = READ, range = RANGE, signal?: AbortSignal): Promise<Buffer> {
  const place = Buffer.alloc(range.end - range.start);
  await client.read(address, request, range, place, signal);
  return place;
}

describe('BlockClient', () => {
  test('asks for the range, shows the token, and gives exactly the bytes', async () => {
    const seen: unknown[] = [];
    const address = await serve((request, response) => {
      seen.push(request.method, request.url, request.headers.range, request.headers.authorization);
      answer(response, 206, '0123456789');
    });
    expect((await read(address)).toString()).toBe('0123456789');
    const target = '/v1/blocks/1/0?version=v&blockLength=100&offsetInFile=0';
    expect(seen).toEqual(['GET', target, 'bytes=10-19', 'Bearer secret']);
  });

  test.each([
    ['too few bytes', '01234', 'UNAVAILABLE', /5 bytes came, not 10/],
    ['too many bytes', '0123456789x', 'UNAVAILABLE', /more than 10 bytes came/],
  ])('%s are not taken for the range', async (_, body, code, message) => {
    const address = await serve((_request, response) => answer(response, 206, body));
    await expect(read(address)).rejects.toMatchObject({
      code,
      message: expect.stringMatching(message),
      details: expect.objectContaining({ unreachable: true, worker: address }),
    });
  });

  test('what was broken off is asked for, from where it broke', async () => {
    const ranges: unknown[] = [];
    const address = await serve((request, response) => {
      ranges.push(request.headers.range);
      if (request.headers.range !== 'bytes=10-19') return answer(response, 206, '56789');
      response.writeHead(206, { 'content-length': 10 });
      response.write('01234', () => response.socket?.destroySoon());
    });
    expect((await read(address)).toString()).toBe('0123456789');
    expect(ranges).toEqual(['bytes=10-19', 'bytes=15-19']);
  });

  test('why a worker broke off is heard when the rest is asked for', async () => {
    const address = await serve((request, response) => {
      if (request.headers.range !== 'bytes=10-19')
        return answer(response, 412, formatErrorBody(new SluiceError('STALE', 'it was replaced')));
      response.writeHead(206, { 'content-length': 10 });
      response.write('01234', () => response.socket?.destroySoon());
    });
    await expect(read(address)).rejects.toMatchObject({
      code: 'STALE',
      message: 'it was replaced',
    });
  });

  test('a worker that stops in the middle of a reply is given up', async () => {
    const address = await serve((_request, response) => {
      response.writeHead(206, { 'content-length': 10 });
      response.write('01234');
    });
    await expect(read(address)).rejects.toMatchObject({ details: { unreachable: true } });
  });

  test('a worker that never answers is given up', async () => {
    const address = await serve(() => undefined);
    await expect(read(address)).rejects.toMatchObject({
      code: 'TIMED_OUT',
      message: `Worker ${address} makes no progress`,
    });
  });

  test('slow progress is progress', async () => {
    const address = await serve((_request, response) => {
      response.writeHead(206, { 'content-length': 10 });
      let left = 10;
      const timer = setInterval(() => {
        response.write('x');
        left -= 1;
        if (left === 0) {
          clearInterval(timer);
          response.end();
        }
      }, 70);
    });
    expect(await read(address)).toHaveLength(10);
  });

  test('what a worker refuses has its own code, and names the worker', async () => {
    const address = await serve((_request, response) => {
      const error = new SluiceError('STALE', 'other version', { details: { version: 'w' } });
      answer(response, 412, formatErrorBody(error));
    });
    await expect(read(address)).rejects.toMatchObject({
      code: 'STALE',
      message: 'other version',
      details: { version: 'w', worker: address },
    });
  });

  test('a stranger at the address is no worker', async () => {
    const address = await serve((_request, response) => answer(response, 404, '<html>'));
    await expect(read(address)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    const open = { kind: 'openUpload', fileId: 1, mount: 1, path: 'p', blockSize: 1 } as const;
    const other = await serve((_request, response) => void response.end('{}'));
    await expect(client.openUpload(other, open)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  });

  test('the caller can give up', async () => {
    const stop = new AbortController();
    const address = await serve(() => stop.abort());
    await expect(read(address, READ, RANGE, stop.signal)).rejects.toMatchObject({ code: 'CANCELLED' });
  });

  test('connections are kept, and no more than allowed are opened', async () => {
    const worker = await new FakeWorker('w', new Map()).start();
    worker.blocks.set('1/0/v', { bytes: Buffer.alloc(100), protected: true });
    await Promise.all(Array.from({ length: 20 }, () => read(worker.address)));
    await read(worker.address);
    expect(worker.sockets).toBeLessThanOrEqual(2);
    await worker.stop();
  });

  test('a kept connection that the worker has closed is replaced without an error', async () => {
    const address = await serve((_request, response) => answer(response, 206, '0123456789'));
    for (let i = 0; i < 5; i++) {
      await read(address);
      server?.closeIdleConnections();
    }
  });

  test.each([
    ['one that is not HTTP', 'SSH-2.0-OpenSSH_9\r\n\r\n', /not HTTP/],
    ['one without length', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n', /does not say its length/],
    ['headers without end', `HTTP/1.1 200 OK\r\nX: ${'x'.repeat(20_000)}`, /no end of its headers/],
    ['bytes behind the end', 'HTTP/1.1 206 OK\r\nContent-Length: 10\r\n\r\n0123456789x', /more than 10 bytes came/],
    ['a refusal without end', 'HTTP/1.1 500 No\r\nContent-Length: 99999\r\n\r\n', /more than 65536 bytes came/],
  ])('a strange reply, %s, is refused', async (_, reply, message) => {
    const tcp = createTcpServer((socket) => {
      socket.on('error', () => undefined);
      socket.once('data', () => socket.write(reply));
    });
    await new Promise<void>((resolve) => tcp.listen(0, '127.0.0.1', resolve));
    const address = `127.0.0.1:${(tcp.address() as AddressInfo).port}`;
    await expect(read(address)).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      message: expect.stringMatching(message),
      details: { unreachable: true },
    });
    client.close();
    await new Promise((resolve) => tcp.close(resolve));
  });

  test('bytes are in their place however the reply is cut, also those of many at a time', async () => {
    const bytes = Buffer.from(Uint8Array.from({ length: 300_000 }, (_, at) => (at * 7 + (at >> 8) * 13) & 0xff));
    const sizes = [1, 7, 500, 16_384, 70_000];
    let turn = 0;
    const address = await serve((request, response) => {
      const [, start = 0, last = 0] = /(\d+)-(\d+)/.exec(String(request.headers.range))?.map(Number) ?? [];
      const body = bytes.subarray(start, last + 1);
      response.writeHead(206, { 'content-length': body.length });
      const size = sizes[turn++ % sizes.length]!;
      const part = (at: number): void => {
        if (at >= body.length) return void response.end();
        const most = at < 20 * size ? size : body.length;
        response.write(body.subarray(at, at + most), () => part(at + most));
      };
      part(0);
    });
    const ranges = Array.from({ length: 40 }, (_, at) => ({ start: at * 3_001, end: at * 3_001 + 1 + at * 4_000 }));
    await Promise.all(
      ranges.map(async (range) => {
        const got = await read(address, { ...READ, blockLength: bytes.length }, range);
        expect(got.equals(bytes.subarray(range.start, range.end))).toBe(true);
      }),
    );
  });

  test('a connection whose exchange was given up is not used again, and who waits gets another', async () => {
    const stop = new AbortController();
    let asked = 0;
    const address = await serve((_request, response) => {
      asked += 1;
      if (asked <= 2) response.writeHead(206, { 'content-length': 10 }).write('abc');
      else answer(response, 206, '0123456789');
      if (asked === 2) setImmediate(() => stop.abort());
    });
    const given = [1, 2].map(() =>
      expect(read(address, READ, RANGE, stop.signal)).rejects.toMatchObject({ code: 'CANCELLED' }),
    );
    const waiting = Array.from({ length: 4 }, () => read(address));
    const cancelled = new AbortController();
    const left = expect(read(address, READ, RANGE, cancelled.signal)).rejects.toMatchObject({ code: 'CANCELLED' });
    cancelled.abort();
    await left;
    await Promise.all(given);
    for (const bytes of await Promise.all(waiting)) expect(bytes.toString()).toBe('0123456789');
  });

  test('a token that no header can carry is refused', () => {
    expect(() => new BlockClient({ token: 'a\r\nb', socketsPerWorker: 2, timeoutMs: 500 })).toThrow(/printable ASCII/);
  });
});
