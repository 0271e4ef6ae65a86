import { describe, expect, test } from 'vitest';
import { apply } from '../../src/model/apply.ts';
import type { Command } from '../../src/model/command.ts';
import { MemoryStateStore } from '../../src/model/memory-state-store.ts';
import type { Caller } from '../../src/model/principal.ts';
import { ALICE, BOB, command, EVE, effects, faults, ROOT, World } from './world.ts';

/** `/open` belongs to everybody, `/alice` to alice, `/ufs` and `/fixed` are mounts, the latter read-only. */
function world(): World {
  const made = new World();
  made.directory('/open', ROOT, 0o777);
  made.directory('/sticky', ROOT, 0o1777);
  made.must('setAttributes', { path: '/sticky', mode: 0o1777 });
  made.file('/sticky/of-alice', ALICE, 0o666);
  made.must('makeDirectory', { path: '/alice', mode: 0o700 });
  made.must('setAttributes', { path: '/alice', owner: 'alice', group: 'staff' });
  made.file('/alice/secret', ALICE);
  made.file('/open/file', ALICE);
  made.must('createFile', { path: '/open/writing' }, ALICE);
  made.directory('/open/full', ALICE);
  made.file('/open/full/file', ALICE);
  made.directory('/open/empty', ALICE);
  made.directory('/open/closed', ALICE, 0o755);
  made.file('/open/closed/file', ALICE);
  made.directory('/parent');
  made.mount('/parent/ufs', 's3://bucket/data');
  made.mount('/fixed', 'file:///fixed', true);
  made.must('setAttributes', { path: '/fixed', pinned: false });
  return made;
}

type Row = [name: string, what: Command, code: string, message: RegExp, caller?: Caller];

