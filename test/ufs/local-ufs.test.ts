import { execFileSync } from 'node:child_process';
import {
  appendFile,
  chmod,
  link,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  symlink,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createLogger, type LogFields, type Logger } from '../../src/host/logger.ts';
import { LocalAccounts } from '../../src/ufs/local-accounts.ts';
import { localError } from '../../src/ufs/local-errors.ts';
import { LocalUfs } from '../../src/ufs/local-ufs.ts';
import { temporaryName } from '../../src/ufs/ufs-path.ts';
import { listAll, readAll, writeFile as writeTo } from '../contract/ufs.ts';

/** Of every POSIX host; node cannot make pipes with names. */
const MKFIFO = 'mkfifo';
const silent = createLogger('silent', {});
let folder: string;
let root: string;
let ufs: LocalUfs;
let warnings: LogFields[];

function recordingLogger(): Logger {
  const logger: Logger = {
    ...silent,
    debug() {},
    info() {},
    error() {},
    warn: (fields) => void warnings.push(fields),
    child: () => logger,
  };
  return logger;
}

beforeEach(async () => {
  warnings = [];
  folder = await mkdtemp(join(tmpdir(), 'sluice-local-'));
  root = join(folder, 'root');
  await mkdir(root);
  ufs = new LocalUfs(root, recordingLogger());
});

afterEach(async () => {
  await ufs.close();
  await rm(folder, { recursive: true, force: true });
});

const namesIn = async (path: string): Promise<string[]> => (await listAll(ufs, path)).map(({ name }) => name);

describe('links', () => {
  test('inside the root are followed; out of it, to nothing or back up are left out and counted', async () => {
    await mkdir(join(root, 'd/e'), { recursive: true });
    await writeFile(join(root, 'd/file'), 'inside');
    await writeFile(join(folder, 'secret'), 'outside');
    await symlink('d/file', join(root, 'to-file'));
    await symlink('d', join(root, 'to-dir'));
    await symlink(join(folder, 'secret'), join(root, 'to-secret'));
    await symlink('..', join(root, 'to-outside'));
    await symlink('nothing', join(root, 'to-nothing'));
    await symlink('self', join(root, 'self'));
    await symlink('../..', join(root, 'd/e/up'));
    expect(await namesIn('')).toEqual(['d', 'to-dir', 'to-file']);
    expect(warnings).toMatchObject([{ total: 4 }]);
    expect(await namesIn('d/e')).toEqual([]);
    expect(await namesIn('to-dir')).toEqual(['e', 'file']);
    expect((await readAll(ufs, 'to-dir/file')).toString()).toBe('inside');
    for (const path of ['to-secret', 'to-outside/secret', 'to-nothing', 'self', 'd/e/up/d']) {
      expect(await ufs.stat(path)).toBeUndefined();
      await expect(readAll(ufs, path)).rejects.toMatchObject({ code: 'NOT_FOUND' });
    }
  });

  test('links to each other do not make an endless tree', async () => {
    await mkdir(join(root, 'a'));
    await mkdir(join(root, 'b'));
    await symlink('../b', join(root, 'a/to-b'));
    await symlink('../a', join(root, 'b/to-a'));
    expect(await namesIn('a')).toEqual(['to-b']);
    expect(await namesIn('a/to-b')).toEqual([]);
  });

  test('nothing is written, moved or deleted through a link that leaves the root', async () => {
    await mkdir(join(folder, 'elsewhere'));
    await writeFile(join(folder, 'elsewhere/precious'), 'x');
    await symlink(join(folder, 'elsewhere'), join(root, 'out'));
    await expect(writeTo(ufs, 'out/new', 'x')).rejects.toMatchObject({ code: 'PERMISSION_DENIED' });
    await expect(ufs.makeDirectory('out/dir', {})).rejects.toMatchObject({ code: 'PERMISSION_DENIED' });
    await expect(ufs.rename('out/precious', 'mine')).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await ufs.delete('out/precious', { recursive: true });
    await ufs.delete('out', { recursive: true });
    expect(await readdir(join(folder, 'elsewhere'))).toEqual(['precious']);
    expect(await readdir(root)).toEqual([]);
  });

  test('a root that is itself a link is fine', async () => {
    await symlink(root, join(folder, 'alias'));
    await writeFile(join(root, 'f'), 'x');
    const aliased = new LocalUfs(join(folder, 'alias'), silent);
    await aliased.check(false);
    expect((await listAll(aliased, '')).map(({ name }) => name)).toEqual(['f']);
  });
});

