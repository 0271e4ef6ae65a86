import { describe, expect, test } from 'vitest';
import type { UfsFact } from '../../src/model/command.ts';
import { codeOf, command, effects, faults, inodeOf, ROOT, World } from './world.ts';

function file(name: string, fields: Partial<UfsFact> = {}): UfsFact {
  return { name, kind: 'file', lengthBytes: 5, version: 'v1', modifiedMs: 500, ...fields };
}

function directory(name: string, fields: Partial<UfsFact> = {}): UfsFact {
  return { name, kind: 'directory', lengthBytes: 0, version: '', modifiedMs: 500, ...fields };
}

interface Loaded {
  readonly world: World;
  readonly load: (
    upserts: readonly UfsFact[],
    removals?: readonly { readonly name: string; readonly id: number }[],
  ) => ReturnType<World['apply']>;
}

function mounted(): Loaded {
  const world = new World();
  world.mount('/ufs');
  world.must('setAttributes', { path: '/ufs', owner: 'owner', group: 'group', mode: 0o751 });
  const directoryId = world.status('/ufs').id;
  const load: Loaded['load'] = (upserts, removals = []) => {
    const applied = world.apply(command('loadMetadata', { directoryId, upserts, removals }), ROOT);
    expect(faults(world.store)).toEqual([]);
    return applied;
  };
  return { world, load };
}

