import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { SluiceError } from '../../src/model/errors.ts';
import type { CreateFileRequest, RequestId } from '../../src/model/operations.ts';
import type { FileStatus } from '../../src/model/status.ts';
import type { FaultyUfs } from '../support/faulty-ufs.ts';
import { turns } from '../support/manual-time.ts';
import { MasterServices, PATIENCE_MS } from '../support/master-services.ts';
import { createFile, deletion, makeDirectory } from '../support/requests.ts';

let master: MasterServices;
let ufs: FaultyUfs;
let root: string;

/** Path of something in the mounted directory. */
const at = (name: string) => join(root, name);

beforeEach(async () => {
  master = new MasterServices();
  root = join(master.folder, 'under');
  mkdirSync(root);
  ufs = await master.mount('/m', root);
});
afterEach(() => master.close());

let sequence = 0;
const CLIENT = 'c0ffee00-0000';

/** A request id of a session that is open. */
async function nextId(): Promise<RequestId> {
  if (master.state.state.get('session', CLIENT) === undefined) {
    sequence = 1;
    const requestId = { client: CLIENT, sequence, acknowledgedBelow: 1 };
    await master.ask('makeDirectory', makeDirectory('/opens-the-session'), { requestId });
  }
  return { client: CLIENT, sequence: ++sequence, acknowledgedBelow: 1 };
}

/** Writes a file as a worker does. */
async function write(path: string, text: string, overwrite = false): Promise<number> {
  const made = await master.ask('createFile', createFile(path, { overwrite, recursive: true }));
  const writer = await ufs.create(made.ufsPath, { mode: made.mode });
  await writer.write(Buffer.from(text));
  const fact = await writer.complete();
  const { lengthBytes, version: ufsVersion, modifiedMs: ufsModifiedMs } = fact;
  await master.ask('completeFile', { path, id: made.id, lengthBytes, ufsVersion, ufsModifiedMs });
  return made.id;
}

function status(path: string) {
  return master.ask('getStatus', { path });
}

/** Asks for a file while another master leads and this one has not heard of it. */
async function createDeposed(request: CreateFileRequest): Promise<unknown> {
  master.state.deposed = true;
  try {
    const asked = master.ask('createFile', request);
    asked.catch(() => undefined);
    // It waits a moment to hear who leads.
    await master.time.armed(PATIENCE_MS);
    await master.time.advance(PATIENCE_MS);
    return await asked;
  } finally {
    master.state.deposed = false;
  }
}

const UNKNOWN = () => {
  throw new SluiceError('UNAVAILABLE', 'Leadership was lost', { details: { fate: 'unknown' } });
};

describe('makeDirectory', () => {
  it('makes it in the under storage first', async () => {
    ufs.after = (call) => {
      if (call === 'makeDirectory') expect(master.state.count('makeDirectory')).toBe(0);
    };
    const made = await master.ask('makeDirectory', makeDirectory('/m/a/b', { recursive: true, mode: 0o750 }));
    expect(made).toMatchObject({ persistence: 'persisted', ufsPath: 'a/b', mode: 0o750 });
    expect(statSync(at('a/b')).mode & 0o777).toBe(0o750);
    expect((await status('/m/a')).persistence).toBe('persisted');
  });

  it('refuses what the under storage has and nobody knew', async () => {
    mkdirSync(at('a/inner'), { recursive: true });
    await expect(master.ask('makeDirectory', makeDirectory('/m/a'))).rejects.toMatchObject({ code: 'ALREADY_EXISTS' });
    writeFileSync(at('f'), 'x');
    await expect(master.ask('makeDirectory', makeDirectory('/m/f'))).rejects.toMatchObject({ code: 'ALREADY_EXISTS' });
    expect((await master.ask('makeDirectory', makeDirectory('/m/a', { allowExists: true }))).path).toBe('/m/a');
  });

  it('leaves nothing here when the under storage fails, and goes on with what the failure left', async () => {
    ufs.failOnce('makeDirectory', 'after');
    await expect(master.ask('makeDirectory', makeDirectory('/m/a'))).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    expect(master.state.count('makeDirectory')).toBe(0);
    expect(existsSync(at('a'))).toBe(true);
    expect((await master.ask('makeDirectory', makeDirectory('/m/a'))).persistence).toBe('persisted');
  });
});