describe('listing', () => {
  test('leaves out what is no file and what is not UTF-8, and says so', async () => {
    execFileSync(MKFIFO, [join(root, 'pipe')]);
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(join(root, 'socket'), resolve));
    await writeFile(Buffer.concat([Buffer.from(`${root}/bad-`), Buffer.from([0xff, 0xfe])]), 'x');
    await writeFile(join(root, 'good-\ufffd'), 'x');
    expect(await namesIn('')).toEqual(['good-\ufffd']);
    expect(warnings).toMatchObject([
      { total: 3, reasons: { 'neither file nor directory': 2, 'name is not UTF-8': 1 } },
    ]);
    expect(await ufs.stat('pipe')).toBeUndefined();
    await expect(readAll(ufs, 'pipe')).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await new Promise((resolve) => server.close(resolve));
  });

  test.each([1, 2, 7, 1000])('is right with %i names in memory', async (namesPerPass) => {
    const small = new LocalUfs(root, silent, { namesPerPass });
    const names = Array.from({ length: 50 }, (_, index) => `n${(index * 37) % 50}`);
    for (const name of names) await writeFile(join(root, name), name);
    expect((await listAll(small, '')).map(({ name }) => name)).toEqual([...names].sort());
  });

  test('does not show files that are being written; old ones go when this process may write', async () => {
    const [old, young] = [temporaryName('0'.repeat(36)), temporaryName('1'.repeat(36))];
    for (const name of [old, young]) await writeFile(join(root, name), 'x');
    await utimes(join(root, old), 1, Date.now() / 1000 - 2 * 86400);
    expect(await namesIn('')).toEqual([]);
    expect((await readdir(root)).sort()).toEqual([old, young]);
    await ufs.check(false);
    expect(await namesIn('')).toEqual([]);
    expect(await readdir(root)).toEqual([young]);
    expect(await ufs.stat(young)).toBeUndefined();
    await expect(writeTo(ufs, young, 'x')).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  });

  test('an empty directory with an old unfinished file can be deleted, with a young one not', async () => {
    const temporary = join(root, 'd', temporaryName('0'.repeat(36)));
    await mkdir(join(root, 'd'));
    await writeFile(temporary, 'x');
    await expect(ufs.delete('d', { recursive: false })).rejects.toMatchObject({ code: 'NOT_EMPTY' });
    await utimes(temporary, 1, 1);
    await ufs.delete('d', { recursive: false });
    expect(await ufs.stat('d')).toBeUndefined();
  });
});

describe('versions', () => {
  test('a file that is replaced by one of equal time and length differs', async () => {
    const fact = await writeTo(ufs, 'f', 'one');
    await writeFile(join(root, 'g'), 'two');
    const { atime, mtime } = await stat(join(root, 'f'));
    await utimes(join(root, 'f'), atime, mtime);
    await utimes(join(root, 'g'), atime, mtime);
    const before = await ufs.stat('f');
    await rename(join(root, 'g'), join(root, 'f'));
    const after = await ufs.stat('f');
    expect(after).toMatchObject({ lengthBytes: 3, modifiedMs: before!.modifiedMs });
    expect(after!.version).not.toBe(before!.version);
    expect(fact.lengthBytes).toBe(3);
  });

  test('a file that changes while it is read ends the read with STALE', async () => {
    const { version } = await writeTo(ufs, 'f', Buffer.alloc(3 * 2 ** 20, 1));
    const chunks = ufs.read('f', { offset: 0, lengthBytes: 2 ** 30, version })[Symbol.asyncIterator]();
    expect((await chunks.next()).value).toHaveLength(2 ** 20);
    await appendFile(join(root, 'f'), 'more');
    await expect(chunks.next()).rejects.toMatchObject({ code: 'STALE' });
  });
});