describe('loadMetadata', () => {
  test('inserts what is new, with the rights of the directory where the UFS has none', () => {
    const { world, load } = mounted();
    const before = world.status('/ufs');
    const { notices } = load([file('f'), directory('d'), file('own', { owner: 'o', group: 'g', mode: 0o600 })]);
    const common = { owner: 'owner', group: 'group', persistence: 'persisted', modifiedMs: 500 };
    expect(world.status('/ufs/f')).toMatchObject({
      ...common,
      mode: 0o640,
      lengthBytes: 5,
      version: 'v1',
      complete: true,
    });
    expect(world.inode('/ufs/d')).toMatchObject({ ...common, mode: 0o751, childrenLoaded: false });
    expect(world.status('/ufs/own')).toMatchObject({ owner: 'o', group: 'g', mode: 0o600, blockSizeBytes: 1024 });
    expect(world.status('/ufs')).toEqual({ ...before, childCount: 3 });
    expect(notices).toContainEqual({ kind: 'changed', path: '/ufs/f', subtree: false });
  });

  test.each([
    [2 ** 53, 8.64e15],
    [Infinity, 8.64e15],
    [-(2 ** 60), -8.64e15],
    [Number.NaN, 0],
    [1500.7, 1500],
    [-1, -1],
  ])('a time of %d ms becomes %d', (modifiedMs, expected) => {
    const { world, load } = mounted();
    load([file('new', { modifiedMs }), directory('d', { modifiedMs }), file('known')]);
    load([file('known', { modifiedMs, version: 'v2' })]);
    for (const name of ['new', 'd', 'known']) expect(world.status(`/ufs/${name}`).modifiedMs).toBe(expected);
  });

  test('says nothing and writes nothing when all is as known', () => {
    const { world, load } = mounted();
    load([file('f'), directory('d')]);
    const before = effects(world.store);
    expect(load([file('f'), directory('d')])).toEqual({ outcome: { kind: 'done' }, notices: [] });
    expect(effects(world.store)).toEqual(before);
  });

  test('takes a new version of a file, and drops its content', () => {
    const { world, load } = mounted();
    load([file('f')]);
    const { id } = world.status('/ufs/f');
    const { notices } = load([file('f', { version: 'v2', lengthBytes: 9, modifiedMs: 900 })]);
    expect(world.status('/ufs/f')).toMatchObject({ id, version: 'v2', lengthBytes: 9, modifiedMs: 900 });
    expect(notices).toContainEqual({ kind: 'contentDropped', id });
  });

  test('takes new rights and keeps the content', () => {
    const { world, load } = mounted();
    load([file('f')]);
    const { notices } = load([file('f', { mode: 0o400 })]);
    expect(world.status('/ufs/f')).toMatchObject({ mode: 0o400, version: 'v1' });
    expect(notices.map(({ kind }) => kind)).toEqual(['changed']);
  });

  test('replaces a file by a directory, and an empty directory by a file', () => {
    const { world, load } = mounted();
    load([file('a'), directory('b')]);
    const { id } = world.status('/ufs/a');
    const { notices } = load([directory('a'), file('b')]);
    expect(world.status('/ufs/a').kind).toBe('directory');
    expect(world.status('/ufs/b').kind).toBe('file');
    expect(notices).toContainEqual({ kind: 'contentDropped', id });
  });

  test('learns that the UFS has a directory that we made', () => {
    const { world, load } = mounted();
    world.directory('/ufs/d');
    load([directory('d')]);
    expect(world.inode('/ufs/d')).toMatchObject({ persistence: 'persisted', childrenLoaded: false });
  });

  test('marks the directory when the listing is complete', () => {
    const { world } = mounted();
    const directoryId = world.status('/ufs').id;
    expect(world.inode('/ufs')).toMatchObject({ childrenLoaded: false });
    world.must('loadMetadata', { directoryId, complete: true });
    expect(world.inode('/ufs')).toMatchObject({ childrenLoaded: true });
  });

  test('removes what is the same inode still, and persisted', () => {
    const { world, load } = mounted();
    load([file('f'), file('g'), directory('d')]);
    const id = (name: string) => world.status(`/ufs/${name}`).id;
    const { notices } = load(
      [],
      [
        { name: 'f', id: id('f') },
        { name: 'g', id: 999 },
        { name: 'd', id: id('d') },
      ],
    );
    expect([world.exists('/ufs/f'), world.exists('/ufs/g'), world.exists('/ufs/d')]).toEqual([false, true, false]);
    expect(notices).toContainEqual({ kind: 'changed', path: '/ufs/f', subtree: false });
  });

  test.each<[string, (world: World) => unknown]>([
    ['a cached file', (world) => world.file('/ufs/x')],
    ['an incomplete file', (world) => world.must('createFile', { path: '/ufs/x', writeType: 'THROUGH' })],
    ['a mount point', (world) => world.mount('/ufs/x', 's3://x')],
    ['a directory that the UFS never had', (world) => world.directory('/ufs/x')],
    [
      'a directory with something that only we have',
      (world) => {
        world.must('makeDirectory', { path: '/ufs/x', persisted: true });
        world.file('/ufs/x/cached');
      },
    ],
  ])('never removes or replaces %s', (_name, make) => {
    const { world, load } = mounted();
    make(world);
    const before = world.inode('/ufs/x');
    const { kind } = before;
    load([kind === 'file' ? directory('x') : file('x')], [{ name: 'x', id: before.id }]);
    expect(world.inode('/ufs/x')).toEqual(before);
    if (kind === 'file') {
      load([file('x', { version: 'other' })]);
      expect(world.inode('/ufs/x')).toEqual(before);
    }
  });

  test.each<[string, readonly UfsFact[]]>([
    ['a name with a slash', [file('ok'), file('a/b')]],
    ['a name of dots', [file('..')]],
    ['a negative length', [file('a', { lengthBytes: -1 })]],
    ['too many', Array.from({ length: 10_001 }, (_, index) => file(`f${index}`))],
  ])('refuses %s, wholly', (_name, upserts) => {
    const { world, load } = mounted();
    const before = effects(world.store);
    expect(codeOf(load(upserts).outcome)).toBe('INVALID_ARGUMENT');
    expect(effects(world.store)).toEqual(before);
  });

  test('is refused when its directory was deleted or its mount is gone', () => {
    const { world, load } = mounted();
    load([directory('d')]);
    const directoryId = world.status('/ufs/d').id;
    world.must('loadMetadata', { directoryId, upserts: [file('f')] });
    world.must('unmount', { path: '/ufs' });
    expect(codeOf(world.run('loadMetadata', { directoryId, upserts: [file('g')] }))).toBe('NOT_FOUND');
    expect(faults(world.store)).toEqual([]);
  });

  test('is idempotent', () => {
    const { world } = mounted();
    const directoryId = world.status('/ufs').id;
    const what = {
      directoryId,
      upserts: [file('f'), directory('d')],
      removals: [{ name: 'f', id: 1 }],
      complete: true,
    };
    world.must('loadMetadata', what);
    const before = effects(world.store);
    world.must('loadMetadata', what);
    expect(effects(world.store)).toEqual(before);
    expect(inodeOf(world.must('setAttributes', { path: '/ufs/f', pinned: true })).pinned).toBe(true);
  });
});
