import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { Master } from '../../src/master/master.ts';
import { AdminChannel } from '../../src/wire/admin-channel.ts';
import { freePorts, pause } from '../support/process-cluster.ts';
import { makeDirectory } from '../support/requests.ts';
import { TcpProxy } from '../support/tcp-proxy.ts';
import { MemoryLogger } from '../wire/cluster.ts';
import { common, PATIENCE, RealMasters, ready } from './real-masters.ts';

let real: RealMasters;
beforeEach(() => {
  real = new RealMasters();
});
afterEach(() => real.close());

interface Place {
  readonly name: string;
  readonly raft: string;
  readonly client: string;
}

async function newPlaces(names: readonly string[]): Promise<Place[]> {
  const ports = await freePorts(2 * names.length);
  return names.map((name, i) => {
    return { name, raft: `127.0.0.1:${ports[2 * i]}`, client: `127.0.0.1:${ports[2 * i + 1]}` };
  });
}

/** Starts the masters `names` with their old folders, told that all are at `places`. */
function startAt(places: readonly Place[], names: readonly string[]) {
  const settings = {
    'master.peers': places.map(({ name, raft }) => `${name}=${raft}`).join(','),
    'master.addresses': places.map(({ name, client }) => `${name}=${client}`).join(','),
  };
  const here = places.filter(({ name }) => names.includes(name));
  return Promise.all(
    here.map(({ name, client }) => real.start(name, { ...settings, 'master.port': client.split(':')[1] ?? '' })),
  );
}

/** Waits until the membership has all members there. */
function recorded(admin: AdminChannel, places: readonly Place[]): Promise<void> {
  return vi.waitFor(async () => {
    const { members } = (await admin.report()).quorum;
    const at = members.map(({ id, address, clientAddress }) => ({ name: id, raft: address, client: clientAddress }));
    expect(at).toEqual(places);
  }, PATIENCE);
}

test('all masters come back at other addresses, and clients and later starts know them', async () => {
  const { names, addresses } = await real.startThree();
  await real.channel(addresses).call('makeDirectory', makeDirectory('/before'));
  for (const name of names) await real.close(name);
  const places = await newPlaces(names);
  await Promise.all((await startAt(places, names)).map(ready));
  await recorded(new AdminChannel({ masters: places.map(({ client }) => client), ...common }), places);
  // Told of one only, a client goes on when that is gone: it has learned of the others.
  const client = real.channel([places[0]?.client ?? '']);
  await client.call('makeDirectory', makeDirectory('/after'));
  await real.close(names[0]);
  await client.call('makeDirectory', makeDirectory('/later'));
  const request = { path: '/', recursive: false, cursor: '', limit: 0 };
  const { entries } = await client.call('listStatus', request);
  expect(entries.map(({ path }) => path).sort()).toEqual(['/after', '/before', '/later']);
}, 60_000);

test('one master comes back elsewhere, and the others, who were told nothing, find it', async () => {
  const { names, addresses, settings } = await real.startThree();
  const admin = new AdminChannel({ masters: addresses, ...common });
  const peers = settings['master.peers']?.split(',') ?? [];
  const before = names.map((name, i) => ({ name, raft: peers[i]?.split('=')[1] ?? '', client: addresses[i] ?? '' }));
  const [moved] = await newPlaces(['m2']);
  if (moved === undefined) throw new Error('no place');
  await real.close('m2');
  const places = before.map((place) => (place.name === 'm2' ? moved : place));
  await Promise.all((await startAt(places, ['m2'])).map(ready));
  await recorded(admin, places);
}, 60_000);

test('a stale configuration does not bring back the member that was replaced', async () => {
  const { names, addresses, settings } = await real.startThree();
  const admin = new AdminChannel({ masters: addresses, ...common });
  await real.close('m3');
  rmSync(join(real.folder, 'm3'), { recursive: true });
  const [place] = await newPlaces(['m3']);
  const own = {
    'master.port': place?.client.split(':')[1] ?? '',
    'master.addresses': `m3=${place?.client}`,
    'master.raft.address': place?.raft ?? '',
  };
  await real.start('m3', { ...settings, ...own });
  await vi.waitFor(async () => {
    const added = await admin.add({ name: 'm3', address: place?.raft ?? '' });
    expect(added.phase).toBe('done');
  }, PATIENCE);
  // All others start again, with what they were told first: m3 where it no longer is.
  for (const name of names) await real.close(name);
  const start = (name: string) =>
    real.start(name, {
      ...settings,
      ...(name === 'm3' ? own : { 'master.port': addresses[names.indexOf(name)]?.split(':')[1] ?? '' }),
    });
  await Promise.all((await Promise.all([start('m1'), start('m3')])).map(ready));
  const { members } = (await admin.report()).quorum;
  expect(members.find(({ id }) => id === 'm3')?.address).toBe(place?.raft);
}, 60_000);

test('who is known through a proxy has not moved when the proxy breaks, although it still greets the others', async () => {
  const places = await newPlaces(['m1', 'm2', 'm3']);
  const proxy = await TcpProxy.start(places[1]?.raft ?? '');
  real.own(() => proxy.close());
  const logger = new MemoryLogger();
  const clients = places.map(({ name, client }) => `${name}=${client}`).join(',');
  const start = (name: string) => {
    const client = places.find((at) => at.name === name)?.client ?? '';
    const peers = places.map((at) => `${at.name}=${at.name === 'm2' && name !== 'm2' ? proxy.address : at.raft}`);
    const port = client.split(':')[1] ?? '';
    const settings = { 'master.peers': peers.join(), 'master.addresses': clients, 'master.port': port };
    return real.start(name, settings, { logger });
  };
  const masters = await Promise.all(places.map(({ name }) => start(name)));
  await Promise.all(masters.map(ready));
  // Then m2 has itself at the proxy, too: a change carries what the leader knows.
  const admin = new AdminChannel({ masters: places.map(({ client }) => client), ...common });
  await admin.transfer('m1');
  await admin.prefer('m1');
  await real.close('m2');
  const restarted = await start('m2');
  await ready(restarted);
  // Some looks of the lookouts before and after.
  await pause(5_000);
  proxy.cut();
  await vi.waitFor(() => expect(restarted.readiness.ready).toBe(false), PATIENCE);
  await pause(8_000);
  proxy.heal();
  await Promise.all([masters[0] as Master, restarted, masters[2] as Master].map(ready));
  const { members } = (await admin.report()).quorum;
  expect(members.find(({ id }) => id === 'm2')?.address).toBe(proxy.address);
  expect(logger.lines.map(({ message }) => message)).not.toContain('a member came back at another address');
}, 60_000);
