import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { Master } from '../../src/master/master.ts';
import type { SluiceError } from '../../src/model/errors.ts';
import type { AddMember } from '../../src/model/membership-change.ts';
import { AdminChannel } from '../../src/wire/admin-channel.ts';
import type { MetadataChannel } from '../../src/wire/metadata-channel.ts';
import { RegistryLink } from '../../src/wire/registry-link.ts';
import { freePorts } from '../support/process-cluster.ts';
import { makeDirectory } from '../support/requests.ts';
import { common, PATIENCE, RealMasters, ready } from './real-masters.ts';

let real: RealMasters;
beforeEach(() => {
  real = new RealMasters();
});
afterEach(() => real.close());

/** One that is not among the first, told of them; both its ports. */
async function newcomer(name: string, settings: Record<string, string>): Promise<Newcomer> {
  const [raft = 0, client = 0] = await freePorts(2);
  const ended: SluiceError[] = [];
  const own = { 'master.raft.address': `127.0.0.1:${raft}`, 'master.port': String(client) };
  const addresses = { 'master.addresses': `${name}=127.0.0.1:${client}` };
  const given = { onFatal: (error: SluiceError) => void ended.push(error) };
  const master = await real.start(name, { ...settings, ...own, ...addresses }, given);
  return { name, master, address: `127.0.0.1:${raft}`, client: `127.0.0.1:${client}`, ended };
}

interface Newcomer extends AddMember {
  readonly master: Master;
  readonly client: string;
  /** Why it stopped by itself. */
  readonly ended: readonly SluiceError[];
}

async function takeIn(admin: AdminChannel, { name, address }: AddMember): Promise<void> {
  await vi.waitFor(async () => expect((await admin.add({ name, address })).phase).toBe('done'), PATIENCE);
}

/** Makes directories, one after the other, until it is stopped. */
function writer(channel: MetadataChannel) {
  const made: string[] = [];
  let going = true;
  const run = async () => {
    while (going) {
      const path = `/d${made.length}`;
      await channel.call('makeDirectory', makeDirectory(path));
      made.push(path);
    }
  };
  const running = run();
  running.catch(() => undefined);
  return {
    made,
    /** Everything that was acknowledged. @throws what an operation failed with */
    async stop(): Promise<readonly string[]> {
      going = false;
      await running;
      return made;
    },
  };
}

async function namesIn(channel: MetadataChannel): Promise<string[]> {
  const paths: string[] = [];
  for (let cursor = ''; ; ) {
    const request = { path: '/', recursive: false, cursor, limit: 0 };
    const reply = await channel.call('listStatus', request);
    paths.push(...reply.entries.map(({ path }) => path));
    if (reply.cursor === '') return paths.sort();
    cursor = reply.cursor;
  }
}

