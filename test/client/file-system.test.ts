import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { SluiceError } from '../../src/model/errors.ts';
import { FakeCluster, pattern } from './fake-cluster.ts';
import { FakeWorker } from './fake-worker.ts';

const MIB = 2 ** 20;

async function collect(stream: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for await (const piece of stream) pieces.push(piece);
  return Buffer.concat(pieces);
}

function codeOf(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => 'no error',
    (thrown: unknown) => SluiceError.from(thrown).code,
  );
}

describe('what is written is read', () => {
  test.each([
    ['MUST_CACHE', '/f'],
    ['THROUGH', '/ufs/f'],
    ['CACHE_THROUGH', '/ufs/f'],
  ] as const)('%s: any length, any pieces, any range', async (writeType, path) => {
    await using cluster = await FakeCluster.start();
    const { files } = cluster;
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 0, max: 900_000 }),
        fc.array(fc.integer({ min: 1, max: 400_000 }), { maxLength: 5 }),
        fc.nat(900_000),
        fc.nat(900_000),
        async (length, cuts, offset, count) => {
          const bytes = pattern(length, length);
          const writer = await files.create(path, { writeType, overwrite: true });
          let at = 0;
          for (const cut of [...cuts, length]) {
            const reused = Buffer.from(bytes.subarray(at, at + cut));
            await writer.write(reused);
            reused.fill(0);
            at = Math.min(length, at + cut);
          }
          const status = await writer.close();
          expect(status.lengthBytes).toBe(length);
          const reader = await files.open(path);
          expect(Buffer.compare(await collect(reader.stream()), bytes)).toBe(0);
          const part = await reader.read(offset, count);
          expect(Buffer.compare(part, bytes.subarray(offset, offset + count))).toBe(0);
          const end = offset + count;
          expect(Buffer.compare(await collect(reader.stream({ start: offset, end })), part)).toBe(0);
        },
      ),
      { numRuns: 15 },
    );
  });

  test('chunks of a large block are whole pages of every worker', async () => {
    await using cluster = await FakeCluster.start(2, { blockSizeBytes: 20 * MIB });
    const bytes = pattern(25 * MIB);
    await cluster.files.writeFile('/f', bytes, { writeType: 'MUST_CACHE' });
    const writes = cluster.workers.flatMap((worker) => worker.requests).filter((r) => r.kind === 'writeBlock');
    expect(writes.map((r) => [r.block, r.offset / MIB]).sort()).toEqual([
      [0, 0],
      [0, 16],
      [0, 8],
      [1, 0],
    ]);
    expect(writes.every((r) => r.protect)).toBe(true);
    expect(Buffer.compare(await cluster.files.readFile('/f'), bytes)).toBe(0);
  });

  test('an empty file never touches a worker', async () => {
    await using cluster = await FakeCluster.start();
    await cluster.files.writeFile('/empty', '', { writeType: 'MUST_CACHE' });
    expect(await cluster.files.readFile('/empty')).toHaveLength(0);
    expect(await collect((await cluster.files.open('/empty')).stream())).toHaveLength(0);
    expect(cluster.workers.flatMap((worker) => worker.requests)).toEqual([]);
  });

  test('CACHE_THROUGH pages are where readers look, under the version of the UFS', async () => {
    await using cluster = await FakeCluster.start();
    const status = await cluster.files.writeFile('/ufs/f', pattern(MIB), { writeType: 'CACHE_THROUGH' });
    cluster.ufs.clear();
    expect(await cluster.files.readFile('/ufs/f')).toHaveLength(MIB);
    const keys = cluster.workers.flatMap((worker) => [...worker.blocks.keys()]);
    expect(keys.sort()).toEqual([0, 1, 2, 3].map((block) => `${status.id}/${block}/${status.version}`));
  });

  test.each(['THROUGH', 'CACHE_THROUGH'] as const)(
    'a small file (%s) takes two requests to a worker and two to the masters',
    async (writeType) => {
      await using cluster = await FakeCluster.start();
      await cluster.files.writeFile('/ufs/f', pattern(1000), { writeType });
      expect(cluster.workers.flatMap((worker) => worker.kinds)).toEqual(['openUpload', 'completeUpload']);
      await cluster.files.writeFile('/ufs/g', pattern(1000), { writeType });
      const asked = cluster.masters.calls.map((call) => call.name).filter((name) => name !== 'getWorkers');
      expect(asked).toEqual(['createFile', 'completeFile', 'createFile', 'completeFile']);
    },
  );

  test('THROUGH leaves nothing in the cache', async () => {
    await using cluster = await FakeCluster.start();
    await cluster.files.writeFile('/ufs/f', pattern(MIB), { writeType: 'THROUGH' });
    expect(cluster.workers.every((worker) => worker.blocks.size === 0)).toBe(true);
    expect(await cluster.files.readFile('/ufs/f')).toHaveLength(MIB);
  });
});

