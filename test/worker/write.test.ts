import { once } from 'node:events';
import { connect } from 'node:net';
import { crc32 } from 'node:zlib';
import { describe, expect, test, vi } from 'vitest';
import { formatBlockRequest, type OpenUpload, type WriteBlock } from '../../src/wire/block-protocol.ts';
import { fileBytes, MOUNT, openService, PAGE, type Service } from './service-fixture.ts';

const BLOCK = 4 * PAGE;

function crcOf(body: Uint8Array): Record<string, string> {
  return { 'x-sluice-crc32': crc32(body).toString(16).padStart(8, '0') };
}

const write: WriteBlock = { kind: 'writeBlock', fileId: 7, block: 0, version: 'c:7', offset: 0, protect: true };

async function readBack(service: Service, blockLength: number, version = 'c:7', block = 0): Promise<Buffer | number> {
  const reply = await service.send({ kind: 'readBlock', fileId: 7, block, version, blockLength, offsetInFile: 0 });
  return reply.status === 200 ? reply.body : reply.status;
}

describe('bytes for the cache only', () => {
  test.each([true, false])('are kept as they came, with checksum: %s', async (checked) => {
    const service = await openService();
    const bytes = fileBytes(9 * PAGE + 10);
    const [first, second] = [bytes.subarray(0, 4 * PAGE), bytes.subarray(4 * PAGE)];
    for (const [offset, body] of [
      [0, first],
      [4 * PAGE, second],
    ] as const) {
      const headers = checked ? crcOf(body) : {};
      expect((await service.send({ ...write, offset }, { body, headers })).status).toBe(204);
    }
    expect(await readBack(service, bytes.length)).toEqual(bytes);
    expect(service.store.protectedFiles()).toEqual([7]);
    expect(service.budgets.write.usedBytes).toBe(0);
    expect((await service.send({ kind: 'status' })).json()).toMatchObject({ workerId: 'w-1', pageCount: 10 });
  });

  test('a body that was damaged on its way is refused before a byte of it is used', async () => {
    const service = await openService();
    const reply = await service.send(write, { body: fileBytes(PAGE), headers: crcOf(fileBytes(PAGE - 1)) });
    expect([reply.status, reply.json()['code']]).toEqual([500, 'CORRUPT']);
    expect(service.store.usage().pageCount).toBe(0);
  });

  test.each([
    ['an offset inside a page', { ...write, offset: 100 }, crcOf(fileBytes(10))],
    ['a bad checksum', write, { 'x-sluice-crc32': 'xyz' }],
  ])('%s is refused', async (_name, request, headers) => {
    const service = await openService();
    const reply = await service.send(request, { body: fileBytes(10), headers });
    expect([reply.status, reply.json()['code']]).toEqual([400, 'INVALID_ARGUMENT']);
  });

  test('a body without length is refused', async () => {
    const service = await openService();
    const reply = await service.send(write, { headers: { 'transfer-encoding': 'chunked' } });
    expect([reply.status, reply.json()['code']]).toEqual([400, 'INVALID_ARGUMENT']);
  });

  test('no room for what must not be evicted is EXHAUSTED, and the connection stays', async () => {
    const service = await openService({ capacityBytes: 40_000 });
    const body = fileBytes(20 * PAGE);
    const reply = await service.send(write, { body });
    expect([reply.status, reply.json()['code']]).toEqual([503, 'EXHAUSTED']);
    expect((await service.send({ ...write, fileId: 8, protect: false }, { body: body.subarray(0, PAGE) })).status).toBe(
      204,
    );
  });

  test('a sender that breaks off leaves whole pages only', async () => {
    const service = await openService();
    const { target } = formatBlockRequest(write);
    const socket = connect(service.port, '127.0.0.1');
    socket.write(`PUT ${target} HTTP/1.1\r\nHost: x\r\nContent-Length: ${10 * PAGE}\r\n\r\n`);
    socket.write(fileBytes(2 * PAGE + 100));
    while (service.store.usage().pageCount < 2) await new Promise((resolve) => setImmediate(resolve));
    socket.destroy();
    await once(socket, 'close');
    while (service.budgets.write.usedBytes > 0) await new Promise((resolve) => setImmediate(resolve));
    expect(service.store.usage().pageCount).toBe(2);
    expect(await readBack(service, 2 * PAGE)).toEqual(fileBytes(2 * PAGE));
  });

  test('contents are adopted and dropped', async () => {
    const service = await openService();
    await service.send(write, { body: fileBytes(PAGE) });
    await service.send({ kind: 'adoptContent', fileId: 7, from: 'c:7', to: '"e/t?a&g"', protect: false });
    expect(await readBack(service, PAGE)).toBe(404);
    expect(await readBack(service, PAGE, '"e/t?a&g"')).toEqual(fileBytes(PAGE));
    expect(service.store.protectedFiles()).toEqual([]);
    expect((await service.send({ kind: 'dropContent', fileId: 7, version: 'other' })).status).toBe(204);
    expect(service.store.usage().pageCount).toBe(1);
    expect((await service.send({ kind: 'dropContent', fileId: 7 })).status).toBe(204);
    expect(service.store.usage().pageCount).toBe(0);
  });
});