describe('createFile', () => {
  it('loads the directories above before it creates', async () => {
    mkdirSync(at('a/b'), { recursive: true });
    const made = await master.ask('createFile', createFile('/m/a/b/f'));
    expect(made).toMatchObject({ ufsPath: 'a/b/f', complete: false });
    expect(existsSync(at('a/b/f'))).toBe(false);
  });

  it('refuses what the under storage has and nobody knew, unless it may overwrite', async () => {
    writeFileSync(at('f'), 'foreign');
    await expect(master.ask('createFile', createFile('/m/f'))).rejects.toMatchObject({ code: 'ALREADY_EXISTS' });
    const made = await master.ask('createFile', createFile('/m/f', { overwrite: true }));
    expect(made.complete).toBe(false);
    expect(readFileSync(at('f'), 'utf8')).toBe('foreign');
  });

  it('surfaces the failure of a look and creates nothing', async () => {
    ufs.failOnce('stat');
    await expect(master.ask('createFile', createFile('/m/f'))).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    expect(master.state.count('createFile')).toBe(0);
  });

  it('puts an empty file into the under storage', async () => {
    const made = await master.ask('createFile', createFile('/m/e', { empty: true }));
    expect(made).toMatchObject({ complete: true, persistence: 'persisted', lengthBytes: 0 });
    expect(readFileSync(at('e'), 'utf8')).toBe('');
    expect(made.version).toBe((await ufs.stat('e'))?.version);
  });

  it('makes an empty file again when its first try was cut off', async () => {
    const requestId = await nextId();
    const create = createFile('/m/e', { empty: true });
    master.state.before = (command) => {
      if (command.kind === 'createFile') UNKNOWN();
    };
    await expect(master.ask('createFile', create, { requestId })).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    expect(existsSync(at('e'))).toBe(true);
    master.state.before = () => undefined;
    expect((await master.ask('createFile', create, { requestId })).complete).toBe(true);
  });

  it('takes the persisted file that a cached one replaces out of the under storage', async () => {
    await write('/m/f', 'old');
    await master.ask('createFile', createFile('/m/f', { overwrite: true, writeType: 'MUST_CACHE', empty: true }));
    expect(existsSync(at('f'))).toBe(false);
    expect((await status('/m/f')).persistence).toBe('cached');
  });

  it('lets the journal prove that this master leads', async () => {
    const { barriers } = master.state;
    await master.ask('createFile', createFile('/m/a'));
    await master.ask('createFile', createFile('/m/b', { writeType: 'MUST_CACHE', empty: true }));
    expect(master.state.barriers).toBe(barriers);
    await expect(createDeposed(createFile('/m/c'))).rejects.toMatchObject({ code: 'NOT_LEADER' });
  });

  it('hears that it was answered by another leader meanwhile', async () => {
    const requestId = await nextId();
    const create = createFile('/m/f');
    // What this master sees at first is older than that: somebody else has the name.
    await write('/m/f', 'old');
    let made: FileStatus | undefined;
    master.state.beforeBarrier = async () => {
      master.state.beforeBarrier = () => undefined;
      await master.ask('delete', deletion('/m/f'));
      made = await master.ask('createFile', create, { requestId });
    };
    const locks = vi.spyOn(master.locks, 'acquire').mockResolvedValue(() => undefined);
    const answer = await master.ask('createFile', create, { requestId });
    locks.mockRestore();
    expect(made?.id).toBeGreaterThan(0);
    expect(answer.id).toBe(made?.id);
  });

  it.each([
    ['an empty file', createFile('/m/e', { empty: true })],
    ['a cached file', createFile('/m/f', { overwrite: true, writeType: 'MUST_CACHE', empty: true })],
  ])(
    '%s: leaves the under storage to another leader, although that confirms what is known here',
    async (_, request) => {
      await write('/m/f', 'old');
      master.state.confirmed = true;
      master.state.beforeBarrier = () => master.state.lead(false);
      await expect(master.ask('createFile', request)).rejects.toMatchObject({ code: 'NOT_LEADER' });
      expect(existsSync(at('e'))).toBe(false);
      expect(readFileSync(at('f'), 'utf8')).toBe('old');
    },
  );

  it('neither refuses nor changes the under storage before it is known that this master leads', async () => {
    await write('/m/f', 'old');
    for (const request of [
      createFile('/m/f'),
      createFile('/m/f', { overwrite: true, writeType: 'MUST_CACHE', empty: true }),
      createFile('/m/e', { empty: true }),
    ])
      await expect(createDeposed(request)).rejects.toMatchObject({ code: 'NOT_LEADER' });
    expect(readFileSync(at('f'), 'utf8')).toBe('old');
    expect(existsSync(at('e'))).toBe(false);
    await expect(master.ask('createFile', createFile('/m/f'))).rejects.toMatchObject({ code: 'ALREADY_EXISTS' });
  });
});

