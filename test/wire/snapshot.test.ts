import { afterEach, expect, test } from 'vitest';
import { nodeTimers } from '../../src/host/node-timers.ts';
import { systemClock } from '../../src/host/system-clock.ts';
import { SluiceError } from '../../src/model/errors.ts';
import { decodeSnapshotRows, encodeSnapshotRows } from '../../src/wire/codec/snapshot-rows.ts';
import { GrpcServer } from '../../src/wire/grpc-server.ts';
import { SnapshotChannel } from '../../src/wire/snapshot-channel.ts';
import type { SnapshotHeader, SnapshotOrder, SnapshotReader } from '../../src/wire/snapshot-reader.ts';
import { snapshotService } from '../../src/wire/snapshot-server.ts';

const closing: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

const member = { id: 'a@1', address: 'a:1', clientAddress: 'a:2', priority: -1 };
const header: SnapshotHeader = {
  id: 'an-id',
  clusterId: 'c',
  meta: {
    position: { term: 4, index: 2 ** 40 },
    term: 5,
    membership: { voters: ['a@1'], outgoing: ['b'], learners: ['l'], members: [member] },
  },
  expectedRows: 12,
};
const rows = [
  ['iä/ö', Uint8Array.of(1, 2, 3)],
  ['p', Uint8Array.of()],
] as const;

async function serve(snapshots: () => SnapshotReader | undefined): Promise<number> {
  const services = [snapshotService(snapshots, 'cluster-1')];
  const server = await GrpcServer.start({ host: '127.0.0.1', port: 0, token: 'secret', services, timers: nodeTimers });
  closing.push(() => server.close());
  return server.port;
}

function connect(port: number, clusterId = 'cluster-1', token = 'secret'): SnapshotChannel {
  const channel = new SnapshotChannel({ address: `127.0.0.1:${port}`, clusterId, token, clock: systemClock });
  closing.push(() => channel.end());
  return channel;
}

function reader(seen: unknown[]): SnapshotReader {
  return {
    async open(order: SnapshotOrder) {
      seen.push(order);
      return header;
    },
    async read(id, after) {
      seen.push([id, after]);
      if (id !== 'an-id') throw new SluiceError('NOT_FOUND', 'it is gone');
      return { rows: encodeSnapshotRows(rows), chain: 0xfedcba98, last: true };
    },
    async close(id) {
      seen.push(id);
    },
  };
}

test('what is asked and answered arrives as it was', async () => {
  const seen: unknown[] = [];
  const channel = connect(await serve(() => reader(seen)));
  expect(await channel.open({ latest: true })).toEqual(header);
  expect(await channel.open({ resume: 'an-id' })).toEqual(header);
  const chunk = await channel.read('an-id', 'iä/a');
  expect([chunk.chain, chunk.last]).toEqual([0xfedcba98, true]);
  expect(decodeSnapshotRows(chunk.rows).map(([key, value]) => [key, [...value]])).toEqual([
    ['iä/ö', [1, 2, 3]],
    ['p', []],
  ]);
  await channel.close('an-id');
  await expect(channel.read('other', '')).rejects.toMatchObject({ code: 'NOT_FOUND', message: 'it is gone' });
  const orders = [
    { resume: '', latest: true },
    { resume: 'an-id', latest: false },
  ];
  expect(seen).toEqual([...orders, ['an-id', 'iä/a'], 'an-id', ['other', '']]);
});

test('only masters of the cluster and who has the token are served, once it has started', async () => {
  const seen: unknown[] = [];
  const port = await serve(() => reader(seen));
  await expect(connect(port, 'cluster-2').open({})).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  await expect(connect(port, 'cluster-1', 'guess').open({})).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });
  expect(await connect(port, '').open({})).toEqual(header);
  expect(seen.length).toBe(1);
  const starting = await serve(() => undefined);
  await expect(connect(starting).open({})).rejects.toMatchObject({ code: 'UNAVAILABLE' });
});

test('rows that were cut are refused wherever the cut is', () => {
  const bytes = encodeSnapshotRows(rows);
  const whole = [0, bytes.length, encodeSnapshotRows(rows.slice(0, 1)).length];
  for (let end = 0; end <= bytes.length; end += 1) {
    const decode = () => decodeSnapshotRows(bytes.subarray(0, end));
    if (whole.includes(end)) expect(decode().length).toBeLessThanOrEqual(2);
    else expect(decode).toThrow(/middle of a row/);
  }
});