const PATHS: Row[] = [
  ['a relative path', command('delete', { path: 'a' }), 'INVALID_ARGUMENT', /"a" is relative: start it with \//],
  ['an empty path', command('mount', { path: '', uri: 'file:///x' }), 'INVALID_ARGUMENT', /path is empty/],
  ['a bad target', command('rename', { source: '/open', target: '/a\0' }), 'INVALID_ARGUMENT', /NUL/],
];

const CREATE: Row[] = [
  [
    'over a file',
    command('createFile', { path: '/open/file' }),
    'ALREADY_EXISTS',
    /\/open\/file is a file already: .*overwrite/,
  ],
  [
    'over a directory',
    command('createFile', { path: '/open/full' }),
    'ALREADY_EXISTS',
    /is a directory already: use another/,
  ],
  [
    'overwriting a directory',
    command('createFile', { path: '/open/full', overwrite: true }),
    'IS_A_DIRECTORY',
    /directory/,
  ],
  [
    'overwriting the root',
    command('createFile', { path: '/', overwrite: true }),
    'IS_A_DIRECTORY',
    /^\/ is a directory/,
  ],
  [
    'overwriting what is written',
    command('createFile', { path: '/open/writing', overwrite: true }),
    'INCOMPLETE',
    /still being written: wait/,
  ],
  [
    'overwriting in a sticky directory',
    command('createFile', { path: '/sticky/of-alice', overwrite: true }),
    'PERMISSION_DENIED',
    /sticky/,
    BOB,
  ],
  [
    'without a parent',
    command('createFile', { path: '/open/no/file' }),
    'NOT_FOUND',
    /Directory \/open\/no does not exist: make it first.*recursive/,
  ],
  [
    'below a file',
    command('createFile', { path: '/open/file/x', recursive: true }),
    'NOT_A_DIRECTORY',
    /\/open\/file is a file, so there is no/,
  ],
  [
    'in a closed directory',
    command('createFile', { path: '/open/closed/x' }),
    'PERMISSION_DENIED',
    /User bob may not write and traverse \/open\/closed \(owner alice, group staff, mode 0755\)/,
    BOB,
  ],
  [
    'through a closed directory',
    command('createFile', { path: '/alice/x' }),
    'PERMISSION_DENIED',
    /may not traverse \/alice /,
    EVE,
  ],
  [
    'through a UFS that is not there',
    command('createFile', { path: '/open/x', writeType: 'CACHE_THROUGH' }),
    'INVALID_ARGUMENT',
    /No UFS is mounted at or above \/open\/x.*use MUST_CACHE, or mount/,
  ],
  [
    'on a read-only mount',
    command('createFile', { path: '/fixed/x' }),
    'READ_ONLY',
    /Mount point \/fixed is read-only: unmount it and mount it without --readonly/,
  ],
  [
    'with mode bits that there are not',
    command('createFile', { path: '/open/x', mode: 0o10000 }),
    'INVALID_ARGUMENT',
    /Mode 4096 is not within/,
  ],
  [
    'without a block size',
    command('createFile', { path: '/open/x', blockSizeBytes: 0 }),
    'INVALID_ARGUMENT',
    /Block size of \/open\/x is 0/,
  ],
  [
    'empty through a UFS, without a parent',
    command('createFile', { path: '/parent/ufs/no/x', writeType: 'THROUGH', empty: true }),
    'NOT_FOUND',
    /Directory \/parent\/ufs\/no does not exist: make it first/,
  ],
  [
    'empty through a UFS that has it not',
    command('createFile', { path: '/parent/ufs/x', writeType: 'THROUGH', empty: true }),
    'INVALID_ARGUMENT',
    /is not in the UFS of \/parent\/ufs yet/,
  ],
  [
    'with a version before it is written',
    command('createFile', { path: '/parent/ufs/x', writeType: 'THROUGH', ufsVersion: 'v' }),
    'INVALID_ARGUMENT',
    /before it is written/,
  ],
  [
    'only cached, but with a UFS version',
    command('createFile', { path: '/open/x', ufsVersion: 'v' }),
    'INVALID_ARGUMENT',
    /only cached/,
  ],
];

const COMPLETE: Row[] = [
  ['nothing', command('completeFile', { path: '/open/no', id: 1 }), 'NOT_FOUND', /^\/open\/no does not exist$/],
  [
    'another file',
    command('completeFile', { path: '/open/writing', id: 1 }),
    'NOT_FOUND',
    /no longer the file 1: it was deleted, renamed or replaced/,
  ],
  ['a directory', command('completeFile', { path: '/open/full', id: 1 }), 'NOT_FOUND', /no longer the file/],
];

const MAKE_DIRECTORY: Row[] = [
  ['over a directory', command('makeDirectory', { path: '/open' }), 'ALREADY_EXISTS', /\/open is a directory already/],
  [
    'over a file, allowing directories',
    command('makeDirectory', { path: '/open/file', allowExists: true }),
    'ALREADY_EXISTS',
    /is a file already/,
  ],
  ['without a parent', command('makeDirectory', { path: '/a/b/c' }), 'NOT_FOUND', /Directory \/a does not exist/],
  [
    'in a closed directory',
    command('makeDirectory', { path: '/open/closed/x/y', recursive: true }),
    'PERMISSION_DENIED',
    /may not write and traverse/,
    BOB,
  ],
  ['on a read-only mount', command('makeDirectory', { path: '/fixed/x' }), 'READ_ONLY', /read-only/],
];

const DELETE: Row[] = [
  ['the root', command('delete', { path: '/', recursive: true }), 'INVALID_ARGUMENT', /root \/ cannot be deleted/],
  [
    'nothing',
    command('delete', { path: '/open/no/deeper' }),
    'NOT_FOUND',
    /\/open\/no\/deeper does not exist: no \/open\/no/,
  ],
  [
    'a full directory',
    command('delete', { path: '/open/full' }),
    'NOT_EMPTY',
    /has 1 entries: delete them first, or delete it recursively/,
  ],
  [
    'a mount point',
    command('delete', { path: '/parent/ufs', recursive: true }),
    'CROSS_MOUNT',
    /is a mount point: to delete it, unmount it first/,
  ],
  [
    'what a mount hangs on',
    command('delete', { path: '/parent', recursive: true }),
    'CROSS_MOUNT',
    /has a mount point below it/,
  ],
  [
    'another inode than expected',
    command('delete', { path: '/open/file', id: 1 }),
    'STALE',
    /is inode \d+, not 1: it was replaced/,
  ],
  [
    'from a closed directory',
    command('delete', { path: '/open/closed/file' }),
    'PERMISSION_DENIED',
    /may not write and traverse \/open\/closed/,
    BOB,
  ],
  [
    'what another owns in a sticky directory',
    command('delete', { path: '/sticky/of-alice' }),
    'PERMISSION_DENIED',
    /its owner alice can do it/,
    BOB,
  ],
  [
    'a full directory of another',
    command('delete', { path: '/open/full', recursive: true }),
    'PERMISSION_DENIED',
    /may not write and traverse \/open\/full/,
    BOB,
  ],
];

const RENAME: Row[] = [
  ['the root', command('rename', { source: '/', target: '/x' }), 'INVALID_ARGUMENT', /root/],
  ['to the root', command('rename', { source: '/open', target: '/' }), 'INVALID_ARGUMENT', /root/],
  ['nothing', command('rename', { source: '/no', target: '/x' }), 'NOT_FOUND', /^\/no does not exist/],
  [
    'into itself',
    command('rename', { source: '/open/full', target: '/open/full/x' }),
    'INVALID_ARGUMENT',
    /which is below it: choose a target elsewhere/,
  ],
  [
    'over a file without asking',
    command('rename', { source: '/open/full/file', target: '/open/file' }),
    'ALREADY_EXISTS',
    /or overwrite it/,
  ],
  [
    'a file over a directory',
    command('rename', { source: '/open/file', target: '/open/empty', overwrite: true }),
    'IS_A_DIRECTORY',
    /no file can replace/,
  ],
  [
    'a directory over a file',
    command('rename', { source: '/open/empty', target: '/open/file', overwrite: true }),
    'NOT_A_DIRECTORY',
    /no directory can replace/,
  ],
  [
    'a directory over a full one',
    command('rename', { source: '/open/empty', target: '/open/full', overwrite: true }),
    'NOT_EMPTY',
    /has 1 entries, so it cannot be replaced/,
  ],
  [
    'what is being written',
    command('rename', { source: '/open/writing', target: '/open/x' }),
    'INCOMPLETE',
    /complete it before/,
  ],
  ['to where no directory is', command('rename', { source: '/open/file', target: '/no/x' }), 'NOT_FOUND', /no \/no/],
  [
    'to below a file',
    command('rename', { source: '/open/full', target: '/open/file/x' }),
    'NOT_A_DIRECTORY',
    /\/open\/file is a file/,
  ],
  ['a mount point', command('rename', { source: '/parent/ufs', target: '/x' }), 'CROSS_MOUNT', /mount point/],
  [
    'what a mount hangs on',
    command('rename', { source: '/parent', target: '/x' }),
    'CROSS_MOUNT',
    /below it: to rename it/,
  ],
  [
    'over a mount point',
    command('rename', { source: '/open/empty', target: '/parent/ufs', overwrite: true }),
    'CROSS_MOUNT',
    /to replace it/,
  ],
  [
    'into a mount',
    command('rename', { source: '/open/file', target: '/parent/ufs/x' }),
    'CROSS_MOUNT',
    /in different mounts \(no mount and \/parent\/ufs\): copy it/,
  ],
  [
    'from a closed directory',
    command('rename', { source: '/open/closed/file', target: '/open/x' }),
    'PERMISSION_DENIED',
    /\/open\/closed/,
    BOB,
  ],
  [
    'into a closed directory',
    command('rename', { source: '/open/file', target: '/open/closed/x' }),
    'PERMISSION_DENIED',
    /\/open\/closed/,
    BOB,
  ],
  [
    "another's directory to another parent",
    command('rename', { source: '/open/empty', target: '/sticky/x' }),
    'PERMISSION_DENIED',
    /may not write \/open\/empty/,
    BOB,
  ],
  [
    "another's file out of a sticky directory",
    command('rename', { source: '/sticky/of-alice', target: '/open/x' }),
    'PERMISSION_DENIED',
    /sticky/,
    BOB,
  ],
];

const ATTRIBUTES: Row[] = [
  ['of nothing', command('setAttributes', { path: '/no', mode: 0 }), 'NOT_FOUND', /does not exist/],
  [
    'mode, by another',
    command('setAttributes', { path: '/open/file', mode: 0 }),
    'PERMISSION_DENIED',
    /only its owner alice or a superuser can change/,
    BOB,
  ],
  [
    'owner, by the owner',
    command('setAttributes', { path: '/open/file', owner: 'bob' }),
    'PERMISSION_DENIED',
    /give \/open\/file to another owner: ask a superuser/,
    ALICE,
  ],
  [
    'a foreign group, by the owner',
    command('setAttributes', { path: '/open/file', group: 'eng' }),
    'PERMISSION_DENIED',
    /alice is not in group eng/,
    ALICE,
  ],
  [
    'times, by another',
    command('setAttributes', { path: '/open/file', modifiedMs: 5 }),
    'PERMISSION_DENIED',
    /only its owner/,
    BOB,
  ],
  [
    'pinned, by who may not write',
    command('setAttributes', { path: '/open/file', pinned: true }),
    'PERMISSION_DENIED',
    /may not write \/open\/file/,
    EVE,
  ],
  ['a bad mode', command('setAttributes', { path: '/open/file', mode: -1 }), 'INVALID_ARGUMENT', /Mode -1/],
  [
    'an empty owner',
    command('setAttributes', { path: '/open/file', owner: '' }),
    'INVALID_ARGUMENT',
    /Owner of \/open\/file has 0 characters/,
  ],
  [
    'a TTL below never',
    command('setAttributes', { path: '/open/file', ttlMs: -2 }),
    'INVALID_ARGUMENT',
    /TTL of \/open\/file is -2/,
  ],
  ['mode on a read-only mount', command('setAttributes', { path: '/fixed', mode: 0o700 }), 'READ_ONLY', /read-only/],
  [
    'a deleting TTL on a read-only mount',
    command('setAttributes', { path: '/fixed', ttlMs: 5, ttlAction: 'delete' }),
    'READ_ONLY',
    /read-only/,
  ],
];

const MOUNT: Row[] = [
  [
    'by a user',
    command('mount', { path: '/m', uri: 'file:///m' }),
    'PERMISSION_DENIED',
    /alice may not mount \/m: ask a superuser/,
    ALICE,
  ],
  [
    'over a directory',
    command('mount', { path: '/open', uri: 'file:///m' }),
    'ALREADY_EXISTS',
    /mount at a path that does not exist/,
  ],
  ['over a file', command('mount', { path: '/open/file', uri: 'file:///m' }), 'ALREADY_EXISTS', /is a file already/],
  [
    'over a mount point',
    command('mount', { path: '/fixed', uri: 'file:///m' }),
    'ALREADY_EXISTS',
    /file:\/\/\/fixed is mounted at \/fixed: unmount/,
  ],
  ['over a full root', command('mount', { path: '/', uri: 'file:///m' }), 'NOT_EMPTY', /root \/ has entries/],
  ['without a parent', command('mount', { path: '/a/b', uri: 'file:///m' }), 'NOT_FOUND', /no \/a/],
  ['below a file', command('mount', { path: '/open/file/m', uri: 'file:///m' }), 'NOT_A_DIRECTORY', /is a file/],
  [
    'the same UFS',
    command('mount', { path: '/m', uri: 's3://bucket/data/' }),
    'ALREADY_EXISTS',
    /overlaps s3:\/\/bucket\/data, which is mounted at \/parent\/ufs/,
  ],
  ['what contains a mounted UFS', command('mount', { path: '/m', uri: 's3://bucket' }), 'ALREADY_EXISTS', /overlaps/],
  [
    'what a mounted UFS contains',
    command('mount', { path: '/m', uri: 's3://bucket/data/x' }),
    'ALREADY_EXISTS',
    /overlaps/,
  ],
  [
    'all of the disk that has a mounted UFS',
    command('mount', { path: '/m', uri: 'file:///' }),
    'ALREADY_EXISTS',
    /overlaps/,
  ],
  [
    'without a scheme',
    command('mount', { path: '/m', uri: '/data' }),
    'INVALID_ARGUMENT',
    /"\/data" has no scheme: write it like file:/,
  ],
  [
    'with huge options',
    command('mount', { path: '/m', uri: 'file:///m', options: { a: 'x'.repeat(70_000) } }),
    'INVALID_ARGUMENT',
    /70001 characters/,
  ],
  [
    'with a sync interval below never',
    command('mount', { path: '/m', uri: 'file:///m', syncIntervalMs: -2 }),
    'INVALID_ARGUMENT',
    /Sync interval/,
  ],
];

const UNMOUNT: Row[] = [
  ['by a user', command('unmount', { path: '/fixed' }), 'PERMISSION_DENIED', /ask a superuser/, ALICE],
  ['nothing', command('unmount', { path: '/no' }), 'NOT_FOUND', /does not exist/],
  ['a directory', command('unmount', { path: '/open' }), 'INVALID_ARGUMENT', /is not a mount point/],
];

const OTHERS: Row[] = [
  [
    'a load of a directory that is gone',
    command('loadMetadata', { directoryId: 999 }),
    'NOT_FOUND',
    /Directory 999 is no longer in a mounted UFS/,
  ],
  [
    'a load of a directory without UFS',
    command('loadMetadata', { directoryId: 3 }),
    'NOT_FOUND',
    /no longer in a mounted UFS/,
  ],
  [
    'a worker without address',
    command('registerWorker', { worker: { id: 'w', address: '', host: '', capacityBytes: 0 } }),
    'INVALID_ARGUMENT',
    /give both/,
  ],
  [
    'a worker with no capacity at all',
    command('registerWorker', { worker: { id: 'w', address: 'a:1', host: '', capacityBytes: -1 } }),
    'INVALID_ARGUMENT',
    /Capacity of worker w is -1/,
  ],
  [
    'the state of an unknown worker',
    command('setWorkerState', { id: 'w', state: 'lost' }),
    'NOT_FOUND',
    /Worker w is not registered/,
  ],
  [
    'another cluster',
    command('format', { clusterId: 'cluster-2', owner: 'x', group: 'x' }),
    'ALREADY_EXISTS',
    /belongs to cluster cluster-1, not to cluster-2/,
  ],
];

describe.each([
  ['any command', PATHS],
  ['createFile', CREATE],
  ['completeFile', COMPLETE],
  ['makeDirectory', MAKE_DIRECTORY],
  ['delete', DELETE],
  ['rename', RENAME],
  ['setAttributes', ATTRIBUTES],
  ['mount', MOUNT],
  ['unmount', UNMOUNT],
  ['other commands', OTHERS],
])('%s refuses', (_name, rows) => {
  test.each(rows)('%s', (_row, what, code, message, caller = ROOT) => {
    const made = world();
    const before = effects(made.store);
    const { outcome, notices } = made.apply(what, caller);
    expect(outcome).toMatchObject({ kind: 'refused', refusal: { code, message: expect.stringMatching(message) } });
    expect(notices).toEqual([]);
    expect(effects(made.store)).toEqual(before);
    expect(faults(made.store)).toEqual([]);
  });
});

test('everything before the format is refused', () => {
  const store = new MemoryStateStore();
  const { outcome } = apply(store, { atMs: 1, principal: ROOT, command: command('makeDirectory', { path: '/a' }) });
  expect(outcome).toMatchObject({ kind: 'refused', refusal: { code: 'UNAVAILABLE' } });
  expect(store.rows('inode')).toEqual([]);
});