describe('delete', () => {
  it('deletes in the under storage first', async () => {
    await write('/m/f', 'x');
    ufs.after = (call) => {
      if (call === 'delete') expect(master.state.count('delete')).toBe(0);
    };
    await master.ask('delete', deletion('/m/f'));
    expect(existsSync(at('f'))).toBe(false);
    expect(await master.ask('exists', { path: '/m/f' })).toEqual({ exists: false });
  });

  it('deletes what nobody knew', async () => {
    mkdirSync(at('d/e'), { recursive: true });
    writeFileSync(at('d/e/f'), 'x');
    await master.ask('delete', deletion('/m/d', { recursive: true }));
    expect(readdirSync(root)).toEqual([]);
  });

  it('refuses a directory whose children only the under storage knows', async () => {
    mkdirSync(at('d/e'), { recursive: true });
    await expect(master.ask('delete', deletion('/m/d'))).rejects.toMatchObject({ code: 'NOT_EMPTY' });
    expect((await status('/m/d')).kind).toBe('directory');
  });

  it('leaves it in the under storage when asked to, and finds it again', async () => {
    const id = await write('/m/f', 'x');
    await master.ask('delete', deletion('/m/f', { keepUfs: true }));
    expect(existsSync(at('f'))).toBe(true);
    expect((await status('/m/f')).id).not.toBe(id);
  });

  it('does not touch the under storage for a file that is only cached', async () => {
    await master.ask('createFile', createFile('/m/c', { writeType: 'MUST_CACHE', empty: true }));
    writeFileSync(at('c'), 'foreign');
    await master.ask('delete', deletion('/m/c'));
    expect(existsSync(at('c'))).toBe(true);
  });

  it('forgets nothing when the under storage fails', async () => {
    await write('/m/f', 'x');
    ufs.failOnce('delete');
    await expect(master.ask('delete', deletion('/m/f'))).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    expect((await status('/m/f')).lengthBytes).toBe(1);
    await master.ask('delete', deletion('/m/f'));
    expect(existsSync(at('f'))).toBe(false);
  });

  it.each(['before', 'after'] as const)(
    'is finished by a retry at the next leader, cut off %s it was applied',
    async (when) => {
      await write('/m/f', 'x');
      const requestId = await nextId();
      master.state[when] = (command) => {
        if (command.kind === 'delete') UNKNOWN();
      };
      await expect(master.ask('delete', deletion('/m/f'), { requestId })).rejects.toMatchObject({
        code: 'UNAVAILABLE',
      });
      master.state.lead(false);
      const next = new MasterServices({ successorOf: master });
      // Somebody has made it anew meanwhile: a remembered reply must not delete it again.
      if (when === 'after') writeFileSync(at('f'), 'new');
      await next.ask('delete', deletion('/m/f'), { requestId });
      expect(existsSync(at('f'))).toBe(when === 'after');
      await next.close();
    },
  );
});