describe('reading when workers fail', () => {
  test('many reads of one reader at a time, and of one stream, are no leak of which Node warns', async () => {
    await using cluster = await FakeCluster.start(3, { readRangeBytes: 65_536, readAhead: 32 });
    await cluster.files.writeFile('/ufs/f', pattern(MIB * 2), { writeType: 'THROUGH' });
    const warnings: Error[] = [];
    const warned = (warning: Error): void => void warnings.push(warning);
    process.on('warning', warned);
    try {
      const reader = await cluster.files.open('/ufs/f');
      await Promise.all(Array.from({ length: 32 }, (_, at) => reader.read(at * 1000, 500)));
      expect((await collect(reader.stream())).length).toBe(MIB * 2);
      expect((await reader.read(0, MIB * 2)).length).toBe(MIB * 2);
      await new Promise((resolve) => setImmediate(resolve));
    } finally {
      process.off('warning', warned);
    }
    expect(warnings).toEqual([]);
  });

  test('persisted content comes from the next worker, and the dead one is asked no more', async () => {
    await using cluster = await FakeCluster.start();
    await cluster.files.writeFile('/ufs/f', pattern(MIB), { writeType: 'THROUGH' });
    await cluster.workers[1]!.stop();
    const before = cluster.masters.calls.length;
    expect(Buffer.compare(await cluster.files.readFile('/ufs/f'), pattern(MIB))).toBe(0);
    expect(Buffer.compare(await cluster.files.readFile('/ufs/f'), pattern(MIB))).toBe(0);
    expect(cluster.masters.calls.slice(before).filter((call) => call.name === 'getWorkers').length).toBeLessThan(3);
  });

  test('a reply that breaks off is asked again elsewhere, whole', async () => {
    await using cluster = await FakeCluster.start();
    await cluster.files.writeFile('/ufs/f', pattern(MIB), { writeType: 'THROUGH' });
    for (const worker of cluster.workers.slice(0, 2))
      worker.fault = (r) => (r.kind === 'readBlock' ? 'break' : undefined);
    expect(Buffer.compare(await cluster.files.readFile('/ufs/f'), pattern(MIB))).toBe(0);
  });

  test('cached content is found on any worker', async () => {
    await using cluster = await FakeCluster.start();
    await cluster.files.writeFile('/f', pattern(MIB), { writeType: 'MUST_CACHE' });
    const [a, b] = cluster.workers;
    for (const [key, value] of a!.blocks) b!.blocks.set(key, value);
    a!.blocks.clear();
    expect(Buffer.compare(await cluster.files.readFile('/f'), pattern(MIB))).toBe(0);
  });

  test('a worker that came after the list was fetched is asked before content is called lost', async () => {
    await using cluster = await FakeCluster.start();
    await cluster.files.writeFile('/f', pattern(1000), { writeType: 'MUST_CACHE' });
    const late = await new FakeWorker('late', cluster.ufs).start();
    cluster.workers.push(late);
    for (const worker of cluster.workers.slice(0, -1)) {
      for (const [key, value] of worker.blocks) late.blocks.set(key, value);
      worker.blocks.clear();
    }
    cluster.publish();
    expect(Buffer.compare(await cluster.files.readFile('/f'), pattern(1000))).toBe(0);
  });

  test('cached content whose worker is lost says so, and that it may come back', async () => {
    await using cluster = await FakeCluster.start();
    await cluster.files.writeFile('/f', pattern(1000), { writeType: 'MUST_CACHE' });
    const home = cluster.workers.find((worker) => worker.blocks.size > 0)!;
    await home.stop();
    cluster.publish([home]);
    await cluster.files.workers();
    await expect(cluster.files.readFile('/f')).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      message:
        'Block 0 of /f, which is only cached (MUST_CACHE), has its only copy on a worker that cannot be reached, ' +
        `one of ${home.address} (lost): start that worker`,
    });
  });

  test('cached content that every worker denies is lost', async () => {
    await using cluster = await FakeCluster.start();
    await cluster.files.writeFile('/f', pattern(1000), { writeType: 'MUST_CACHE' });
    for (const worker of cluster.workers) worker.blocks.clear();
    await expect(cluster.files.readFile('/f')).rejects.toMatchObject({
      code: 'CORRUPT',
      message: expect.stringContaining('is on none of the 3 workers: it is lost'),
    });
  });

  test('without any live worker the error says what to do', async () => {
    await using cluster = await FakeCluster.start(1);
    await cluster.files.writeFile('/ufs/f', 'x', { writeType: 'THROUGH' });
    cluster.publish(cluster.workers);
    await cluster.files.workers();
    await expect(cluster.files.readFile('/ufs/f')).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      message: 'Cannot read /ufs/f: no worker is live, start one',
    });
  });
});

