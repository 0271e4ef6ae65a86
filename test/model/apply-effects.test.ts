import { describe, expect, test } from 'vitest';
import { dentryPrefix, idKey } from '../../src/model/state-store.ts';
import { ALICE, BOB, codeOf, command, faults, inodeOf, purgeAll, ROOT, World } from './world.ts';

describe('createFile and completeFile', () => {
  test('make a file visible with its length and a version of our own', () => {
    const world = new World();
    const made = inodeOf(world.must('createFile', { path: '/a/b/c', mode: 0o640, recursive: true }));
    expect(made).toMatchObject({ kind: 'file', complete: false, version: '', persistence: 'cached', group: 'wheel' });
    expect(world.status('/a')).toMatchObject({ mode: 0o750, childCount: 1, kind: 'directory', persistence: 'cached' });
    world.must('completeFile', { path: '/a/b/c', id: made.id, lengthBytes: 7 });
    const status = world.status('/a/b/c');
    expect(status).toMatchObject({ name: 'c', complete: true, lengthBytes: 7, persistence: 'cached', mountId: 0 });
    expect(status).toMatchObject({ version: `c:${made.id}`, modifiedMs: world.nowMs });
  });

  test('with write-through take the version of the UFS, and mark the directories above', () => {
    const world = new World();
    world.mount('/ufs');
    const fields = { path: '/ufs/a/b', recursive: true, writeType: 'CACHE_THROUGH' } as const;
    const { id } = inodeOf(world.must('createFile', fields));
    expect(world.status('/ufs/a').persistence).toBe('cached');
    const refused = world.run('completeFile', { path: '/ufs/a/b', id, lengthBytes: 3 });
    expect(refused).toMatchObject({ refusal: { message: expect.stringMatching(/complete it with the version/) } });
    world.must('completeFile', { path: '/ufs/a/b', id, lengthBytes: 3, ufsVersion: 'etag', ufsModifiedMs: 77 });
    expect(world.status('/ufs/a/b')).toMatchObject({ persistence: 'persisted', version: 'etag', modifiedMs: 77 });
    expect(world.status('/ufs/a/b')).toMatchObject({ mountId: 1, ufsPath: 'a/b' });
    expect(world.status('/ufs/a').persistence).toBe('persisted');
  });

  test('take an empty file that the UFS has at once', () => {
    const world = new World();
    world.mount('/ufs');
    world.must('createFile', { path: '/ufs/e', empty: true, writeType: 'THROUGH', ufsVersion: 'v0' });
    expect(world.status('/ufs/e')).toMatchObject({ complete: true, persistence: 'persisted', version: 'v0' });
  });

  test('overwriting makes another file and drops the old content', () => {
    const world = new World();
    const old = world.file('/a');
    const { outcome, notices } = world.apply(command('createFile', { path: '/a', overwrite: true }), ROOT);
    expect(inodeOf(outcome).id).not.toBe(old.id);
    expect(notices).toContainEqual({ kind: 'contentDropped', id: old.id });
    expect(codeOf(world.run('completeFile', { path: '/a', id: old.id }))).toBe('NOT_FOUND');
    expect(faults(world.store)).toEqual([]);
  });

  test('completing again is harmless when it says the same', () => {
    const world = new World();
    const { id } = inodeOf(world.must('createFile', { path: '/a' }));
    const first = world.must('completeFile', { path: '/a', id, lengthBytes: 5 });
    expect(world.run('completeFile', { path: '/a', id, lengthBytes: 5 })).toEqual(first);
    expect(codeOf(world.run('completeFile', { path: '/a', id, lengthBytes: 6 }))).toBe('ALREADY_EXISTS');
  });

  test('completing needs the owner or who may write', () => {
    const world = new World();
    world.directory('/open', ROOT, 0o777);
    const { id } = inodeOf(world.must('createFile', { path: '/open/a', mode: 0o400 }, ALICE));
    expect(codeOf(world.run('completeFile', { path: '/open/a', id }, BOB))).toBe('PERMISSION_DENIED');
    expect(codeOf(world.run('completeFile', { path: '/open/a', id }, ALICE))).toBe('ok');
  });
});