describe('rename', () => {
  it('renames in the under storage first, and knows the version afterwards', async () => {
    const id = await write('/m/f', 'text');
    ufs.after = (call) => {
      if (call === 'rename') expect(master.state.count('rename')).toBe(0);
    };
    await master.ask('rename', { source: '/m/f', target: '/m/g', overwrite: false });
    expect(readdirSync(root)).toEqual(['g']);
    expect(await status('/m/g')).toMatchObject({ id, version: (await ufs.stat('g'))?.version });
  });

  it('refuses a target that only the under storage knows, and replaces it when it may', async () => {
    await write('/m/f', 'text');
    writeFileSync(at('g'), 'foreign');
    const request = { source: '/m/f', target: '/m/g', overwrite: false };
    await expect(master.ask('rename', request)).rejects.toMatchObject({ code: 'ALREADY_EXISTS' });
    expect(readFileSync(at('g'), 'utf8')).toBe('foreign');
    await master.ask('rename', { ...request, overwrite: true });
    expect(readFileSync(at('g'), 'utf8')).toBe('text');
  });

  it('moves a cached file without the under storage, but for what it replaces there', async () => {
    await master.ask('createFile', createFile('/m/c', { writeType: 'MUST_CACHE', empty: true }));
    await write('/m/g', 'old');
    await master.ask('rename', { source: '/m/c', target: '/m/g', overwrite: true });
    expect(readdirSync(root)).toEqual([]);
    expect((await status('/m/g')).persistence).toBe('cached');
  });

  it('moves a directory that only we have over an empty one of the under storage', async () => {
    await master.ask('createFile', createFile('/m/c/f', { writeType: 'MUST_CACHE', empty: true, recursive: true }));
    await master.ask('makeDirectory', makeDirectory('/m/d'));
    await master.ask('rename', { source: '/m/c', target: '/m/d', overwrite: true });
    expect(readdirSync(root)).toEqual([]);
    expect((await status('/m/d/f')).persistence).toBe('cached');
  });

  it('refuses to leave the mount', async () => {
    await write('/m/f', 'x');
    const away = master.ask('rename', { source: '/m/f', target: '/f', overwrite: false });
    await expect(away).rejects.toMatchObject({ code: 'CROSS_MOUNT' });
    expect(existsSync(at('f'))).toBe(true);
  });

  it('keeps everything where it was when the under storage fails', async () => {
    await write('/m/f', 'x');
    ufs.failOnce('rename');
    const asked = master.ask('rename', { source: '/m/f', target: '/m/g', overwrite: false });
    await expect(asked).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    expect((await status('/m/f')).lengthBytes).toBe(1);
    expect(await master.ask('exists', { path: '/m/g' })).toEqual({ exists: false });
  });

  it.each([
    ['a file', false, false],
    ['a file over another', false, true],
    ['a directory', true, false],
  ])('of %s is finished by a retry at the next leader', async (_, directory, overwrite) => {
    if (directory) await write('/m/f/inner', 'inner');
    else await write('/m/f', 'text');
    if (overwrite) await write('/m/g', 'something longer');
    const requestId = await nextId();
    const request = { source: '/m/f', target: '/m/g', overwrite };
    master.state.before = (command) => {
      if (command.kind === 'rename') UNKNOWN();
    };
    await expect(master.ask('rename', request, { requestId })).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    expect(readdirSync(root)).toEqual(['g']);
    master.state.lead(false);
    const next = new MasterServices({ successorOf: master });
    await next.ask('rename', request, { requestId });
    await next.ask('rename', request, { requestId });
    expect(readdirSync(root)).toEqual(['g']);
    expect(await next.ask('exists', { path: '/m/f' })).toEqual({ exists: false });
    expect((await next.ask('getStatus', { path: directory ? '/m/g/inner' : '/m/g' })).complete).toBe(true);
    await next.close();
  });
});

describe('setAttributes', () => {
  it('changes the under storage, and its own change of a time is none of the content', async () => {
    await write('/m/f', 'x');
    const changed = await master.ask('setAttributes', { path: '/m/f', mode: 0o600, modifiedMs: 1_600_000_000_000 });
    expect(statSync(at('f')).mode & 0o777).toBe(0o600);
    expect(statSync(at('f')).mtimeMs).toBe(1_600_000_000_000);
    expect(changed.version).toBe((await ufs.stat('f'))?.version);
    expect(changed.modifiedMs).toBe(1_600_000_000_000);
  });

  it('leaves the under storage alone for what concerns only us', async () => {
    await write('/m/f', 'x');
    await master.ask('setAttributes', { path: '/m/f', pinned: true });
    expect(ufs.count('setAttributes')).toBe(0);
  });

  it('changes nothing here when the under storage fails', async () => {
    await write('/m/f', 'x');
    ufs.failOnce('setAttributes');
    const asked = master.ask('setAttributes', { path: '/m/f', mode: 0o600 });
    await expect(asked).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    expect((await status('/m/f')).mode).toBe(0o644);
  });
});

