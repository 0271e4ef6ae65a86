import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Logger } from '../../src/host/logger.ts';
import type { SluiceError } from '../../src/model/errors.ts';
import { AdminChannel } from '../../src/wire/admin-channel.ts';
import { RegistryLink } from '../../src/wire/registry-link.ts';
import type { LeaderMessage } from '../../src/wire/registry-messages.ts';
import { StreamLink } from '../../src/wire/stream-link.ts';
import { freePorts } from '../support/process-cluster.ts';
import { createFile, makeDirectory } from '../support/requests.ts';
import { MemoryLogger } from '../wire/cluster.ts';
import { common, PATIENCE, RealMasters, ready } from './real-masters.ts';

let real: RealMasters;

beforeEach(() => {
  real = new RealMasters();
});
afterEach(() => real.close());

/** What a master says that a session reaches. */
function clusterToldAt(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const limits = { token: undefined, connectTimeoutMs: 5_000, silenceMs: 5_000 };
    const listener = {
      linkOpened(cluster: string) {
        link.close();
        resolve(decodeURIComponent(cluster));
      },
      linkUsable: () => undefined,
      linkReplied: () => undefined,
      linkLearned: () => undefined,
      linkClosed: (_: unknown, error: SluiceError) => reject(error),
    };
    const link = new StreamLink(
      { address: `127.0.0.1:${port}`, ...limits },
      { user: 'u', groups: [] },
      common,
      listener,
    );
  });
}

describe('a master alone', () => {
  it('formats, mounts its root, serves, and finds everything again', async () => {
    const [raft = 0] = await freePorts(1);
    const root = join(real.folder, 'root');
    mkdirSync(root);
    writeFileSync(join(root, 'f'), 'text');
    const settings = {
      'master.peers': `m1=127.0.0.1:${raft}`,
      'master.port': '0',
      'master.root.ufs': `file://${root}`,
    };
    const first = await real.start('m1', settings);
    await ready(first);
    expect(await clusterToldAt(first.port)).toBe(`${first.clusterId}/0`);
    const asked = real.channel([`127.0.0.1:${first.port}`]);
    await vi.waitFor(
      async () => expect(await asked.call('getStatus', { path: '/f' })).toMatchObject({ lengthBytes: 4 }),
      PATIENCE,
    );
    await asked.call('makeDirectory', makeDirectory('/d'));
    expect(existsSync(join(root, 'd'))).toBe(true);
    const admin = new AdminChannel({ masters: [`127.0.0.1:${first.port}`], ...common });
    await expect(admin.transfer(undefined)).rejects.toMatchObject({
      message: expect.stringMatching(/^m1 is the only/),
    });
    const file = await asked.call('createFile', createFile('/d/c', { writeType: 'MUST_CACHE', empty: true }));
    const response = await fetch(`http://127.0.0.1:${first.statusPort}/readyz`);
    expect([response.status, await response.text()]).toEqual([200, 'ready\n']);
    const metrics = await (await fetch(`http://127.0.0.1:${first.statusPort}/metrics`)).text();
    expect(metrics).toContain('sluice_master_operations_total{operation="makeDirectory",code="OK"} 1');
    await first.close();

    const second = await real.start('m1', settings);
    await ready(second);
    expect(second.clusterId).toBe(first.clusterId);
    const again = real.channel([`127.0.0.1:${second.port}`]);
    expect(await again.call('getStatus', { path: '/d/c' })).toEqual(file);
    const { mounts } = await again.call('getMountTable', {});
    expect(mounts.map(({ path, id }) => [path, id])).toEqual([['/', 1]]);
  });

  it('serves Raft on the port of the clients when it is told so', async () => {
    const [port = 0] = await freePorts(1);
    const master = await real.start('m1', { 'master.peers': `m1=127.0.0.1:${port}`, 'master.port': String(port) });
    await ready(master);
    await real.channel([`127.0.0.1:${port}`]).call('makeDirectory', makeDirectory('/d'));
  });

  it('refuses a folder that is in use, or another cluster’s', async () => {
    const [raft = 0, other = 0] = await freePorts(2);
    const settings = { 'master.peers': `m1=127.0.0.1:${raft}`, 'master.port': '0' };
    const master = await real.start('m1', settings);
    const moved = { ...settings, 'master.peers': `m1=127.0.0.1:${other}` };
    await expect(real.start('m1', moved)).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      message: expect.stringContaining('in use'),
    });
    await master.close();
    await expect(real.start('m1', { ...moved, 'master.cluster': 'other' })).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
    });
    await real.start('m1', moved);
  });

  it.each([
    ['a root option without a value', { 'master.root.ufs': 'file:///x', 'master.root.options': 'k' }],
    ['an address without a port', { 'master.addresses': 'm1=h' }],
    ['a name that is not among the peers', { 'master.peers': 'm2=127.0.0.1:1' }],
  ])('refuses %s, and lets go of everything', async (_, wrong) => {
    const [raft = 0] = await freePorts(1);
    const settings = { 'master.peers': `m1=127.0.0.1:${raft}`, 'master.port': '0' };
    await expect(real.start('m1', { ...settings, ...wrong })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    await real.start('m1', settings);
  });

  it('takes a worker in', async () => {
    const [raft = 0] = await freePorts(1);
    const master = await real.start('m1', { 'master.peers': `m1=127.0.0.1:${raft}`, 'master.port': '0' });
    const masters = [`127.0.0.1:${master.port}`];
    const worker = { id: 'w1', address: '127.0.0.1:1', host: 'h', capacityBytes: 5 };
    const said: LeaderMessage[] = [];
    const usage = () => ({ usedBytes: 3, pageCount: 1 });
    const link = new RegistryLink(
      { masters, worker, usage, heartbeatMs: 20, ...common },
      { message: (message) => void said.push(message), lost: () => undefined },
    );
    real.own(() => link.close());
    await vi.waitFor(
      () => expect(said.map(({ kind }) => kind)).toEqual(expect.arrayContaining(['registered', 'workers'])),
      PATIENCE,
    );
    const admin = new AdminChannel({ masters, ...common });
    await vi.waitFor(async () => {
      const report = await admin.report();
      expect(report).toMatchObject({
        version: '1.2.3',
        inodeCount: 1,
        workers: [{ ...worker, state: 'live', usedBytes: 3 }],
      });
    }, PATIENCE);
  });
});