describe('members of a cluster', () => {
  test('come and go under a writer: three become five, and three again without the first leader', async () => {
    const ended: string[] = [];
    const onFatal = ({ message }: SluiceError) => void ended.push(message);
    const { addresses, settings } = await real.startThree({}, { onFatal });
    const admin = new AdminChannel({ masters: addresses, ...common });
    const work = writer(real.channel(addresses));
    const m4 = await newcomer('m4', settings);
    const m5 = await newcomer('m5', settings);
    await takeIn(admin, m4);
    await takeIn(admin, m5);
    // Done is done.
    expect(await admin.add(m5)).toMatchObject({ phase: 'done' });
    const five = await admin.quorum();
    expect(five.members.map(({ id, vote }) => [id, vote])).toEqual(
      ['m1', 'm2', 'm3', 'm4', 'm5'].map((name) => [name, 'voter']),
    );
    expect(five.members.find(({ id }) => id === 'm4')).toMatchObject({ address: m4.address, clientAddress: m4.client });
    const { leader } = (await admin.report()).quorum;
    const stay = five.members.map(({ id }) => id).filter((id) => id !== leader);
    expect(await admin.remove({ name: leader, force: false })).toEqual(stay);
    const other = stay.find((id) => id !== 'm4') ?? '';
    await admin.remove({ name: other, force: false });
    const rest = stay.filter((id) => id !== other);
    await vi.waitFor(async () => {
      const { quorum } = await admin.report();
      expect([quorum.changing, quorum.members.map(({ id }) => id)]).toEqual([false, rest]);
    }, PATIENCE);
    const made = await work.stop();
    expect(made.length).toBeGreaterThan(10);
    expect(await namesIn(real.channel(addresses))).toEqual([...made].sort());
    for (const message of ended) expect(message).toContain('was removed from cluster');
  });

  test('a master with an empty folder takes the place of the one that it was', async () => {
    const { names, addresses, settings } = await real.startThree();
    const admin = new AdminChannel({ masters: addresses, ...common });
    const work = writer(real.channel(addresses));
    const before = (await admin.report()).quorum;
    const lost = names.find((name) => name !== before.leader) ?? '';
    const address = before.members.find(({ id }) => id === lost)?.address ?? '';
    await real.close(lost);
    rmSync(join(real.folder, lost), { recursive: true });
    const port = addresses[names.indexOf(lost)]?.split(':')[1] ?? '';
    const again = await real.start(lost, { ...settings, 'master.port': port });
    expect(again.readiness).toMatchObject({ ready: false });
    await takeIn(admin, { name: lost, address });
    const { members } = (await admin.report()).quorum;
    expect(members.map(({ id, vote }) => [id, vote])).toEqual(names.map((name) => [name, 'voter']));
    const identity = (quorum: typeof before) => quorum.members.find(({ id }) => id === lost)?.identity;
    expect(identity((await admin.report()).quorum)).not.toBe(identity(before));
    await ready(again);
    const made = await work.stop();
    expect(await namesIn(real.channel([`127.0.0.1:${port}`]))).toEqual([...made].sort());
  });

  test('one that is removed says so and ends, and its folder is refused', async () => {
    const { addresses, settings } = await real.startThree();
    const admin = new AdminChannel({ masters: addresses, ...common });
    const m4 = await newcomer('m4', settings);
    await takeIn(admin, m4);
    await admin.remove({ name: 'm4', force: false });
    await vi.waitFor(() => expect(m4.ended).toHaveLength(1), PATIENCE);
    expect(m4.ended[0]?.message).toMatch(/^Master m4 .* was removed from cluster .* sluice admin quorum add m4=/);
    await m4.master.close();
    const again = { ...settings, 'master.raft.address': m4.address };
    await expect(real.start('m4', again)).rejects.toMatchObject({ message: m4.ended[0]?.message });
  });

  test('one that was away when it was removed finds that out', async () => {
    const { names, addresses, settings } = await real.startThree();
    const admin = new AdminChannel({ masters: addresses, ...common });
    const { leader } = (await admin.report()).quorum;
    const away = names.find((name) => name !== leader) ?? '';
    await real.close(away);
    await admin.remove({ name: away, force: false });
    const ended: SluiceError[] = [];
    const port = { 'master.port': addresses[names.indexOf(away)]?.split(':')[1] ?? '' };
    await real.start(away, { ...settings, ...port }, { onFatal: (error) => void ended.push(error) });
    await vi.waitFor(() => expect(ended).toHaveLength(1), PATIENCE);
    expect(ended[0]?.message).toContain(`Master ${away} (`);
    expect(ended[0]?.message).toContain('was removed from cluster');
  });

  test('all are replaced, and a client and a worker that were told of the first only go on', async () => {
    const onFatal = () => undefined;
    const { names, addresses, settings } = await real.startThree({}, { onFatal });
    const client = real.channel(addresses);
    const work = writer(client);
    const worker = { id: 'w1', address: '127.0.0.1:1', host: 'h', capacityBytes: 5 };
    const link = { masters: addresses, worker, usage: () => ({ usedBytes: 3, pageCount: 1 }), heartbeatMs: 20 };
    const registry = new RegistryLink({ ...link, ...common }, { message: () => undefined, lost: () => undefined });
    real.own(() => registry.close());
    const first = new AdminChannel({ masters: addresses, ...common });
    const added: Newcomer[] = [];
    for (const [i, name] of names.entries()) {
      const next = await newcomer(`m${i + 4}`, settings);
      // An operator is told the new addresses; what is configured may be gone.
      const masters = [...addresses.slice(i), ...added.map((each) => each.client)];
      const admin = i === 0 ? first : new AdminChannel({ masters, ...common });
      await takeIn(admin, next);
      added.push(next);
      await admin.remove({ name, force: false });
      await real.close(name);
    }
    const masters = added.map((each) => each.client);
    const admin = new AdminChannel({ masters, ...common });
    const { leader } = (await admin.report()).quorum;
    await real.close(leader);
    const before = work.made.length;
    await vi.waitFor(() => expect(work.made.length).toBeGreaterThan(before + 5), PATIENCE);
    await vi.waitFor(
      async () => expect((await admin.report()).workers).toMatchObject([{ id: 'w1', state: 'live' }]),
      PATIENCE,
    );
    const made = await work.stop();
    expect(await namesIn(client)).toEqual([...made].sort());
  });

  test('the preferred master leads, and nobody is preferred when that is taken back', async () => {
    const { names, addresses } = await real.startThree();
    const admin = new AdminChannel({ masters: addresses, ...common });
    const { leader } = (await admin.report()).quorum;
    const preferred = names.find((name) => name !== leader) ?? '';
    const priorities = async () => {
      const { members } = (await admin.report()).quorum;
      return members.filter(({ priority }) => priority > 0).map(({ id }) => id);
    };
    await admin.prefer(preferred);
    expect(await priorities()).toEqual([preferred]);
    await vi.waitFor(async () => expect((await admin.report()).quorum.leader).toBe(preferred), PATIENCE);
    await admin.prefer(undefined);
    expect(await priorities()).toEqual([]);
  });

  test('what cannot be done is refused with a way out', async () => {
    const { names, addresses, settings } = await real.startThree();
    const admin = new AdminChannel({ masters: addresses, ...common });
    const other = new RealMasters();
    real.own(() => other.close());
    const foreign = await other.startThree({ 'master.cluster': 'foreign' });
    const at = (quorum: { members: readonly { id: string; address: string }[] }, name: string) =>
      quorum.members.find(({ id }) => id === name)?.address ?? '';
    const theirs = (await new AdminChannel({ masters: foreign.addresses, ...common }).report()).quorum;
    const ours = (await admin.report()).quorum;
    const refused = async (asked: Promise<unknown>, code: string, message: RegExp) =>
      expect(asked).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
    await refused(admin.add({ name: 'm4', address: '127.0.0.1:1' }), 'UNAVAILABLE', /No master answers at 127.0.0.1:1/);
    await refused(admin.add({ name: 'm4', address: at(ours, 'm2') }), 'INVALID_ARGUMENT', /is m2, not m4/);
    await refused(admin.add({ name: 'm1', address: at(theirs, 'm1') }), 'INVALID_ARGUMENT', /cluster named foreign/);
    await refused(admin.remove({ name: 'm9', force: false }), 'NOT_FOUND', /choose one of m1, m2, m3/);
    await refused(admin.prefer('m9'), 'NOT_FOUND', /choose one of m1, m2, m3/);
    const twin = new RealMasters();
    real.own(() => twin.close());
    const [raft = 0] = await freePorts(1);
    const peers = settings['master.peers']?.replace(/m1=[^,]*/, `m1=127.0.0.1:${raft}`) ?? '';
    await twin.start('m1', { 'master.peers': peers, 'master.port': '0' });
    await refused(admin.add({ name: 'm1', address: `127.0.0.1:${raft}` }), 'ALREADY_EXISTS', /^m1@.* votes already/);
    const down = names.find((name) => name !== ours.leader) ?? '';
    const up = names.find((name) => name !== ours.leader && name !== down) ?? '';
    await real.close(down);
    // Before the leader misses it, it would obey, and then there is nobody to lead.
    await vi.waitFor(async () => {
      const { members } = (await admin.report()).quorum;
      expect(members.find(({ id }) => id === down)?.lastContactMs).toBeGreaterThan(1000);
    }, PATIENCE);
    const least = /2 masters vote and 2 must be up, but only 1/;
    await refused(admin.remove({ name: up, force: false }), 'UNAVAILABLE', least);
  });
});