describe('makeDirectory', () => {
  test('answers an existing directory when that is allowed, and changes nothing', () => {
    const world = new World();
    const made = world.directory('/a', ROOT, 0o700);
    expect(inodeOf(world.must('makeDirectory', { path: '/a', mode: 0o777, allowExists: true }))).toEqual(made);
    expect(inodeOf(world.must('makeDirectory', { path: '/', allowExists: true })).id).toBe(1);
  });

  test('hands down group, set-group-id bit and pin', () => {
    const world = new World();
    world.directory('/a');
    world.must('setAttributes', { path: '/a', mode: 0o2777, group: 'eng', pinned: true });
    world.must('makeDirectory', { path: '/a/b' }, ALICE);
    expect(world.status('/a/b')).toMatchObject({ owner: 'alice', group: 'eng', mode: 0o2755, pinned: true });
    expect(world.file('/a/f', ALICE)).toMatchObject({ group: 'eng', mode: 0o644, pinned: true });
  });

  test('that the UFS has too marks it and those above', () => {
    const world = new World();
    world.mount('/ufs');
    world.directory('/ufs/a/b');
    expect(world.status('/ufs/a').persistence).toBe('cached');
    world.must('makeDirectory', { path: '/ufs/a/b', allowExists: true, persisted: true });
    expect(world.status('/ufs/a/b').persistence).toBe('persisted');
    expect(world.status('/ufs/a').persistence).toBe('persisted');
    world.must('makeDirectory', { path: '/none', persisted: true });
    expect(world.status('/none').persistence).toBe('cached');
  });

  test('changes the parent', () => {
    const world = new World();
    world.directory('/a');
    const before = world.status('/a');
    world.directory('/a/b');
    expect(world.status('/a')).toEqual({ ...before, childCount: 1, modifiedMs: world.nowMs, changedMs: world.nowMs });
  });
});

describe('delete and purge', () => {
  test('a file is gone at once', () => {
    const world = new World();
    const { id } = world.file('/a/f');
    const { notices } = world.apply(command('delete', { path: '/a/f', id }), ROOT);
    expect(notices).toEqual([
      { kind: 'contentDropped', id },
      { kind: 'changed', path: '/a/f', subtree: false },
    ]);
    expect(world.status('/a')).toMatchObject({ childCount: 0, modifiedMs: world.nowMs });
    expect(world.store.rows('trash')).toEqual([]);
  });

  test('a directory is detached with the same few writes, whatever is below', () => {
    const world = new World();
    for (let i = 0; i < 500; i++) world.file(`/a/d${i % 7}/f${i}`);
    const puts: string[] = [];
    const { put } = world.store;
    world.store.put = (table, key, row) => {
      puts.push(table);
      put.call(world.store, table, key, row);
    };
    const { notices } = world.apply(command('delete', { path: '/a', recursive: true }), ROOT);
    expect(puts.length).toBeLessThan(8);
    expect(notices).toContainEqual(expect.objectContaining({ kind: 'detached' }));
    expect(world.exists('/a')).toBe(false);
    expect(faults(world.store)).toEqual([]);
  });

  test('purging removes everything in bounded batches and tells of each content', async () => {
    const world = new World();
    const ids = [];
    for (let i = 0; i < 50; i++) ids.push(world.file(`/a/d${i % 3}/e${i % 2}/f${i}`).id);
    world.must('delete', { path: '/a', recursive: true });
    world.file('/a/new');
    const dropped = new Set<number>();
    const { apply } = world;
    world.apply = (...args) => {
      const applied = apply.apply(world, args);
      for (const notice of applied.notices) if (notice.kind === 'contentDropped') dropped.add(notice.id);
      return applied;
    };
    await purgeAll(world, 7);
    expect([...dropped].sort((a, b) => a - b)).toEqual(ids);
    expect(faults(world.store)).toEqual([]);
    expect(world.store.get('counters', '')?.inodeCount).toBe(3);
    expect(world.exists('/a/new')).toBe(true);
  });

  test('a purge touches only what is detached', () => {
    const world = new World();
    world.file('/a/f');
    const { id } = world.status('/a');
    const before = world.store.rows('inode');
    world.must('purge', {
      entries: [
        { parentId: id, name: 'f' },
        { parentId: 1, name: 'a' },
        { parentId: 99, name: 'x' },
      ],
    });
    expect(world.store.rows('inode')).toEqual(before);
    const entries = Array.from({ length: 10_001 }, () => ({ parentId: id, name: 'f' }));
    expect(codeOf(world.run('purge', { entries }))).toBe('INVALID_ARGUMENT');
  });

  test('a new directory of the same name has nothing of the old one', () => {
    const world = new World();
    world.file('/a/f');
    world.must('delete', { path: '/a', recursive: true });
    world.directory('/a');
    expect(world.exists('/a/f')).toBe(false);
  });

  test('forgetting without the UFS makes the parent unknown again', () => {
    const world = new World();
    world.mount('/ufs');
    const { id } = world.status('/ufs');
    const fact = { name: 'f', kind: 'file', lengthBytes: 1, version: 'v', modifiedMs: 5 } as const;
    world.must('loadMetadata', { directoryId: id, upserts: [fact], complete: true });
    expect(world.inode('/ufs')).toMatchObject({ childrenLoaded: true });
    world.must('delete', { path: '/ufs/f', keepUfs: true });
    expect(world.inode('/ufs')).toMatchObject({ childrenLoaded: false });
  });
});