describe('three masters', () => {
  it('name their leader, and serve on without it', async () => {
    const { names, addresses, masters } = await real.startThree();
    const asked = real.channel(addresses);
    await asked.call('makeDirectory', makeDirectory('/before'));
    const admin = new AdminChannel({ masters: addresses, ...common });
    const { quorum } = await admin.report();
    const first = names.indexOf(quorum.leader);
    const next = names[(first + 1) % 3] ?? '';
    await expect(admin.transfer('m9')).rejects.toMatchObject({
      code: 'NOT_FOUND',
      message: expect.stringContaining('m1, m2, m3'),
    });
    expect(await admin.transfer(next)).toBe(next);
    expect((await admin.report()).quorum.leader).toBe(next);
    const leader = names.indexOf(next);
    const standby = real.channel([addresses[(leader + 1) % 3] ?? '']);
    expect((await standby.call('getStatus', { path: '/before' })).kind).toBe('directory');
    await masters[leader]?.close();
    await asked.call('makeDirectory', makeDirectory('/after'));
    await expect(admin.transfer(next)).rejects.toMatchObject({
      message: expect.stringMatching(new RegExp(`^Master ${next} (does not answer|did not take over)`)),
    });
    const { entries } = await asked.call('listStatus', { path: '/', recursive: false, cursor: '', limit: 0 });
    expect(entries.map(({ path }) => path)).toEqual(['/after', '/before']);
  });

  it.each([
    ['has one port for all', (raft: number) => raft],
    ['has a port of its own for clients', () => 0],
  ])('hand leadership over when the leader, which %s, closes', async (_, portFor) => {
    const ports = await freePorts(3);
    const names = ['m1', 'm2', 'm3'];
    const peers = names.map((name, i) => `${name}=127.0.0.1:${ports[i]}`).join(',');
    const loggers = names.map(() => new MemoryLogger());
    const masters = await Promise.all(
      names.map((name, i) => {
        const settings = { 'master.peers': peers, 'master.port': String(portFor(ports[i] ?? 0)) };
        return real.start(name, settings, { logger: loggers[i] as Logger });
      }),
    );
    await Promise.all(masters.map(ready));
    const admin = new AdminChannel({ masters: masters.map(({ port }) => `127.0.0.1:${port}`), ...common });
    const quorum = await admin.quorum();
    const leader = names.indexOf(quorum.leader);
    await masters[leader]?.close();
    // The successor was asked to campaign, and needed nobody's silence for it.
    const others = loggers.filter((_, i) => i !== leader);
    const roles = others.flatMap(({ lines }) => lines.map(({ fields }) => fields));
    expect(roles).toContainEqual(expect.objectContaining({ role: 'leader', term: quorum.term + 1 }));
    expect(loggers[leader]?.lines.map(({ message }) => message)).not.toContain('leadership was not handed over');
  });
});

describe('a master with another token', () => {
  const REFUSED = /m1 refuses this master: The token is not the one of this cluster: check security\.token/;

  it('says so when it comes back, and when it has never been there', async () => {
    const { settings, addresses } = await real.startThree({}, { token: 'right' });
    await real.close('m3');
    const stop = new AbortController();
    const [port = 0] = await freePorts(1);
    const own = { ...settings, 'master.port': addresses[2]?.split(':')[1] ?? '', 'master.status.port': String(port) };
    const given = { token: 'wrong', signal: stop.signal };
    const back = await real.start('m3', own, given);
    await vi.waitFor(
      () => expect(back.readiness).toMatchObject({ ready: false, reason: expect.stringMatching(REFUSED) }),
      PATIENCE,
    );
    await back.close();

    const empty = real.start('m3', { ...own, 'master.data': join(real.folder, 'empty') }, given);
    const headers = { authorization: 'Bearer wrong' };
    await vi.waitFor(async () => {
      const response = await fetch(`http://127.0.0.1:${port}/readyz`, { headers });
      expect([response.status, await response.text()]).toEqual([503, expect.stringMatching(REFUSED)]);
    }, PATIENCE);
    stop.abort();
    await expect(empty).rejects.toMatchObject({ code: 'CANCELLED' });
  });
});