const open: OpenUpload = { kind: 'openUpload', fileId: 7, mount: MOUNT, path: 'out', blockSize: BLOCK, mode: 0o644 };

async function begin(service: Service, request = open): Promise<string> {
  return (await service.send(request)).json()['uploadId'] as string;
}

function append(uploadId: string, block: number, offset: number, cache = true) {
  return { kind: 'appendUpload', uploadId, block, offset, cache } as const;
}

describe('uploads', () => {
  test('the UFS gets the file, and the cache the pages under the version that the UFS gave', async () => {
    const service = await openService();
    const bytes = fileBytes(2 * BLOCK + PAGE + 50);
    const uploadId = await begin(service);
    for (let at = 0; at < bytes.length; at += 2 * PAGE) {
      const body = bytes.subarray(at, at + 2 * PAGE);
      const block = Math.floor(at / BLOCK);
      // Block 1 belongs to another worker's cache.
      const reply = await service.send(append(uploadId, block, at % BLOCK, block !== 1), {
        body,
        headers: crcOf(body),
      });
      expect(reply.status).toBe(204);
    }
    expect(service.ufs.files.size).toBe(0);
    const complete = { kind: 'completeUpload', uploadId, length: bytes.length } as const;
    const [reply, again] = [await service.send(complete), await service.send(complete)];
    expect(reply.json()).toMatchObject({ kind: 'file', lengthBytes: bytes.length, modifiedMs: 1234 });
    expect(again.body.equals(reply.body)).toBe(true);
    const version = reply.json()['version'] as string;
    expect(Buffer.from(service.ufs.files.get('out')?.bytes ?? []).equals(bytes)).toBe(true);
    expect(await readBack(service, BLOCK, version)).toEqual(bytes.subarray(0, BLOCK));
    expect(await readBack(service, BLOCK, version, 1)).toBe(404);
    expect(await readBack(service, PAGE + 50, version, 2)).toEqual(bytes.subarray(2 * BLOCK));
    expect(service.store.usage()).toMatchObject({ pageCount: 6, protectedBytes: 0 });
    expect(service.budgets.write.usedBytes).toBe(0);
    expect(await service.metric('sluice_worker_uploads_completed_total')).toBe(1);
    expect(await service.metric('sluice_worker_ufs_written_bytes_total')).toBe(bytes.length);
  });

  test.each([
    [true, 1],
    [false, PAGE - 1],
    [true, PAGE],
    [false, PAGE + 50],
  ])('a small file comes with its first request; checksum: %s, bytes: %s', async (checked, lengthBytes) => {
    const service = await openService();
    const bytes = fileBytes(lengthBytes);
    const request = { ...open, cache: true };
    const opened = await service.send(request, { body: bytes, headers: checked ? crcOf(bytes) : {} });
    const uploadId = opened.json()['uploadId'] as string;
    const fact = (await service.send({ kind: 'completeUpload', uploadId, length: bytes.length })).json();
    expect(Buffer.from(service.ufs.files.get('out')?.bytes ?? []).equals(bytes)).toBe(true);
    expect(await readBack(service, bytes.length, fact['version'] as string)).toEqual(bytes);
    expect(service.ufs.reads).toEqual([]);
    expect(service.store.usage().pageCount).toBe(Math.ceil(lengthBytes / PAGE));
    expect(service.budgets.write.usedBytes).toBe(0);
    expect(await service.metric('sluice_worker_received_bytes_total')).toBe(bytes.length);
  });

  test('a first request whose body cannot be taken begins nothing', async () => {
    const service = await openService();
    const damaged = await service.send(open, { body: fileBytes(PAGE), headers: crcOf(fileBytes(PAGE - 1)) });
    expect(damaged.json()).toMatchObject({ code: 'CORRUPT' });
    expect(service.ufs.writers).toBe(0);
    const long = await service.send({ ...open, cache: true }, { body: fileBytes(BLOCK + 1) });
    expect(long.json()).toMatchObject({ code: 'INVALID_ARGUMENT' });
    const chunked = await service.send(open, { headers: { 'transfer-encoding': 'chunked' } });
    expect(chunked.json()).toMatchObject({ code: 'INVALID_ARGUMENT' });
    service.ufs.failWritesAfter = 0;
    expect((await service.send(open, { body: fileBytes(PAGE) })).json()).toMatchObject({ code: 'UNAVAILABLE' });
    expect([service.ufs.writers, service.ufs.aborted, service.ufs.files.size]).toEqual([2, 2, 0]);
    expect(service.budgets.write.usedBytes).toBe(0);
    service.ufs.failWritesAfter = Number.POSITIVE_INFINITY;
    for (let time = 0; time < 4; time += 1) expect((await service.send(open)).status).toBe(200);
  });

  test('an upload whose client has gone before it heard of it is aborted', async () => {
    const service = await openService();
    let goOn: () => void = () => undefined;
    service.ufs.writeGate = new Promise((resolve) => {
      goOn = resolve;
    });
    const { target } = formatBlockRequest({ ...open, cache: true });
    const body = fileBytes(PAGE - 1);
    const socket = connect(service.port, '127.0.0.1');
    const [[name, value] = ['', '']] = Object.entries(crcOf(body));
    socket.write(`POST ${target} HTTP/1.1\r\nHost: x\r\n${name}: ${value}\r\nContent-Length: ${body.length}\r\n\r\n`);
    socket.write(body);
    await vi.waitFor(() => expect(service.ufs.writers).toBe(1));
    socket.destroy();
    await once(socket, 'close');
    // The service has noticed it by then, because it answers what came later.
    for (let time = 0; time < 3; time += 1) await service.send({ kind: 'health' });
    goOn();
    await vi.waitFor(() => expect([service.ufs.aborted, service.budgets.write.usedBytes]).toEqual([1, 0]));
  });

  test.each([PAGE - 1, PAGE + 50])('what a storage did not complete is not cached: %s bytes', async (lengthBytes) => {
    const service = await openService();
    service.ufs.failCompletion = true;
    const bytes = fileBytes(lengthBytes);
    const uploadId = (await service.send({ ...open, cache: true }, { body: bytes })).json()['uploadId'] as string;
    const reply = await service.send({ kind: 'completeUpload', uploadId, length: bytes.length });
    expect(reply.json()).toMatchObject({ code: 'UNAVAILABLE' });
    expect(service.store.usage().pageCount).toBe(0);
    expect(service.budgets.write.usedBytes).toBe(0);
  });

  test('an empty file', async () => {
    const service = await openService();
    const uploadId = await begin(service);
    const reply = await service.send({ kind: 'completeUpload', uploadId, length: 0 });
    expect(reply.json()).toMatchObject({ lengthBytes: 0 });
  });

  test('bytes out of order are refused with the position to continue at', async () => {
    const service = await openService();
    const uploadId = await begin(service);
    const body = fileBytes(PAGE);
    await service.send(append(uploadId, 0, 0), { body });
    for (const wrong of [append(uploadId, 0, 0), append(uploadId, 0, PAGE + 1), append(uploadId, 1, 0)]) {
      const reply = await service.send(wrong, { body });
      expect([reply.status, reply.json()]).toMatchObject([
        400,
        { code: 'INVALID_ARGUMENT', details: { position: PAGE } },
      ]);
    }
    const long = await service.send(append(uploadId, 0, PAGE), {
      body: fileBytes(BLOCK),
      headers: crcOf(fileBytes(BLOCK)),
    });
    expect(long.json()['message']).toMatch(/has 16384 bytes, more were sent/);
    const short = await service.send({ kind: 'completeUpload', uploadId, length: BLOCK });
    expect(short.json()).toMatchObject({ code: 'INVALID_ARGUMENT', details: { position: PAGE } });
    expect((await service.send({ kind: 'completeUpload', uploadId, length: PAGE })).status).toBe(200);
    expect((await service.send(append(uploadId, 0, PAGE), { body })).status).toBe(404);
  });

  test('a broken connection loses only what had not come: the position tells where to go on', async () => {
    const service = await openService();
    const bytes = fileBytes(BLOCK);
    const uploadId = await begin(service);
    const { target } = formatBlockRequest(append(uploadId, 0, 0));
    const socket = connect(service.port, '127.0.0.1');
    socket.write(`PUT ${target} HTTP/1.1\r\nHost: x\r\nContent-Length: ${BLOCK}\r\n\r\n`);
    socket.write(bytes.subarray(0, 5000));
    while ((await service.metric('sluice_worker_ufs_written_bytes_total')) < 5000)
      await new Promise((resolve) => setImmediate(resolve));
    socket.destroy();
    await once(socket, 'close');
    const asked = await service.send(append(uploadId, 3, 0), { body: fileBytes(1) });
    expect(asked.json()).toMatchObject({ details: { position: 5000 } });
    await service.send(append(uploadId, 0, 5000), { body: bytes.subarray(5000) });
    const fact = (await service.send({ kind: 'completeUpload', uploadId, length: BLOCK })).json();
    expect(Buffer.from(service.ufs.files.get('out')?.bytes ?? []).equals(bytes)).toBe(true);
    expect(await readBack(service, BLOCK, fact['version'] as string)).toEqual(bytes);
  });

  test('aborting leaves nothing, in the cache neither, and may be repeated', async () => {
    const service = await openService();
    const uploadId = await begin(service);
    await service.send(append(uploadId, 0, 0), { body: fileBytes(2 * PAGE + 1) });
    for (let time = 0; time < 2; time += 1)
      expect((await service.send({ kind: 'abortUpload', uploadId })).status).toBe(204);
    expect([service.ufs.files.size, service.ufs.aborted]).toEqual([0, 1]);
    expect(service.store.usage().pageCount).toBe(0);
    expect(service.budgets.write.usedBytes).toBe(0);
    expect((await service.send({ kind: 'completeUpload', uploadId, length: 0 })).status).toBe(404);
  });

  test('a storage that fails ends the upload', async () => {
    const service = await openService();
    service.ufs.failWritesAfter = PAGE;
    const uploadId = await begin(service);
    const reply = await service.send(append(uploadId, 0, 0), { body: fileBytes(3 * PAGE) });
    expect(reply.json()).toMatchObject({ code: 'UNAVAILABLE', message: 'the storage is gone' });
    expect(service.ufs.aborted).toBe(1);
    expect((await service.send({ kind: 'completeUpload', uploadId, length: PAGE })).status).toBe(404);
    expect(service.store.usage().pageCount).toBe(0);
    expect(service.budgets.write.usedBytes).toBe(0);
  });

  test('idle ones are aborted, busy ones and those in use are not', async () => {
    const service = await openService();
    const [idle, used] = [await begin(service), await begin(service)];
    await service.send(append(idle, 0, 0), { body: fileBytes(PAGE) });
    service.passTime(59_000);
    await service.send(append(used, 0, 0), { body: fileBytes(PAGE) });
    service.passTime(2_000);
    expect((await service.send(append(used, 0, PAGE), { body: fileBytes(PAGE) })).status).toBe(204);
    expect((await service.send(append(idle, 0, PAGE), { body: fileBytes(PAGE) })).status).toBe(404);
    expect(service.ufs.aborted).toBe(1);
  });

  test('too many, a read-only mount, an unknown mount', async () => {
    const service = await openService();
    expect((await service.send({ ...open, mount: 9 })).json()).toMatchObject({ code: 'READ_ONLY' });
    expect((await service.send({ ...open, mount: 10 })).json()).toMatchObject({ code: 'UNAVAILABLE' });
    expect(service.ufs.writers).toBe(0);
    const ids = [await begin(service), await begin(service), await begin(service), await begin(service)];
    expect((await service.send(open)).json()).toMatchObject({ code: 'EXHAUSTED' });
    await service.send({ kind: 'abortUpload', uploadId: ids[0] as string });
    expect((await service.send(open)).status).toBe(200);
  });

  test('a full cache does not disturb the upload', async () => {
    const service = await openService({ capacityBytes: 0 });
    const bytes = fileBytes(BLOCK);
    const uploadId = await begin(service);
    await service.send(append(uploadId, 0, 0), { body: bytes });
    expect((await service.send({ kind: 'completeUpload', uploadId, length: BLOCK })).status).toBe(200);
    expect(Buffer.from(service.ufs.files.get('out')?.bytes ?? []).equals(bytes)).toBe(true);
    expect(service.store.usage().pageCount).toBe(0);
  });
});