describe('content that changes in the UFS', () => {
  async function changed(cluster: FakeCluster, bytes: Buffer): Promise<void> {
    cluster.ufs.set('f', { bytes, version: 'v2' });
    const { id, path } = await cluster.files.stat('/ufs/f');
    const inode = cluster.masters.store.rows('inode').find(({ row }) => row.id === id)!;
    cluster.masters.interfere = (name) => {
      if (name !== 'getStatus') return;
      const row = { ...inode.row, version: 'v2', lengthBytes: bytes.length } as typeof inode.row;
      cluster.masters.store.put('inode', inode.key, row);
    };
    expect(path).toBe('/ufs/f');
  }

  test('before a byte was handed out, the new content is read', async () => {
    await using cluster = await FakeCluster.start();
    await cluster.files.writeFile('/ufs/f', pattern(MIB), { writeType: 'THROUGH' });
    const reader = await cluster.files.open('/ufs/f');
    await changed(cluster, pattern(MIB / 2, 9));
    expect(Buffer.compare(await collect(reader.stream()), pattern(MIB / 2, 9))).toBe(0);
    expect(reader.status.version).toBe('v2');
  });

  test('later it is an error: two versions are never mixed', async () => {
    await using cluster = await FakeCluster.start();
    await cluster.files.writeFile('/ufs/f', pattern(MIB), { writeType: 'THROUGH' });
    const reader = await cluster.files.open('/ufs/f');
    await reader.read(0, 10);
    await changed(cluster, pattern(MIB, 9));
    await expect(reader.read(0, 10)).rejects.toMatchObject({
      code: 'STALE',
      message: '/ufs/f was changed in the UFS while it was read: open it again',
    });
  });

  test('a worker that insists ends the attempts', async () => {
    await using cluster = await FakeCluster.start();
    await cluster.files.writeFile('/ufs/f', pattern(10), { writeType: 'THROUGH' });
    cluster.ufs.set('f', { bytes: pattern(10), version: 'other' });
    expect(await codeOf(cluster.files.readFile('/ufs/f'))).toBe('STALE');
  });
});

test('a new version is looked for in the UFS, not in what the masters know', async () => {
  await using cluster = await FakeCluster.start();
  await cluster.files.writeFile('/ufs/f', pattern(10), { writeType: 'THROUGH' });
  cluster.ufs.set('f', { bytes: pattern(10), version: 'other' });
  cluster.masters.calls.length = 0;
  expect(await codeOf(cluster.files.readFile('/ufs/f'))).toBe('STALE');
  const asked = cluster.masters.calls.filter(({ name }) => name === 'getStatus').map(({ request }) => request);
  expect(asked).toEqual([{ path: '/ufs/f' }, { path: '/ufs/f', sync: true }]);
});