describe('root', () => {
  test('that is missing or no directory is an error, never emptiness', async () => {
    await rm(root, { recursive: true });
    await expect(ufs.check(true)).rejects.toMatchObject({
      code: 'NOT_FOUND',
      message: expect.stringContaining('Mount it'),
    });
    const operations = [() => ufs.stat('a'), () => ufs.stat(''), () => listAll(ufs, ''), () => readAll(ufs, 'a')];
    for (const operation of operations) {
      await expect(operation()).rejects.toMatchObject({
        code: 'UNAVAILABLE',
        message: expect.stringContaining('Mount it'),
      });
    }
    await expect(ufs.delete('a', { recursive: true })).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    await writeFile(root, 'x');
    await expect(ufs.check(true)).rejects.toMatchObject({ code: 'NOT_A_DIRECTORY' });
  });

  test('that becomes another directory is UNAVAILABLE: so an unmounted disk looks', async () => {
    await writeTo(ufs, 'f', 'x');
    await rename(root, `${root}-away`);
    await mkdir(root);
    await expect(ufs.stat('f')).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    await expect(listAll(ufs, '')).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    await rm(root, { recursive: true });
    await rename(`${root}-away`, root);
    expect(await ufs.stat('f')).toMatchObject({ lengthBytes: 1 });
  });
});

describe('attributes', () => {
  test('owner, group and rights are those of the host', async () => {
    await writeFile(join(root, 'f'), 'x');
    await chmod(join(root, 'f'), 0o4751);
    const { username } = userInfo();
    expect(await ufs.stat('f')).toMatchObject({ owner: username, mode: 0o4751 });
  });

  test('a new file has the rights that were asked for, whatever the umask', async () => {
    const earlier = process.umask(0o077);
    try {
      const writer = await ufs.create('f', { mode: 0o666, modifiedMs: 1_500_000_000_001 });
      expect(await writer.complete()).toMatchObject({ mode: 0o666, modifiedMs: 1_500_000_000_001 });
    } finally {
      process.umask(earlier);
    }
  });

  test('accounts: the first line counts, unknown numbers stay numbers', async () => {
    const [users, groups] = [join(folder, 'users'), join(folder, 'groups')];
    await writeFile(users, 'ann:x:7:7::/:/bin/sh\nbob:x:8:8::/:\nann2:x:7:7::/:\n# comment\nbroken\n');
    await writeFile(groups, 'staff:x:50:ann,bob\n');
    const names = await new LocalAccounts(silent, [users, groups]).names();
    expect([names.user(7), names.user(8), names.user(99), names.group(50), names.group(51)]).toEqual([
      'ann',
      'bob',
      '99',
      'staff',
      '51',
    ]);
    expect([names.uid('ann2'), names.uid('12'), names.uid('nobody-here'), names.gid('staff')]).toEqual([
      7,
      12,
      undefined,
      50,
    ]);
    const none = await new LocalAccounts(silent, [join(folder, 'no'), join(folder, 'no')]).names();
    expect(none.user(0)).toBe('0');
  });
});

test('hard links are two files; deleting one leaves the other', async () => {
  await writeTo(ufs, 'f', 'x');
  await link(join(root, 'f'), join(root, 'g'));
  await ufs.delete('f', { recursive: false });
  expect(await readFile(join(root, 'g'), 'utf8')).toBe('x');
});

test.each([
  ['ENOSPC', 'EXHAUSTED', /free of/],
  ['EDQUOT', 'EXHAUSTED', /free of/],
  ['EACCES', 'PERMISSION_DENIED', /rights/],
  ['EPERM', 'PERMISSION_DENIED', /rights/],
  ['EROFS', 'READ_ONLY', /remount/],
  ['EMFILE', 'EXHAUSTED', /ulimit/],
  ['EXDEV', 'CROSS_MOUNT', /copy/],
  ['EIO', 'UNAVAILABLE', /EIO/],
  ['ESTALE', 'UNAVAILABLE', /ESTALE/],
])('%s of the host is %s', async (errno, code, message) => {
  const error = await localError(Object.assign(new Error('said by the host'), { code: errno }), join(root, 'x/y'));
  expect(error).toMatchObject({ code, message: expect.stringMatching(message) });
  expect(error.message).toContain(join(root, 'x/y'));
});
