import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { LevelDatabase } from '../../src/host/level-database.ts';
import type { Master } from '../../src/master/master.ts';
import type { SluiceError } from '../../src/model/errors.ts';
import { AdminChannel } from '../../src/wire/admin-channel.ts';
import { decodeRow, encodeRow } from '../../src/wire/codec/state.ts';
import type { MetadataChannel } from '../../src/wire/metadata-channel.ts';
import { Shell } from '../cli/shell.ts';
import { createFile, makeDirectory } from '../support/requests.ts';
import { common, PATIENCE, RealMasters, ready, type ThreeMasters } from './real-masters.ts';

let real: RealMasters;
beforeEach(() => {
  real = new RealMasters();
});
afterEach(() => real.close());

const SETTINGS = { 'master.digest.interval': '150ms', 'master.digest.share': '100' };

async function metric(master: Master, name: string): Promise<number> {
  const text = await (await fetch(`http://127.0.0.1:${master.statusPort}/metrics`)).text();
  return Number(new RegExp(`^${name.replaceAll(/[{}]/g, '\\$&')} (.*)$`, 'm').exec(text)?.[1] ?? Number.NaN);
}

const SAME = 'sluice_master_digest_rounds_total{outcome="same"}';
const MISMATCHES = 'sluice_master_digest_mismatches_total';

/** Makes files until it is told to stop. */
function load(asked: MetadataChannel): () => Promise<number> {
  let running = true;
  let count = 0;
  const writers = Array.from({ length: 8 }, async (_, writer) => {
    await asked.call('makeDirectory', makeDirectory(`/w${writer}`));
    for (let i = 0; running; i += 1) {
      const path = `/w${writer}/f${i}`;
      await asked.call('createFile', createFile(path, { writeType: 'MUST_CACHE', empty: true }));
      if (i % 3 === 0) await asked.call('delete', { path, recursive: false, keepUfs: false, id: 0 });
      count += 1;
    }
  });
  const all = Promise.allSettled(writers);
  return async () => {
    running = false;
    for (const result of await all) if (result.status === 'rejected') throw result.reason;
    return count;
  };
}

/** Changes one bit of what a stopped master believes: a file is readable by others. */
async function alter(name: string): Promise<void> {
  const folder = join(real.folder, name, 'state');
  const level = await LevelDatabase.openText(folder, { blockCacheBytes: 0, writeBufferBytes: 1 << 20 });
  for await (const [key, bytes] of level.range({ gte: 'i', lt: 'j' })) {
    const inode = decodeRow('inode', bytes);
    if (inode.kind !== 'file') continue;
    const batch = level.batch();
    batch.put(key, encodeRow('inode', { ...inode, mode: inode.mode ^ 0o004 }));
    await batch.write({ sync: true });
    break;
  }
  await level.close();
}

/** Damages a row of a stopped master that nobody reads otherwise. */
async function damage(name: string): Promise<void> {
  const folder = join(real.folder, name, 'state');
  const level = await LevelDatabase.openText(folder, { blockCacheBytes: 0, writeBufferBytes: 1 << 20 });
  for await (const [key, bytes] of level.range({ gte: 'p', lt: 'q', reverse: true, limit: 1 })) {
    const batch = level.batch();
    const wrong = new Uint8Array(bytes);
    wrong[wrong.length - 1] = (wrong[wrong.length - 1] ?? 0) ^ 1;
    batch.put(key, wrong);
    await batch.write({ sync: true });
  }
  await level.close();
}

const portOf = ({ addresses }: ThreeMasters, i: number) => ({ 'master.port': addresses[i]?.split(':')[1] ?? '' });

async function leaderOf({ masters }: { masters: readonly Master[] }): Promise<number> {
  const roles = await Promise.all(masters.map((master) => metric(master, 'sluice_master_raft_role_number')));
  return roles.indexOf(3);
}

async function withFiles(settings: Record<string, string>): Promise<ThreeMasters & { leader: number }> {
  const three = await real.startThree(settings);
  const asked = real.channel(three.addresses);
  for (const path of ['/a', '/b', '/c'])
    await asked.call('createFile', createFile(path, { writeType: 'MUST_CACHE', empty: true }));
  return { ...three, leader: await leaderOf(three) };
}

test('healthy masters under load never differ, nor after one was restarted', async () => {
  const three = await real.startThree(SETTINGS);
  const { masters, names, addresses } = three;
  const end = load(real.channel(addresses));
  const agreed = async (rounds: number) => {
    await vi.waitFor(async () => {
      const counts = await Promise.all(masters.map((master) => metric(master, SAME)));
      expect(counts.reduce((sum, count) => sum + count, 0)).toBeGreaterThanOrEqual(rounds);
    }, PATIENCE);
  };
  await agreed(3);
  const away = ((await leaderOf(three)) + 1) % 3;
  await masters[away]?.close();
  const back = await real.start(names[away] ?? '', { ...three.settings, ...portOf(three, away) });
  await ready(back);
  const others = masters.filter((_, i) => i !== away);
  const before = (await Promise.all(others.map((master) => metric(master, SAME)))).reduce((sum, n) => sum + n, 0);
  await vi.waitFor(async () => {
    const counts = await Promise.all([...others, back].map((master) => metric(master, SAME)));
    expect(counts.reduce((sum, count) => sum + count, 0)).toBeGreaterThanOrEqual(before + 3);
  }, PATIENCE);
  expect(await end()).toBeGreaterThan(20);
  for (const master of [...others, back]) expect(await metric(master, MISMATCHES)).toBe(0);
});

