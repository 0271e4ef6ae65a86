import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Metrics } from '../../src/host/metrics.ts';
import type { Master } from '../../src/master/master.ts';
import { AdminChannel } from '../../src/wire/admin-channel.ts';
import type { MetadataChannel } from '../../src/wire/metadata-channel.ts';
import { freePorts } from '../support/process-cluster.ts';
import { makeDirectory } from '../support/requests.ts';
import { common, PATIENCE, RealMasters, ready } from './real-masters.ts';

let real: RealMasters;
beforeEach(() => {
  real = new RealMasters();
});
afterEach(() => real.close());

const LONG = 'x'.repeat(150);
const make = (channel: MetadataChannel, from: number, count: number) =>
  Promise.all(
    Array.from({ length: count }, (_, i) => channel.call('makeDirectory', makeDirectory(`/${from + i}-${LONG}`))),
  );

function readMetric(text: string, name: string): number {
  const line = text.split('\n').find((each) => each.startsWith(`${name} `));
  return Number(line?.slice(name.length));
}

/** The first entry that a master's journal still has. */
async function firstIndex({ statusPort }: Master): Promise<number> {
  const response = await fetch(`http://127.0.0.1:${statusPort}/metrics`);
  return readMetric(await response.text(), 'sluice_master_journal_first_index');
}

async function countIn(channel: MetadataChannel): Promise<number> {
  let count = 0;
  for (let cursor = ''; ; ) {
    const reply = await channel.call('listStatus', { path: '/', recursive: false, cursor, limit: 0 });
    count += reply.entries.length;
    if (reply.cursor === '') return count;
    cursor = reply.cursor;
  }
}

test('an empty master that joins what has forgotten its begin gets a snapshot under load, votes, and leads', async () => {
  const small = { 'master.journal.keep-entries': '1000', 'master.journal.keep-size': '1MiB' };
  const { addresses, settings, masters } = await real.startThree(small);
  const admin = new AdminChannel({ masters: addresses, ...common });
  const channel = real.channel(addresses);
  let made = 0;
  const forgotten = async () => (await Promise.all(masters.map(firstIndex))).every((index) => index > 1);
  for (; !(await forgotten()); made += 500) await make(channel, made, 500);
  const [raft = 0, client = 0] = await freePorts(2);
  const own = {
    'master.raft.address': `127.0.0.1:${raft}`,
    'master.port': String(client),
    'master.addresses': `m4=127.0.0.1:${client}`,
  };
  const metrics = new Metrics();
  const m4 = await real.start('m4', { ...settings, ...own }, { metrics });
  let taken = false;
  const writing = (async () => {
    for (; !taken; made += 100) await make(channel, made, 100);
  })();
  const add = async () => (await admin.add({ name: 'm4', address: `127.0.0.1:${raft}` })).phase;
  await vi.waitFor(async () => expect(await add()).toBe('learning'), PATIENCE);
  await expect(admin.transfer('m4')).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  await vi.waitFor(async () => expect(await add()).toBe('done'), { ...PATIENCE, timeout: 60_000 });
  taken = true;
  await writing;
  expect(readMetric(await metrics.text(), 'sluice_master_snapshot_installs_total')).toBe(1);
  await ready(m4);
  await admin.transfer('m4');
  expect((await admin.report()).quorum).toMatchObject({ leader: 'm4' });
  expect(await countIn(real.channel([`127.0.0.1:${client}`]))).toBe(made);
}, 120_000);