describe('rename', () => {
  test('moves a directory with all below by moving one entry', () => {
    const world = new World();
    const { id } = world.file('/a/b/c');
    world.directory('/x');
    world.must('rename', { source: '/a/b', target: '/x/y' });
    expect(world.status('/x/y/c')).toMatchObject({ id, path: '/x/y/c' });
    expect(world.status('/a').childCount).toBe(0);
    expect(world.status('/x')).toMatchObject({ childCount: 1, modifiedMs: world.nowMs });
    expect(world.status('/x/y').changedMs).toBe(world.nowMs);
    expect(faults(world.store)).toEqual([]);
  });

  test('replaces a file and drops its content', () => {
    const world = new World();
    const source = world.file('/a');
    const replaced = world.file('/b');
    const { notices } = world.apply(command('rename', { source: '/a', target: '/b', overwrite: true }), ROOT);
    expect(notices).toContainEqual({ kind: 'contentDropped', id: replaced.id });
    expect(world.status('/b').id).toBe(source.id);
    expect(world.status('/').childCount).toBe(1);
  });

  test('onto itself does nothing', () => {
    const world = new World();
    world.file('/a');
    const before = world.inode('/a');
    expect(world.run('rename', { source: '/a', target: '//a/' })).toEqual({ kind: 'done' });
    expect(world.inode('/a')).toEqual(before);
  });

  test('takes the version that the UFS gives the new name', () => {
    const world = new World();
    world.mount('/ufs');
    world.must('createFile', { path: '/ufs/a', empty: true, writeType: 'THROUGH', ufsVersion: 'v1' });
    world.must('rename', { source: '/ufs/a', target: '/ufs/b', ufsVersion: 'v2' });
    expect(world.status('/ufs/b').version).toBe('v2');
    world.must('rename', { source: '/ufs/b', target: '/ufs/c' });
    expect(world.status('/ufs/c').version).toBe('v2');
    world.directory('/ufs/d');
    expect(world.status('/ufs/d').persistence).toBe('cached');
    world.must('rename', { source: '/ufs/c', target: '/ufs/d/e' });
    expect(world.status('/ufs/d').persistence).toBe('persisted');
  });
});

describe('setAttributes', () => {
  test.each([
    ['mode', { mode: 0o600 }, { mode: 0o600 }],
    ['own group', { group: 'staff' }, { group: 'staff' }],
    ['times', { modifiedMs: 1, accessedMs: 2 }, { modifiedMs: 1, accessedMs: 2 }],
    ['pin and TTL', { pinned: true, ttlMs: 9, ttlAction: 'delete' }, { pinned: true, ttlMs: 9, ttlAction: 'delete' }],
  ] as const)('changes %s for the owner', (_name, asked, expected) => {
    const world = new World();
    world.directory('/open', ROOT, 0o777);
    world.file('/open/f', BOB);
    const before = world.status('/open/f');
    world.must('setAttributes', { path: '/open/f', ...asked }, BOB);
    expect(world.status('/open/f')).toEqual({ ...before, ...expected, changedMs: world.nowMs });
  });

  test('without a change leaves the inode as it is', () => {
    const world = new World();
    const before = world.file('/f');
    const { outcome, notices } = world.apply(command('setAttributes', { path: '/f', mode: before.mode }), ROOT);
    expect(inodeOf(outcome)).toEqual(before);
    expect(notices).toEqual([]);
  });

  test.each([
    ['a change of owner takes set-id bits of files', { owner: 'bob' }, ROOT, 0o777],
    ['a change of group takes set-id bits of files', { group: 'eng' }, ROOT, 0o777],
    ['who is not in the group cannot set its bit', { mode: 0o2755 }, ALICE, 0o755],
    ['a superuser can', { mode: 0o6755 }, ROOT, 0o6755],
  ] as const)('%s', (_name, asked, caller, mode) => {
    const world = new World();
    world.file('/f', ROOT);
    world.must('setAttributes', { path: '/f', owner: 'alice', group: 'wheel' });
    world.must('setAttributes', { path: '/f', mode: 0o6777 });
    world.must('setAttributes', { path: '/f', ...asked }, caller);
    expect(world.status('/f').mode).toBe(mode);
  });

  test('pins on read-only mounts', () => {
    const world = new World();
    world.mount('/ro', 'file:///ro', true);
    world.must('setAttributes', { path: '/ro', pinned: true, ttlMs: 5, ttlAction: 'free' });
    expect(world.status('/ro').pinned).toBe(true);
  });
});

