import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { BlockClient } from '../../src/client/block-client.ts';
import { SluiceError } from '../../src/model/errors.ts';
import { formatErrorBody } from '../../src/wire/block-errors.ts';
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

describe('BlockClient', () => {
  test('asks for the range, shows the token, and gives exactly the bytes', async () => {
    const seen: unknown[] = [];
    const address = await serve((request, response) => {
      seen.push(request.method, request.url, request.headers.range, request.headers.authorization);
      response.writeHead(206).end('0123456789');
    });
    expect(Buffer.from(await client.read(address, READ, RANGE)).toString()).toBe('0123456789');
    const target = '/v1/blocks/1/0?version=v&blockLength=100&offsetInFile=0';
    expect(seen).toEqual(['GET', target, 'bytes=10-19', 'Bearer secret']);
  });

  test.each([
    ['too few bytes', '01234', 'UNAVAILABLE', /5 bytes came, not 10/],
    ['too many bytes', '0123456789x', 'UNAVAILABLE', /more than 10 bytes came/],
  ])('%s are not taken for the range', async (_, body, code, message) => {
    const address = await serve((_request, response) => void response.writeHead(206).end(body));
    await expect(client.read(address, READ, RANGE)).rejects.toMatchObject({
      code,
      message: expect.stringMatching(message),
      details: expect.objectContaining({ unreachable: true, worker: address }),
    });
  });

  test('what was broken off is asked for, from where it broke', async () => {
    const ranges: unknown[] = [];
    const address = await serve((request, response) => {
      ranges.push(request.headers.range);
      if (request.headers.range !== 'bytes=10-19') return void response.writeHead(206).end('56789');
      response.writeHead(206, { 'content-length': 10 });
      response.write('01234', () => response.socket?.destroySoon());
    });
    expect(Buffer.from(await client.read(address, READ, RANGE)).toString()).toBe('0123456789');
    expect(ranges).toEqual(['bytes=10-19', 'bytes=15-19']);
  });

  test('why a worker broke off is heard when the rest is asked for', async () => {
    const address = await serve((request, response) => {
      if (request.headers.range !== 'bytes=10-19')
        return void response.writeHead(412).end(formatErrorBody(new SluiceError('STALE', 'it was replaced')));
      response.writeHead(206, { 'content-length': 10 });
      response.write('01234', () => response.socket?.destroySoon());
    });
    await expect(client.read(address, READ, RANGE)).rejects.toMatchObject({
      code: 'STALE',
      message: 'it was replaced',
    });
  });

  test('a worker that stops in the middle of a reply is given up', async () => {
    const address = await serve((_request, response) => {
      response.writeHead(206, { 'content-length': 10 });
      response.write('01234');
    });
    await expect(client.read(address, READ, RANGE)).rejects.toMatchObject({ details: { unreachable: true } });
  });

  test('a worker that never answers is given up', async () => {
    const address = await serve(() => undefined);
    await expect(client.read(address, READ, RANGE)).rejects.toMatchObject({
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
    expect(await client.read(address, READ, RANGE)).toHaveLength(10);
  });

  test('what a worker refuses has its own code, and names the worker', async () => {
    const address = await serve((_request, response) => {
      const error = new SluiceError('STALE', 'other version', { details: { version: 'w' } });
      response.writeHead(412).end(formatErrorBody(error));
    });
    await expect(client.read(address, READ, RANGE)).rejects.toMatchObject({
      code: 'STALE',
      message: 'other version',
      details: { version: 'w', worker: address },
    });
  });

  test('a stranger at the address is no worker', async () => {
    const address = await serve((_request, response) => void response.writeHead(404).end('<html>'));
    await expect(client.read(address, READ, RANGE)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    const open = { kind: 'openUpload', fileId: 1, mount: 1, path: 'p', blockSize: 1 } as const;
    const other = await serve((_request, response) => void response.end('{}'));
    await expect(client.openUpload(other, open)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  });

  test('the caller can give up', async () => {
    const stop = new AbortController();
    const address = await serve(() => stop.abort());
    await expect(client.read(address, READ, RANGE, stop.signal)).rejects.toMatchObject({ code: 'CANCELLED' });
  });

  test('connections are kept, and no more than allowed are opened', async () => {
    const worker = await new FakeWorker('w', new Map()).start();
    worker.blocks.set('1/0/v', { bytes: Buffer.alloc(100), protected: true });
    await Promise.all(Array.from({ length: 20 }, () => client.read(worker.address, READ, RANGE)));
    await client.read(worker.address, READ, RANGE);
    expect(worker.sockets).toBeLessThanOrEqual(2);
    await worker.stop();
  });

  test('a kept connection that the worker has closed is replaced without an error', async () => {
    const address = await serve((_request, response) => void response.writeHead(206).end('0123456789'));
    for (let i = 0; i < 5; i++) {
      await client.read(address, READ, RANGE);
      server?.closeIdleConnections();
    }
  });
});