describe('a refusal leaves the under storage untouched', () => {
  const rows: readonly [string, () => Promise<unknown>, string][] = [
    ['delete by a stranger', () => master.ask('delete', deletion('/m/f'), { user: 'ann' }), 'PERMISSION_DENIED'],
    ['delete of another inode', () => master.ask('delete', deletion('/m/f', { id: 4711 })), 'STALE'],
    ['delete of the mount point', () => master.ask('delete', deletion('/m', { recursive: true })), 'CROSS_MOUNT'],
    [
      'rename by a stranger',
      () => master.ask('rename', { source: '/m/f', target: '/m/g', overwrite: true }, { user: 'ann' }),
      'PERMISSION_DENIED',
    ],
    [
      'mkdir by a stranger',
      () => master.ask('makeDirectory', makeDirectory('/m/d'), { user: 'ann' }),
      'PERMISSION_DENIED',
    ],
    ['mkdir without parents', () => master.ask('makeDirectory', makeDirectory('/m/d/e')), 'NOT_FOUND'],
    [
      'an empty file by a stranger',
      () => master.ask('createFile', createFile('/m/e', { empty: true }), { user: 'ann' }),
      'PERMISSION_DENIED',
    ],
    [
      'chmod by a stranger',
      () => master.ask('setAttributes', { path: '/m/f', mode: 0 }, { user: 'ann' }),
      'PERMISSION_DENIED',
    ],
    [
      'an unknown session',
      () =>
        master.ask('delete', deletion('/m/f'), {
          requestId: { client: 'unknown-1', sequence: 7, acknowledgedBelow: 7 },
        }),
      'SESSION_EXPIRED',
    ],
  ];
  it.each(rows)('%s', async (_, ask, code) => {
    await write('/m/f', 'x');
    const changes = () =>
      ['create', 'delete', 'rename', 'makeDirectory', 'setAttributes'].map((call) => ufs.count(call as 'delete'));
    const before = changes();
    await expect(ask()).rejects.toMatchObject({ code });
    expect(changes()).toEqual(before);
    expect(readdirSync(root)).toEqual(['f']);
    expect(master.locks.size).toBe(0);
  });

  it('and still opens the session that it began', async () => {
    const requestId = { client: 'opens-1', sequence: 1, acknowledgedBelow: 1 };
    await expect(master.ask('delete', deletion('/m/no'), { requestId })).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await master.ask('makeDirectory', makeDirectory('/m/d'), { requestId: { ...requestId, sequence: 2 } });
    await expect(master.ask('delete', deletion('/m/no'), { requestId })).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });
});