describe('mount and unmount', () => {
  test('nest, and know what backs a path', () => {
    const world = new World();
    world.mount('/a', 's3://a');
    world.mount('/a/b', 's3://b');
    world.directory('/a/b/c');
    world.directory('/a/c');
    expect(world.status('/')).toMatchObject({ mountId: 0, ufsPath: '', mountPoint: false });
    expect(world.status('/a')).toMatchObject({ mountId: 1, ufsPath: '', mountPoint: true, persistence: 'persisted' });
    expect(world.status('/a/c')).toMatchObject({ mountId: 1, ufsPath: 'c', mountPoint: false });
    expect(world.status('/a/b/c')).toMatchObject({ mountId: 2, ufsPath: 'c' });
    const refused = world.run('unmount', { path: '/a' });
    expect(refused).toMatchObject({
      refusal: { code: 'CROSS_MOUNT', message: '/a/b is mounted below /a: unmount it first' },
    });
    world.must('unmount', { path: '/a/b' });
    world.must('unmount', { path: '/a' });
    expect(world.exists('/a')).toBe(false);
    expect(world.store.rows('mount')).toEqual([]);
    expect(world.store.get('counters', '')?.mountsVersion).toBe(4);
    expect(faults(world.store)).toEqual([]);
    world.mount('/again', 's3://a');
    expect(world.status('/again').mountId).toBe(3);
  });

  test('take the root and give it back', async () => {
    const world = new World();
    world.mount('/', 's3://root');
    world.file('/x/y');
    world.mount('/nested', 's3://nested');
    expect(world.status('/x/y')).toMatchObject({ mountId: 1, ufsPath: 'x/y' });
    expect(codeOf(world.run('unmount', { path: '/' }))).toBe('CROSS_MOUNT');
    world.must('unmount', { path: '/nested' });
    world.must('unmount', { path: '/' });
    expect(world.status('/')).toMatchObject({ childCount: 0, mountId: 0, mountPoint: false });
    expect(faults(world.store)).toEqual([]);
    world.file('/z');
    await purgeAll(world);
    expect(faults(world.store)).toEqual([]);
    expect(world.store.rows('inode')).toHaveLength(2);
    world.must('delete', { path: '/z' });
    world.mount('/', 's3://other');
    expect(faults(world.store)).toEqual([]);
  });

  test('one bucket name at two endpoints is two buckets', () => {
    const world = new World();
    world.mount('/a', 's3://bucket');
    world.must('mount', { path: '/b', uri: 's3://bucket', options: { 's3.endpoint': 'http://other' } });
    expect(world.store.rows('mount')).toHaveLength(2);
  });

  test('detached content of a mount waits for purge', () => {
    const world = new World();
    world.mount('/a', 's3://a');
    const { id } = world.status('/a');
    world.file('/a/f');
    world.must('unmount', { path: '/a' });
    expect(world.store.get('trash', idKey(id))).toEqual({ id });
    expect(world.store.rows('inode').some(({ key }) => key.startsWith(dentryPrefix(id)))).toBe(true);
  });
});

describe('workers', () => {
  const worker = { id: 'w1', address: 'h:1', host: 'h', capacityBytes: 10 };
  const version = (world: World) => world.store.get('counters', '')!.workersVersion;

  test('count as a change of the ring only when it moves', () => {
    const world = new World();
    world.must('registerWorker', { worker });
    expect(version(world)).toBe(1);
    world.must('registerWorker', { worker });
    world.must('setWorkerState', { id: 'w1', state: 'live' });
    expect(version(world)).toBe(1);
    world.must('setWorkerState', { id: 'w1', state: 'lost' });
    expect(version(world)).toBe(2);
    world.must('registerWorker', { worker });
    expect(world.store.get('worker', 'w1')).toMatchObject({ state: 'live', registeredMs: 1002 });
    world.must('registerWorker', { worker: { ...worker, capacityBytes: 20 } });
    expect(version(world)).toBe(4);
  });
});

test('formatting again under the same name does nothing', () => {
  const world = new World();
  world.file('/a');
  const before = world.dump();
  world.must('format', { clusterId: 'cluster-1', owner: 'x', group: 'y' });
  expect(world.dump()).toEqual(before);
});
