import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { loadConfig } from '../../src/host/config/load.ts';
import { DataFolder } from '../../src/host/data-folder.ts';
import { clusterIdOf } from '../../src/master/cluster-id.ts';
import { readBinding, writeBinding } from '../../src/master/folder-binding.ts';
import { masterPlace } from '../../src/master/master-place.ts';
import { parseMemberAddresses, splitAddress } from '../../src/master/member-addresses.ts';
import { claimFolder } from '../../src/master/member-folder.ts';
import { quorumOptions, serviceOptions } from '../../src/master/options.ts';

describe('the id of a cluster', () => {
  it('is a UUID that depends on its name and its first masters, in any order', () => {
    const id = clusterIdOf('sluice', ['a', 'b', 'c']);
    expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}$/);
    expect(clusterIdOf('sluice', ['c', 'a', 'b'])).toBe(id);
    expect(clusterIdOf('other', ['a', 'b', 'c'])).not.toBe(id);
    expect(clusterIdOf('sluice', ['a', 'b'])).not.toBe(id);
  });
});

describe('a data folder', () => {
  let path: string;
  let folder: DataFolder;
  beforeEach(async () => {
    path = mkdtempSync(join(tmpdir(), 'sluice-folder-'));
    folder = await DataFolder.open(path, 'master');
  });
  afterEach(async () => {
    await folder.close();
    rmSync(path, { recursive: true });
  });

  const place = (cluster: string, name: string, peers = ['m1=h:1', 'm2=h:2']) => {
    const flags = { 'master.cluster': cluster, 'master.name': name, 'master.peers': peers.join(',') };
    const config = loadConfig([quorumOptions, serviceOptions], { flags });
    return masterPlace(config.values(quorumOptions), config.values(serviceOptions));
  };
  const birth = [{ id: 'm1@1', address: 'h:1', clientAddress: '', priority: 0 }];

  it('keeps the id of its first master, which no other folder gets', async () => {
    const first = await claimFolder(folder, place('one', 'm1'));
    expect(first).toEqual({ state: 'unborn', cluster: 'one', member: 'm1', id: expect.stringMatching(/^m1@.{12}$/) });
    expect(await claimFolder(folder, place('one', 'm1'))).toEqual(first);
    rmSync(folder.at('cluster.json'));
    expect((await claimFolder(folder, place('one', 'm1'))).id).not.toBe(first.id);
  });

  it('is refused to others, in its cluster or another one', async () => {
    const bound = { state: 'member', cluster: 'one', clusterId: 'x', member: 'm1', id: 'm1@1', birth } as const;
    await writeBinding(folder, bound);
    expect(await claimFolder(folder, place('one', 'm1', ['m1=other:1', 'm9=h:2']))).toEqual(bound);
    for (const other of [place('two', 'm1'), place('one', 'm2')])
      await expect(claimFolder(folder, other)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  });

  it('of a removed master is refused, with a way back', async () => {
    await writeBinding(folder, {
      state: 'removed',
      cluster: 'one',
      clusterId: 'x',
      member: 'm1',
      id: 'm1@1',
      birth: [],
    });
    await expect(claimFolder(folder, place('one', 'm1'))).rejects.toMatchObject({
      message: expect.stringMatching(/m1@1\) was removed from cluster x.*sluice admin quorum add m1=/),
    });
  });

  it('of the first versions has members that are known by their names', async () => {
    const clusterId = clusterIdOf('one', ['m1', 'm2']);
    writeFileSync(folder.at('cluster.json'), JSON.stringify({ clusterId, member: 'm1' }));
    await expect(claimFolder(folder, place('one', 'm1', ['m1=h:1', 'm3=h:2']))).rejects.toMatchObject({
      message: expect.stringContaining('master.peers'),
    });
    const upgraded = await claimFolder(folder, place('one', 'm1'));
    expect(upgraded).toMatchObject({ state: 'member', id: 'm1', clusterId });
    expect(upgraded).toMatchObject({
      birth: [
        { id: 'm1', address: 'h:1' },
        { id: 'm2', address: 'h:2' },
      ],
    });
    expect(await readBinding(folder)).toEqual(upgraded);
  });

  it.each(['{', '{}', '{"member":"m1","id":3}', '{"member":"m1","clusterId":"x","birth":{"members":[{}]}}'])(
    'is refused when its binding is damaged: %s',
    async (text) => {
      writeFileSync(folder.at('cluster.json'), text);
      await expect(claimFolder(folder, place('one', 'm1'))).rejects.toMatchObject({ code: 'CORRUPT' });
    },
  );
});

describe('addresses of members', () => {
  it('are read', () => {
    const read = parseMemberAddresses('k', ['m1=h:1', 'm2=[::1]:2']);
    expect([...read]).toEqual([
      ['m1', 'h:1'],
      ['m2', '[::1]:2'],
    ]);
    expect(splitAddress('[::1]:2')).toEqual({ host: '::1', port: 2 });
    expect(splitAddress('h:1')).toEqual({ host: 'h', port: 1 });
  });

  it.each([['m1'], ['m1=h'], ['=h:1'], ['m1=h:x']])('refuse %s', (entry) => {
    expect(() => parseMemberAddresses('some.key', [entry])).toThrow(/some\.key.*name=host:port/);
  });

  it('refuse a name that comes twice', () => {
    expect(() => parseMemberAddresses('some.key', ['m=h:1', 'm=h:2'])).toThrow(/twice/);
  });
});