test.each(['deleted', 'deleted and made anew'])(
  'a file that was %s while it was written is not put in the UFS',
  async (what) => {
    await using cluster = await FakeCluster.start();
    const { files } = cluster;
    const writer = await files.create('/ufs/f');
    await writer.write(pattern(MIB));
    await files.delete('/ufs/f');
    if (what !== 'deleted') await files.writeFile('/ufs/f', 'new', { writeType: 'THROUGH' });
    await expect(writer.close()).rejects.toMatchObject({ code: 'NOT_FOUND' });
    expect(cluster.ufs.get('f')?.bytes.toString()).toBe(what === 'deleted' ? undefined : 'new');
    expect(cluster.count('abortUpload')).toBe(1);
    expect(await files.exists('/ufs/f')).toBe(what !== 'deleted');
  },
);

describe('writing when workers fail', () => {
  test('a block goes to the next worker when its first chunk is refused', async () => {
    await using cluster = await FakeCluster.start();
    const full = new SluiceError('EXHAUSTED', 'full');
    cluster.workers[0]!.fault = () => full;
    cluster.workers[1]!.fault = () => 'break';
    await cluster.files.writeFile('/f', pattern(MIB), { writeType: 'MUST_CACHE' });
    expect(cluster.workers[2]!.blocks.size).toBe(4);
    for (const worker of cluster.workers) worker.fault = () => undefined;
    expect(Buffer.compare(await cluster.files.readFile('/f'), pattern(MIB))).toBe(0);
  });

  test('in the middle of a block the write fails, says why, and leaves nothing', async () => {
    await using cluster = await FakeCluster.start(3, { blockSizeBytes: 64 * MIB });
    for (const worker of cluster.workers)
      worker.fault = (r) => (r.kind === 'writeBlock' && r.offset > 0 ? 'break' : undefined);
    await expect(cluster.files.writeFile('/f', pattern(17 * MIB), { writeType: 'MUST_CACHE' })).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      message: expect.stringMatching(/had the first 8388608 bytes of block 0 of \/f.*write the file again/),
    });
    expect(await cluster.files.exists('/f')).toBe(false);
    expect(cluster.workers.every((worker) => worker.blocks.size === 0)).toBe(true);
  });

  test.each(['break', 'break-after'] as const)(
    'an upload whose only worker breaks off once (%s) begins anew',
    async (how) => {
      await using cluster = await FakeCluster.start(1);
      let left = 1;
      cluster.workers[0]!.fault = (r) => (r.kind === 'openUpload' && left-- > 0 ? how : undefined);
      await cluster.files.writeFile('/ufs/f', pattern(1000), { writeType: 'CACHE_THROUGH' });
      expect(Buffer.compare(await cluster.files.readFile('/ufs/f'), pattern(1000))).toBe(0);
    },
  );

  test('an upload that no worker takes is asked of each twice, and says so once', async () => {
    await using cluster = await FakeCluster.start(2);
    for (const worker of cluster.workers) worker.fault = () => 'break';
    const written = cluster.files.writeFile('/ufs/f', pattern(1000), { writeType: 'THROUGH' });
    const { message } = await written.then(() => new Error(), SluiceError.from);
    for (const worker of cluster.workers) {
      expect(message.split(worker.address)).toHaveLength(2);
      expect(worker.kinds).toEqual(['openUpload', 'openUpload']);
    }
    expect(await cluster.files.exists('/ufs/f')).toBe(false);
  });

  test('a block whose upload was refused by the first worker of the ring is whole at the next one', async () => {
    await using cluster = await FakeCluster.start(3, { blockSizeBytes: 64 * MIB });
    const full = new SluiceError('EXHAUSTED', 'too many uploads');
    let left = 1;
    for (const worker of cluster.workers)
      worker.fault = (r) => (r.kind === 'openUpload' && left-- > 0 ? full : undefined);
    const bytes = pattern(9 * MIB);
    await cluster.files.writeFile('/ufs/f', bytes, { writeType: 'CACHE_THROUGH' });
    expect(cluster.count('writeBlock')).toBe(0);
    expect(cluster.workers.map(({ blocks }) => blocks.size).sort()).toEqual([0, 0, 1]);
  });

  test('a file of more than one chunk that is deleted while it is written does not appear', async () => {
    await using cluster = await FakeCluster.start(1, { blockSizeBytes: 64 * MIB });
    const { files } = cluster;
    let deleted: Promise<void> | undefined;
    cluster.workers[0]!.fault = (r) => {
      if (r.kind === 'openUpload') deleted ??= files.delete('/ufs/f', { keepUfs: true });
      return undefined;
    };
    expect(await codeOf(files.writeFile('/ufs/f', pattern(17 * MIB), { writeType: 'THROUGH' }))).toBe('NOT_FOUND');
    await deleted;
    expect(cluster.ufs.size).toBe(0);
  });

  test('a small file that takes long to be sent, and is deleted meanwhile, does not appear', async () => {
    await using cluster = await FakeCluster.start(1);
    const { files } = cluster;
    let deleted: Promise<void> | undefined;
    cluster.workers[0]!.fault = (r) => {
      if (r.kind !== 'openUpload') return undefined;
      deleted ??= files.delete('/ufs/f', { keepUfs: true });
      for (const begunMs = performance.now(); performance.now() - begunMs < 150; );
      return undefined;
    };
    expect(await codeOf(files.writeFile('/ufs/f', pattern(1000), { writeType: 'THROUGH' }))).toBe('NOT_FOUND');
    await deleted;
    expect(cluster.ufs.size).toBe(0);
  });

  test('an upload opens at the next worker', async () => {
    await using cluster = await FakeCluster.start();
    for (const worker of cluster.workers.slice(0, 2)) worker.fault = () => 'break';
    await cluster.files.writeFile('/ufs/f', pattern(MIB), { writeType: 'CACHE_THROUGH' });
    expect(cluster.ufs.get('f')?.bytes).toHaveLength(MIB);
  });

  test.each(['break', 'break-after'] as const)('an append whose connection breaks (%s) goes on', async (how) => {
    await using cluster = await FakeCluster.start();
    let left = 2;
    for (const worker of cluster.workers)
      worker.fault = (r) => (r.kind === 'appendUpload' && left-- > 0 ? how : undefined);
    await cluster.files.writeFile('/ufs/f', pattern(MIB), { writeType: 'THROUGH' });
    expect(Buffer.compare(cluster.ufs.get('f')!.bytes, pattern(MIB))).toBe(0);
  });

  test('a completion whose answer is lost is asked again', async () => {
    await using cluster = await FakeCluster.start();
    let left = 1;
    for (const worker of cluster.workers)
      worker.fault = (r) => (r.kind === 'completeUpload' && left-- > 0 ? 'break-after' : undefined);
    await cluster.files.writeFile('/ufs/f', pattern(1000), { writeType: 'THROUGH' });
    expect(await cluster.files.readFile('/ufs/f')).toHaveLength(1000);
  });

  test('a cache that fails does not fail the write', async () => {
    await using cluster = await FakeCluster.start();
    for (const worker of cluster.workers)
      worker.fault = (r) => (r.kind === 'writeBlock' || r.kind === 'adoptContent' ? 'break' : undefined);
    await cluster.files.writeFile('/ufs/f', pattern(MIB), { writeType: 'CACHE_THROUGH' });
    expect(Buffer.compare(await cluster.files.readFile('/ufs/f'), pattern(MIB))).toBe(0);
  });

  test('a UFS that refuses aborts the write, and every later call says the same', async () => {
    await using cluster = await FakeCluster.start();
    const denied = new SluiceError('PERMISSION_DENIED', 'the bucket says no');
    for (const worker of cluster.workers) worker.fault = (r) => (r.kind === 'completeUpload' ? denied : undefined);
    const writer = await cluster.files.create('/ufs/f', { writeType: 'CACHE_THROUGH' });
    await writer.write(pattern(MIB));
    expect(await codeOf(writer.close())).toBe('PERMISSION_DENIED');
    expect(await codeOf(writer.close())).toBe('PERMISSION_DENIED');
    expect(await codeOf(writer.write(pattern(1)))).toBe('PERMISSION_DENIED');
    expect(await cluster.files.exists('/ufs/f')).toBe(false);
    expect(cluster.ufs.size).toBe(0);
    expect(cluster.workers.every((worker) => worker.blocks.size === 0 && worker.uploads.size === 0)).toBe(true);
  });

  test('an aborted write removes the incomplete file, and only here', async () => {
    await using cluster = await FakeCluster.start();
    const writer = await cluster.files.create('/ufs/f', { writeType: 'THROUGH' });
    await writer.write(pattern(MIB));
    await writer.abort();
    await writer.abort();
    expect(await codeOf(writer.close())).toBe('CANCELLED');
    const removal = cluster.masters.calls.find((call) => call.name === 'delete');
    expect(removal?.request).toMatchObject({ path: '/ufs/f', keepUfs: true, recursive: false });
    expect(await cluster.files.exists('/ufs/f')).toBe(false);
  });

  test('a source that fails aborts the file', async () => {
    await using cluster = await FakeCluster.start();
    async function* source(): AsyncGenerator<Uint8Array> {
      yield pattern(1000);
      throw new Error('the source broke');
    }
    await expect(cluster.files.writeFile('/f', source(), { writeType: 'MUST_CACHE' })).rejects.toThrow('source broke');
    expect(await cluster.files.exists('/f')).toBe(false);
  });
});

