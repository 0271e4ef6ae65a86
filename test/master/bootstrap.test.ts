import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createLogger } from '../../src/host/logger.ts';
import { AdminService } from '../../src/master/admin-service.ts';
import { Bootstrap } from '../../src/master/bootstrap.ts';
import { ROOT_CALLER } from '../support/local-state.ts';
import { turns } from '../support/manual-time.ts';
import { MasterServices } from '../support/master-services.ts';
import { createFile, makeDirectory } from '../support/requests.ts';

let master: MasterServices;
const started: Bootstrap[] = [];
beforeEach(() => {
  master = new MasterServices({ format: false });
});
afterEach(async () => {
  for (const bootstrap of started.splice(0)) await bootstrap.close();
  await master.close();
});

function start(of: MasterServices, root: string | undefined, clusterId = 'cluster'): void {
  const mount =
    root === undefined ? undefined : { uri: `file://${root}`, options: {}, readOnly: false, syncIntervalMs: -1 };
  started.push(
    new Bootstrap({
      state: of.state,
      mounted: of.mounted,
      system: ROOT_CALLER,
      timers: of.time,
      log: createLogger('silent', {}),
      clusterId,
      group: 'staff',
      root: mount,
    }),
  );
}

const mounts = () => master.state.state.get('mountIndex', '')?.mounts.map(({ path }) => path);

describe('the first leader', () => {
  it('formats the namespace, once', async () => {
    start(master, undefined);
    await turns();
    expect(await master.ask('getStatus', { path: '/' })).toMatchObject({ owner: 'root', group: 'staff', mode: 0o755 });
    start(new MasterServices({ successorOf: master, format: false }), undefined);
    await turns();
    expect(master.state.count('format')).toBe(1);
    expect(mounts()).toBeUndefined();
  });

  it('mounts the root, and a later one does not mount it again', async () => {
    const root = join(master.folder, 'root');
    mkdirSync(root);
    start(master, root);
    await vi.waitFor(() => expect(mounts()).toEqual(['/']));
    await master.ask('makeDirectory', makeDirectory('/d'));
    expect(existsSync(join(root, 'd'))).toBe(true);
    await master.ask('unmount', { path: '/' });
    const next = new MasterServices({ successorOf: master });
    start(next, root);
    await turns();
    expect(mounts()).toEqual([]);
    await next.close();
  });

  it('tries again until the root can be mounted, and serves meanwhile', async () => {
    const root = join(master.folder, 'root');
    start(master, root);
    await vi.waitFor(() => expect(master.time.pending).toBeGreaterThan(1));
    await master.ask('createFile', createFile('/f', { writeType: 'MUST_CACHE', empty: true }));
    await master.ask('delete', { path: '/f', recursive: false, keepUfs: false, id: 0 });
    mkdirSync(root);
    await master.time.advance(5_000);
    await vi.waitFor(() => expect(mounts()).toEqual(['/']));
  });

  it('waits until it leads', async () => {
    master.state.lead(false);
    start(master, undefined);
    await turns();
    expect(master.state.commands).toEqual([]);
    master.state.lead(true);
    await turns();
    expect(master.state.count('format')).toBe(1);
  });

  it('leaves the namespace of another cluster alone', async () => {
    start(master, undefined);
    await turns();
    const root = join(master.folder, 'root');
    mkdirSync(root);
    const other = new MasterServices({ successorOf: master });
    start(other, root, 'another');
    await turns();
    expect(mounts()).toBeUndefined();
    await other.close();
  });
});

describe('the report', () => {
  it('counts, and is the leader’s', async () => {
    start(master, undefined);
    await turns();
    const { state, gate, workers, time: clock } = master;
    const admin = new AdminService({ state, gate, workers, clock, version: '9.9.9' });
    await master.ask('makeDirectory', makeDirectory('/d'));
    await master.time.advance(1_234);
    const report = await admin.report();
    expect(report).toMatchObject({ version: '9.9.9', uptimeMs: 1_234, inodeCount: 2, mountCount: 0, workers: [] });
    expect(report.quorum.leader).toBe('m1');
    master.state.lead(false, 'm2');
    await expect(admin.report()).rejects.toMatchObject({ code: 'NOT_LEADER', details: { leader: 'two:19998' } });
    expect(admin.quorum().leader).toBe('m2');
  });
});
