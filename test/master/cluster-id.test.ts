import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DataFolder } from '../../src/host/data-folder.ts';
import { bindFolder, clusterIdOf } from '../../src/master/cluster-id.ts';
import { parseMemberAddresses, splitAddress } from '../../src/master/member-addresses.ts';

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

  it('belongs to the first cluster and master that use it', async () => {
    await bindFolder(folder, 'one', 'm1');
    await bindFolder(folder, 'one', 'm1');
    await expect(bindFolder(folder, 'two', 'm1')).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    await expect(bindFolder(folder, 'one', 'm2')).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  });

  it('is refused when its binding is damaged', async () => {
    writeFileSync(folder.at('cluster.json'), '{');
    await expect(bindFolder(folder, 'one', 'm1')).rejects.toMatchObject({ code: 'CORRUPT' });
  });
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
