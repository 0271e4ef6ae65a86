import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { MasterServices } from '../support/master-services.ts';
import { createFile, makeDirectory } from '../support/requests.ts';

let master: MasterServices;
beforeEach(() => {
  master = new MasterServices();
});
afterEach(() => master.close());

describe('operations without an under storage', () => {
  it('creates with the default block size, completes, and reads its status', async () => {
    const made = await master.ask('createFile', createFile('/a', { writeType: 'MUST_CACHE' }));
    expect(made).toMatchObject({
      path: '/a',
      blockSizeBytes: 64 * 2 ** 20,
      complete: false,
      owner: 'root',
      mountId: 0,
    });
    const complete = { path: '/a', id: made.id, lengthBytes: 5, ufsVersion: '', ufsModifiedMs: -1 };
    const done = await master.ask('completeFile', complete);
    expect(done).toMatchObject({ complete: true, lengthBytes: 5 });
    expect(await master.ask('getStatus', { path: '//a/' })).toEqual(done);
    expect(master.locks.size).toBe(0);
  });

  it('makes, lists, renames, changes and deletes', async () => {
    await master.ask('makeDirectory', makeDirectory('/d/e', { recursive: true }));
    await master.ask('createFile', createFile('/d/e/f', { writeType: 'MUST_CACHE', empty: true }));
    await master.ask('rename', { source: '/d/e/f', target: '/d/g', overwrite: false });
    const changed = await master.ask('setAttributes', { path: '/d/g', pinned: true, mode: 0o600 });
    expect(changed).toMatchObject({ pinned: true, mode: 0o600 });
    const all = { path: '/', recursive: true, cursor: '', limit: 0 };
    expect((await master.ask('listStatus', all)).entries.map(({ path }) => path)).toEqual(['/d', '/d/e', '/d/g']);
    await master.ask('delete', { path: '/d', recursive: true, keepUfs: false, id: 0 });
    expect(await master.ask('exists', { path: '/d/g' })).toEqual({ exists: false });
  });

  it('lists in pages', async () => {
    for (const name of ['c', 'a', 'b']) {
      await master.ask('createFile', createFile(`/${name}`, { writeType: 'MUST_CACHE', empty: true }));
    }
    const first = await master.ask('listStatus', { path: '/', recursive: false, cursor: '', limit: 2 });
    expect(first.entries.map(({ name }) => name)).toEqual(['a', 'b']);
    const second = await master.ask('listStatus', { path: '/', recursive: false, cursor: first.cursor, limit: 2 });
    expect(second.entries.map(({ name }) => name)).toEqual(['c']);
    expect(second.cursor).toBe('');
  });

  it('answers a request id once', async () => {
    const requestId = { client: 'c0ffee00-1', sequence: 1, acknowledgedBelow: 1 };
    const request = makeDirectory('/once');
    const first = await master.ask('makeDirectory', request, { requestId });
    expect(await master.ask('makeDirectory', request, { requestId })).toEqual(first);
    await expect(master.ask('makeDirectory', request)).rejects.toMatchObject({ code: 'ALREADY_EXISTS' });
  });

  const refusals: readonly [string, () => Promise<unknown>, string][] = [
    ['a missing path', () => master.ask('getStatus', { path: '/no' }), 'NOT_FOUND'],
    ['a relative path', () => master.ask('getStatus', { path: 'no' }), 'INVALID_ARGUMENT'],
    [
      'a listing of nothing',
      () => master.ask('listStatus', { path: '/no', recursive: false, cursor: '', limit: 0 }),
      'NOT_FOUND',
    ],
    ['CACHE_THROUGH without a mount', () => master.ask('createFile', createFile('/x')), 'INVALID_ARGUMENT'],
    [
      'a stranger in the root',
      () => master.ask('makeDirectory', makeDirectory('/x'), { user: 'ann' }),
      'PERMISSION_DENIED',
    ],
    [
      'a mount by a stranger',
      () =>
        master.ask(
          'mount',
          { path: '/m', uri: `file://${master.folder}`, options: {}, readOnly: false, syncIntervalMs: -1 },
          { user: 'ann' },
        ),
      'PERMISSION_DENIED',
    ],
  ];
  it.each(refusals)('refuses %s', async (_, ask, code) => {
    await expect(ask()).rejects.toMatchObject({ code });
  });

  it('gives members of the superusers every right', async () => {
    const made = await master.ask('makeDirectory', makeDirectory('/x'), { user: 'admins' });
    expect(made.owner).toBe('admins');
  });

  it('counts and times by name and code', async () => {
    await master.ask('makeDirectory', makeDirectory('/x'));
    await expect(master.ask('getStatus', { path: '/no' })).rejects.toThrow();
    const text = await master.metrics.text();
    expect(text).toContain('sluice_master_operations_total{operation="makeDirectory",code="OK"} 1');
    expect(text).toContain('sluice_master_operations_total{operation="getStatus",code="NOT_FOUND"} 1');
    expect(text).toContain('sluice_master_operation_seconds_count{operation="getStatus"} 1');
  });
});

describe('a master that does not lead', () => {
  it.each([
    ['m2', { leader: 'two:19998' }],
    ['unheard-of', {}],
    [undefined, {}],
  ])('refuses and names the leader %s', async (leader, details) => {
    master.state.lead(false, leader);
    for (const ask of [
      () => master.ask('getStatus', { path: '/' }),
      () => master.ask('makeDirectory', makeDirectory('/x')),
      () => master.ask('getWorkers', {}),
    ]) {
      await expect(ask()).rejects.toMatchObject({ code: 'NOT_LEADER', details });
    }
  });

  it('says so when it loses leadership with the operation under way', async () => {
    master.state.before = () => master.state.lead(false, 'm2');
    const asked = master.ask('makeDirectory', makeDirectory('/x'));
    await expect(asked).rejects.toMatchObject({ code: 'NOT_LEADER', details: { leader: 'two:19998' } });
  });

  it('passes on that the fate of a change is unknown', async () => {
    const { SluiceError } = await import('../../src/model/errors.ts');
    master.state.after = () => {
      throw new SluiceError('UNAVAILABLE', 'Leadership was lost', { details: { fate: 'unknown' } });
    };
    const asked = master.ask('makeDirectory', makeDirectory('/x'));
    await expect(asked).rejects.toMatchObject({ code: 'UNAVAILABLE', details: { fate: 'unknown' } });
  });
});

describe('a namespace that is not formatted', () => {
  it('asks to try again', async () => {
    const fresh = new MasterServices({ format: false });
    const mount = { path: '/m', uri: `file://${fresh.folder}`, options: {}, readOnly: false, syncIntervalMs: -1 };
    await expect(fresh.ask('getStatus', { path: '/' })).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    await expect(fresh.ask('mount', mount)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    await expect(fresh.ask('makeDirectory', makeDirectory('/x'))).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    await fresh.close();
  });
});