describe('mount', () => {
  const mountOf = (path: string, directory: string, readOnly = false) => ({
    path,
    uri: `file://${directory}`,
    options: { 'x.secret': 'hidden', 'x.plain': 'shown' },
    readOnly,
    syncIntervalMs: -1,
  });

  it('masks secrets', async () => {
    const other = join(master.folder, 'other');
    mkdirSync(other);
    const made = await master.ask('mount', mountOf('/n', other));
    expect(made.options).toEqual({ 'x.secret': '******', 'x.plain': 'shown' });
    const { mounts } = await master.ask('getMountTable', {});
    expect(mounts.map(({ path, options }) => [path, options['x.secret']])).toEqual([
      ['/m', undefined],
      ['/n', '******'],
    ]);
  });

  it('refuses a directory that is not there, and mounts nothing', async () => {
    const missing = join(master.folder, 'missing');
    const asked = master.ask('mount', mountOf('/n', missing));
    await expect(asked).rejects.toMatchObject({ code: 'NOT_FOUND', message: expect.stringContaining('Cannot mount') });
    expect(master.state.count('mount')).toBe(1);
    expect(master.ufsAt(`file://${missing}`).closed).toBe(true);
  });

  it('refuses a name that the under storage around it has', async () => {
    mkdirSync(at('taken'));
    const other = join(master.folder, 'other');
    mkdirSync(other);
    await expect(master.ask('mount', mountOf('/m/taken', other))).rejects.toMatchObject({ code: 'ALREADY_EXISTS' });
  });

  it('nests, and closes the under storage when it is unmounted', async () => {
    const other = join(master.folder, 'other');
    mkdirSync(other);
    writeFileSync(join(other, 'f'), 'inner');
    const inner = await master.mount('/m/inner', other);
    expect(await status('/m/inner/f')).toMatchObject({ ufsPath: 'f', lengthBytes: 5 });
    await expect(master.ask('unmount', { path: '/m' })).rejects.toMatchObject({ code: 'CROSS_MOUNT' });
    await master.ask('unmount', { path: '/m/inner' });
    await vi.waitFor(() => expect(inner.closed).toBe(true));
    expect(await master.ask('exists', { path: '/m/inner/f' })).toEqual({ exists: false });
    expect(readFileSync(join(other, 'f'), 'utf8')).toBe('inner');
  });

  it('keeps a read-only mount as it is', async () => {
    const other = join(master.folder, 'other');
    mkdirSync(other);
    writeFileSync(join(other, 'f'), 'x');
    await master.ask('mount', mountOf('/n', other, true));
    for (const ask of [
      () => master.ask('createFile', createFile('/n/g')),
      () => master.ask('makeDirectory', makeDirectory('/n/d')),
      () => master.ask('delete', deletion('/n/f')),
      () => master.ask('rename', { source: '/n/f', target: '/n/g', overwrite: false }),
      () => master.ask('setAttributes', { path: '/n/f', mode: 0o600 }),
    ]) {
      await expect(ask()).rejects.toMatchObject({ code: 'READ_ONLY' });
    }
    expect(readdirSync(other)).toEqual(['f']);
  });
});

describe('our own changes', () => {
  it('are not mistaken for foreign ones by a mount that always looks', async () => {
    const other = join(master.folder, 'live');
    mkdirSync(other);
    await master.ask('unmount', { path: '/m' });
    ufs = await master.mount('/m', other, { syncIntervalMs: 0 });
    const id = await write('/m/a/f', 'text');
    await master.ask('makeDirectory', makeDirectory('/m/d'));
    await master.ask('rename', { source: '/m/a/f', target: '/m/d/g', overwrite: false });
    await master.ask('setAttributes', { path: '/m/d/g', modifiedMs: 1_500_000_000_000 });
    const listed = await master.ask('listStatus', { path: '/m', recursive: true, cursor: '', limit: 0 });
    expect(listed.entries.map(({ path }) => path)).toEqual(['/m/a', '/m/d', '/m/d/g']);
    const before = await status('/m/d/g');
    const loads = master.state.count('loadMetadata');
    expect(before).toMatchObject({ id, persistence: 'persisted' });
    expect(await status('/m/d/g')).toEqual(before);
    expect((await master.ask('listStatus', { path: '/m/d', recursive: false, cursor: '', limit: 0 })).entries).toEqual([
      before,
    ]);
    expect(master.state.count('loadMetadata')).toBe(loads);
    // A foreign change is one.
    utimesSync(join(other, 'd/g'), 1, 1);
    expect((await status('/m/d/g')).version).not.toBe(before.version);
    rmSync(join(other, 'd/g'));
    await expect(status('/m/d/g')).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  it('wait for each other on one path', async () => {
    let open: () => void = () => undefined;
    const gate = new Promise<void>((resolve) => {
      open = resolve;
    });
    ufs.before = (call) => (call === 'makeDirectory' ? gate : undefined);
    const making = master.ask('makeDirectory', makeDirectory('/m/d'));
    const aborted = new AbortController();
    const removing = master.ask('delete', deletion('/m/d'));
    const reading = master.ask('getStatus', { path: '/m/d' }, { signal: aborted.signal });
    await turns();
    aborted.abort();
    await expect(reading).rejects.toMatchObject({ code: 'CANCELLED' });
    expect(ufs.count('delete')).toBe(0);
    open();
    await making;
    await removing;
    expect(readdirSync(root)).toEqual([]);
  });
});