test('a standby whose state was altered is found, stops, and does not start with it again', async () => {
  const three = await withFiles(SETTINGS);
  const { masters, names, addresses, leader } = three;
  const bad = (leader + 1) % 3;
  const name = names[bad] ?? '';
  await masters[bad]?.close();
  await alter(name);
  const settings = { ...three.settings, ...portOf(three, bad) };
  const stopped = new Promise<SluiceError>((resolve) => {
    real.start(name, settings, { onFatal: resolve }).catch(resolve);
  });
  expect(await stopped).toMatchObject({
    code: 'CORRUPT',
    message: expect.stringMatching(new RegExp(`^The state of master ${name} differs .* stop this master, move`)),
  });
  await real.channel(addresses).call('makeDirectory', makeDirectory('/on'));
  for (const [i, master] of masters.entries()) if (i !== bad) expect(await metric(master, MISMATCHES)).toBe(1);
  await real.close(name);
  await expect(real.start(name, settings)).rejects.toMatchObject({
    code: 'CORRUPT',
    message: expect.stringMatching(new RegExp(`^The state of master ${name} differs .* stop this master, move`)),
  });
});

test('operators ask for a comparison, whoever they ask first, and are told who is missing', async () => {
  const { masters, names, addresses, leader } = await withFiles({ 'master.digest.interval': 'never' });
  const admin = new AdminChannel({ masters: addresses, ...common });
  const round = await admin.compare();
  expect(round).toMatchObject({ outcome: 'same', reports: names.map((member) => ({ member })) });
  expect(new Set(round.reports.map(({ digest }) => digest?.digest)).size).toBe(1);
  expect(round.reports[0]?.digest?.rows).toBeGreaterThan(6);
  const away = (leader + 1) % 3;
  await masters[away]?.close();
  const without = await admin.compare();
  expect(without.outcome).toBe('incomplete');
  expect(without.index).toBeGreaterThan(round.index);
  expect(without.reports[away]?.digest).toBeUndefined();
  expect(without.reports[away]?.missing).toMatch(/cannot be reached/);
  const shell = Shell.alone();
  real.own(() => shell[Symbol.asyncDispose]());
  const command = ['admin', 'quorum', 'compare', '--set', `client.masters=${addresses.join(',')}`];
  const { code, out } = await shell.run(...command);
  expect(code).toBe(75);
  expect(out).toMatch(new RegExp(`^${names[leader]} +[0-9a-f]{12} +[0-9]+ *$`, 'm'));
  expect(out).toMatch(new RegExp(`^${names[away]} +- +- +.*cannot be reached`, 'm'));
  expect(out).toMatch(/^entry [0-9]+: the states that could be compared are the same$/m);
});

test('a standby that cannot read a row stops', async () => {
  const three = await withFiles(SETTINGS);
  const { masters, names, addresses, leader } = three;
  const bad = (leader + 1) % 3;
  const name = names[bad] ?? '';
  await masters[bad]?.close();
  await damage(name);
  const stopped = new Promise<SluiceError>((resolve) => {
    real.start(name, { ...three.settings, ...portOf(three, bad) }, { onFatal: resolve }).catch(resolve);
  });
  expect(await stopped).toMatchObject({
    code: 'CORRUPT',
    message: expect.stringMatching(/^Row "p\w+" of the state cannot be read: .* stop this master, move/),
  });
  await real.channel(addresses).call('makeDirectory', makeDirectory('/on'));
});

test('a leader whose state was altered finds that it is wrong, and stops', async () => {
  const three = await withFiles({ ...SETTINGS, 'master.digest.interval': 'never' });
  const { masters, names, addresses, leader } = three;
  const bad = (leader + 1) % 3;
  const name = names[bad] ?? '';
  await masters[bad]?.close();
  await alter(name);
  let stop: (error: SluiceError) => void = () => undefined;
  const stopped = new Promise<SluiceError>((resolve) => {
    stop = resolve;
  });
  const settings = { ...three.settings, ...portOf(three, bad), 'master.digest.interval': '150ms' };
  await ready(await real.start(name, settings, { onFatal: stop }));
  const admin = new AdminChannel({ masters: addresses, ...common });
  await vi.waitFor(() => admin.transfer(name), PATIENCE);
  expect(await stopped).toMatchObject({ code: 'CORRUPT' });
  await real.close(name);
  await real.channel(addresses).call('makeDirectory', makeDirectory('/on'));
  for (const [i, master] of masters.entries()) if (i !== bad) expect(await metric(master, MISMATCHES)).toBe(1);
});

test('when nobody knows who is right, nobody stops and everybody says so', async () => {
  const three = await withFiles({ ...SETTINGS, 'master.digest.interval': 'never' });
  const { masters, names, leader } = three;
  const [bad, away] = [(leader + 1) % 3, (leader + 2) % 3];
  const name = names[bad] ?? '';
  await masters[bad]?.close();
  await alter(name);
  const back = await real.start(name, { ...three.settings, ...portOf(three, bad) });
  await ready(back);
  await masters[away]?.close();
  await masters[leader]?.close();
  const led = { ...three.settings, ...portOf(three, leader), 'master.digest.interval': '150ms' };
  const first = await real.start(names[leader] ?? '', led);
  await Promise.all([ready(first), ready(back)]);
  const admin = new AdminChannel({ masters: three.addresses, ...common });
  await vi.waitFor(() => admin.transfer(names[leader]), PATIENCE);
  await vi.waitFor(async () => {
    expect(await metric(back, MISMATCHES)).toBeGreaterThan(1);
    expect(await metric(first, MISMATCHES)).toBeGreaterThan(1);
  }, PATIENCE);
  await Promise.all([ready(first), ready(back)]);
});