describe('metadata', () => {
  test('opening', async () => {
    await using cluster = await FakeCluster.start();
    const { files } = cluster;
    await files.mkdir('/d');
    await files.create('/incomplete', { writeType: 'MUST_CACHE' });
    expect(await codeOf(files.open('/d'))).toBe('IS_A_DIRECTORY');
    expect(await codeOf(files.open('/missing'))).toBe('NOT_FOUND');
    expect(await codeOf(files.open('/incomplete'))).toBe('INCOMPLETE');
  });

  test('lists page by page', async () => {
    await using cluster = await FakeCluster.start();
    const { files } = cluster;
    for (let i = 0; i < 7; i++) await files.mkdir(`/d/${i}/x`, { recursive: true });
    const paths: string[] = [];
    for await (const { path } of files.list('/d', { pageSize: 3 })) paths.push(path);
    expect(paths).toEqual([0, 1, 2, 3, 4, 5, 6].map((i) => `/d/${i}`));
    expect(cluster.masters.calls.filter((call) => call.name === 'listStatus')).toHaveLength(3);
    const all: string[] = [];
    for await (const { path } of files.list('/d', { recursive: true, pageSize: 4 })) all.push(path);
    expect(all).toHaveLength(14);
    expect(all.slice(0, 3)).toEqual(['/d/0', '/d/0/x', '/d/1']);
  });

  test('rename, attributes, mounts, delete', async () => {
    await using cluster = await FakeCluster.start();
    const { files } = cluster;
    await files.writeFile('/a', '', { writeType: 'MUST_CACHE' });
    await files.rename('/a', '/b');
    expect(await files.setAttributes('/b', { mode: 0o600 })).toMatchObject({ path: '/b', mode: 0o600 });
    expect((await files.mounts()).map((mount) => mount.path)).toEqual(['/ufs']);
    await files.unmount('/ufs');
    expect(await files.mounts()).toEqual([]);
    await files.delete('/b');
    expect(await files.exists('/b')).toBe(false);
    expect((await files.workers()).workers).toHaveLength(3);
  });

  test('a client that is closed gives reads up', async () => {
    await using cluster = await FakeCluster.start();
    await cluster.files.writeFile('/f', pattern(MIB), { writeType: 'MUST_CACHE' });
    const reader = await cluster.files.open('/f');
    const stream = reader.stream();
    await stream.next();
    await reader.close();
    expect(await codeOf(stream.next())).toBe('CANCELLED');
    expect(await codeOf(reader.read(0, 1))).toBe('CANCELLED');
  });
});
