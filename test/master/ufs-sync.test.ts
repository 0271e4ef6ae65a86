import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { SluiceError } from '../../src/model/errors.ts';
import type { FaultyUfs } from '../support/faulty-ufs.ts';
import { MasterServices } from '../support/master-services.ts';
import { createFile, deletion, makeDirectory } from '../support/requests.ts';

const INTERVAL_MS = 10_000;

let master: MasterServices;
let ufs: FaultyUfs;
let root: string;
const at = (name: string) => join(root, name);

beforeEach(() => {
  master = new MasterServices();
  root = join(master.folder, 'under');
  mkdirSync(root);
});
afterEach(() => master.close());

async function mounted(syncIntervalMs: number): Promise<void> {
  ufs = await master.mount('/m', root, { syncIntervalMs });
}

function put(name: string, text: string): void {
  mkdirSync(join(at(name), '..'), { recursive: true });
  writeFileSync(at(name), text);
}

async function names(path = '/m', recursive = false): Promise<string[]> {
  const { entries } = await master.ask('listStatus', { path, recursive, cursor: '', limit: 0 });
  return entries.map((entry) => entry.path);
}

const status = (path: string) => master.ask('getStatus', { path });
const exists = async (path: string) => (await master.ask('exists', { path })).exists;

describe('a path', () => {
  it('is loaded with the directories above it at its first access', async () => {
    put('a/b/f', 'text');
    await mounted(-1);
    expect(await status('/m/a/b/f')).toMatchObject({ lengthBytes: 4, persistence: 'persisted', complete: true });
    expect(ufs.calls.filter((call) => call.startsWith('stat'))).toEqual(['stat a', 'stat a/b', 'stat a/b/f']);
    await status('/m/a/b/f');
    expect(ufs.count('stat')).toBe(3);
  });

  it.each([
    ['never', -1, 1_000_000, 'old'],
    ['before the interval is over', INTERVAL_MS, INTERVAL_MS - 1, 'old'],
    ['after the interval', INTERVAL_MS, INTERVAL_MS, 'new'],
    ['at each access', 0, 0, 'new'],
  ])('shows a foreign change %s', async (_, interval, waitMs, seen) => {
    put('f', 'old');
    await mounted(interval);
    const before = await status('/m/f');
    put('f', 'newer');
    await master.time.advance(waitMs);
    const after = await status('/m/f');
    expect(after.lengthBytes).toBe(seen === 'new' ? 5 : 3);
    expect(after.id).toBe(before.id);
    expect(after.version === before.version).toBe(seen === 'old');
  });

  it('is looked at now when that is asked for, whatever the interval', async () => {
    put('d/f', 'old');
    await mounted(-1);
    expect(await names('/m', true)).toEqual(['/m/d', '/m/d/f']);
    put('d/f', 'newer');
    put('d/new', 'x');
    await expect(status('/m/d/new')).rejects.toMatchObject({ code: 'NOT_FOUND' });
    expect((await status('/m/d/f')).lengthBytes).toBe(3);
    expect((await master.ask('getStatus', { path: '/m/d/f', sync: true })).lengthBytes).toBe(5);
    expect((await status('/m/d/f')).lengthBytes).toBe(5);
    expect((await master.ask('getStatus', { path: '/m/d/new', sync: true })).lengthBytes).toBe(1);
    rmSync(at('d/f'));
    put('d/other', 'x');
    expect(await names('/m', true)).toEqual(['/m/d', '/m/d/f', '/m/d/new']);
    const anew = await master.ask('listStatus', { path: '/m', recursive: true, cursor: '', limit: 0, sync: true });
    expect(anew.entries.map((entry) => entry.path)).toEqual(['/m/d', '/m/d/new', '/m/d/other']);
    expect(await names('/m', true)).toEqual(['/m/d', '/m/d/new', '/m/d/other']);
    rmSync(at('d/new'));
    await expect(master.ask('getStatus', { path: '/m/d/new', sync: true })).rejects.toMatchObject({
      code: 'NOT_FOUND',
    });
  });

  it('vanishes after the interval', async () => {
    put('f', 'x');
    await mounted(INTERVAL_MS);
    expect(await exists('/m/f')).toBe(true);
    rmSync(at('f'));
    expect(await exists('/m/f')).toBe(true);
    await master.time.advance(INTERVAL_MS);
    expect(await exists('/m/f')).toBe(false);
  });

  it('becomes another kind of thing', async () => {
    put('x/inner', 'x');
    await mounted(0);
    expect(await names('/m', true)).toEqual(['/m/x', '/m/x/inner']);
    rmSync(at('x'), { recursive: true });
    put('x', 'file');
    expect(await status('/m/x')).toMatchObject({ kind: 'file', lengthBytes: 4 });
    rmSync(at('x'));
    put('x/again', 'x');
    expect(await status('/m/x/again')).toMatchObject({ kind: 'file' });
  });

  it('that is absent is asked for again after a second, or when we made it', async () => {
    await mounted(INTERVAL_MS);
    expect(await exists('/m/f')).toBe(false);
    put('f', 'x');
    expect(await exists('/m/f')).toBe(false);
    expect(ufs.count('stat')).toBe(1);
    await master.time.advance(1_000);
    expect(await exists('/m/f')).toBe(true);

    expect(await exists('/m/g')).toBe(false);
    await master.ask('createFile', createFile('/m/g', { empty: true }));
    await master.ask('delete', deletion('/m/g', { keepUfs: true }));
    expect(await exists('/m/g')).toBe(true);
  });

  it('is served as known when the under storage fails, and not asked for at each access', async () => {
    put('f', 'x');
    await mounted(INTERVAL_MS);
    const before = await status('/m/f');
    rmSync(at('f'));
    await master.time.advance(INTERVAL_MS);
    ufs.failOnce('stat');
    expect(await status('/m/f')).toEqual(before);
    expect(await status('/m/f')).toEqual(before);
    expect(ufs.count('stat')).toBe(2);
    expect(await master.metrics.text()).toContain('sluice_master_sync_served_stale_total 1');
    await master.time.advance(1_000);
    expect(await exists('/m/f')).toBe(false);
  });

  it('that is not known surfaces the failure, which is not taken for absence', async () => {
    put('f', 'x');
    await mounted(INTERVAL_MS);
    ufs.failOnce('stat');
    await expect(exists('/m/f')).rejects.toMatchObject({ code: 'UNAVAILABLE', details: { ufs: expect.anything() } });
    expect(await exists('/m/f')).toBe(true);
  });

  it('is looked up once for all who ask at a time', async () => {
    put('f', 'x');
    await mounted(INTERVAL_MS);
    await Promise.all(Array.from({ length: 50 }, () => status('/m/f')));
    expect(ufs.count('stat')).toBe(1);
    expect(master.state.count('loadMetadata')).toBe(1);
  });

  it('that was listed is not looked up again', async () => {
    put('f', 'x');
    await mounted(INTERVAL_MS);
    await names();
    await status('/m/f');
    expect(await exists('/m/other')).toBe(false);
    expect(ufs.count('stat')).toBe(0);
  });

  it('does not hold up its caller when the under storage hangs', async () => {
    await mounted(INTERVAL_MS);
    let open: () => void = () => undefined;
    ufs.before = (call) =>
      call === 'stat'
        ? new Promise<void>((resolve) => {
            open = resolve;
          })
        : undefined;
    const abort = new AbortController();
    const asked = master.ask('exists', { path: '/m/f' }, { signal: abort.signal });
    await vi.waitFor(() => expect(ufs.count('stat')).toBe(1));
    abort.abort();
    await expect(asked).rejects.toMatchObject({ code: 'CANCELLED' });
    open();
    await vi.waitFor(() => expect(master.locks.size).toBe(0));
  });
});

describe('a directory', () => {
  it('is listed once, and known from then on', async () => {
    for (const name of ['c', 'a', 'b/inner']) put(name, 'x');
    await mounted(-1);
    expect(await names()).toEqual(['/m/a', '/m/b', '/m/c']);
    put('d', 'x');
    expect(await names()).toEqual(['/m/a', '/m/b', '/m/c']);
    expect(await exists('/m/d')).toBe(false);
    expect(ufs.calls.filter((call) => call !== 'check false')).toEqual(['list ']);
    expect(master.state.count('loadMetadata')).toBe(1);
  });

  it('is loaded recursively as it is walked', async () => {
    put('a/b/c/f', 'x');
    put('a/g', 'x');
    await mounted(-1);
    expect(await names('/m', true)).toEqual(['/m/a', '/m/a/b', '/m/a/b/c', '/m/a/b/c/f', '/m/a/g']);
  });

  it('is loaded ahead of a recursive listing, many at a time and each once', async () => {
    const expected: string[] = [];
    for (let at = 10; at < 60; at++) {
      put(`d${at}/e/f`, 'x');
      expected.push(`/m/d${at}`, `/m/d${at}/e`, `/m/d${at}/e/f`);
    }
    await mounted(-1);
    let running = 0;
    let most = 0;
    let enough: () => void = () => undefined;
    const many = new Promise<void>((resolve) => {
      enough = resolve;
    });
    ufs.before = async (call, path) => {
      if (call !== 'list' || path === '') return;
      running += 1;
      most = Math.max(most, running);
      if (running === 16) enough();
      // Nothing is answered before sixteen are asked.
      await many;
      running -= 1;
    };
    expect(await names('/m', true)).toEqual(expected);
    expect(most).toBeLessThanOrEqual(17);
    const lists = ufs.calls.filter((call) => call.startsWith('list '));
    expect(lists.length).toBe(101);
    expect(new Set(lists).size).toBe(101);
  });

  it.each([
    ['each once when its mount wants a look at each access', 0, 4],
    ['not again when it is known', -1, 0],
  ])('is loaded ahead %s', async (_, interval, looks) => {
    for (const name of ['a/f', 'b/f', 'c/f']) put(name, 'x');
    await mounted(interval);
    const first = await names('/m', true);
    const before = ufs.count('list');
    expect(await names('/m', true)).toEqual(first);
    expect(ufs.count('list') - before).toBe(looks);
  });

  it('that is slow ends the page of a recursive listing, which goes on from there', async () => {
    for (const name of ['a/f', 'b/f', 'c/f']) put(name, 'x');
    await mounted(-1);
    ufs.before = async (call) => {
      if (call === 'list') await master.time.advance(2000);
    };
    const pages: string[][] = [];
    let cursor = '';
    do {
      const reply = await master.ask('listStatus', { path: '/m', recursive: true, cursor, limit: 0 });
      pages.push(reply.entries.map(({ path }) => path));
      cursor = reply.cursor;
    } while (cursor !== '');
    expect(pages[0]).toEqual(['/m/a']);
    expect(pages.flat()).toEqual(['/m/a', '/m/a/f', '/m/b', '/m/b/f', '/m/c', '/m/c/f']);
  });

  it('that fails to load ahead changes nothing, and is asked for again when it is entered', async () => {
    for (const name of ['a/f', 'b/f']) put(name, 'x');
    await mounted(-1);
    const failed = new Set<string>();
    ufs.before = async (call, path) => {
      if (call === 'list' && path === 'a') await vi.waitUntil(() => failed.has('b'));
      if (call !== 'list' || path !== 'b' || failed.has('b')) return;
      failed.add('b');
      throw new SluiceError('UNAVAILABLE', 'away');
    };
    expect(await names('/m', true)).toEqual(['/m/a', '/m/a/f', '/m/b', '/m/b/f']);
    expect(ufs.calls.filter((call) => call === 'list b').length).toBe(2);
  });

  it('shows what was added, changed and deleted after the interval, in one command', async () => {
    for (const name of ['keep', 'change', 'gone', 'tree/x/y']) put(name, 'x');
    await mounted(INTERVAL_MS);
    expect((await names('/m', true)).length).toBe(6);
    put('added', 'x');
    put('change', 'changed');
    rmSync(at('gone'));
    expect((await names()).length).toBe(4);
    const loads = master.state.count('loadMetadata');
    await master.time.advance(INTERVAL_MS);
    expect(await names()).toEqual(['/m/added', '/m/change', '/m/keep', '/m/tree']);
    expect((await status('/m/change')).lengthBytes).toBe(7);
    expect(master.state.count('loadMetadata')).toBe(loads + 1);
    await master.time.advance(INTERVAL_MS);
    await names();
    expect(master.state.count('loadMetadata')).toBe(loads + 1);
    rmSync(at('tree'), { recursive: true });
    await master.time.advance(INTERVAL_MS);
    expect(await names('/m', true)).toEqual(['/m/added', '/m/change', '/m/keep']);
  });

  it('keeps what only we have when the under storage loses everything', async () => {
    put('d/foreign', 'x');
    await mounted(INTERVAL_MS);
    await names('/m', true);
    await master.ask('createFile', createFile('/m/d/cached', { writeType: 'MUST_CACHE', empty: true }));
    const writing = await master.ask('createFile', createFile('/m/d/writing'));
    rmSync(at('d'), { recursive: true });
    await master.time.advance(INTERVAL_MS);
    expect(await names('/m', true)).toEqual(['/m/d', '/m/d/cached', '/m/d/writing']);
    expect(await status('/m/d/writing')).toMatchObject({ id: writing.id, complete: false });
    await master.time.advance(INTERVAL_MS);
    expect(await exists('/m/d/cached')).toBe(true);
  });

  it('does not take a foreign file for one that is only cached', async () => {
    await mounted(0);
    const made = await master.ask('createFile', createFile('/m/f', { writeType: 'MUST_CACHE', empty: true }));
    put('f', 'foreign');
    expect(await names()).toEqual(['/m/f']);
    expect(await status('/m/f')).toEqual(made);
  });

  it('is not changed by a listing that fails in the middle', async () => {
    for (const name of ['a', 'b', 'c', 'd', 'e']) put(name, 'x');
    await mounted(INTERVAL_MS);
    await names();
    for (const name of ['a', 'b', 'e']) rmSync(at(name));
    put('c', 'changed');
    await master.time.advance(INTERVAL_MS);
    const before = master.state.commands.length;
    ufs.failOnce('list', 'after');
    expect(await names()).toEqual(['/m/a', '/m/b', '/m/c', '/m/d', '/m/e']);
    expect(master.state.commands.length).toBe(before);
    await master.time.advance(1_000);
    expect(await names()).toEqual(['/m/c', '/m/d']);
  });

  it('that was never listed surfaces the failure', async () => {
    put('a', 'x');
    await mounted(INTERVAL_MS);
    ufs.failOnce('list');
    await expect(names()).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    expect(await names()).toEqual(['/m/a']);
  });

  it('whose listing repeats itself changes nothing and says so', async () => {
    put('a', 'x');
    await mounted(INTERVAL_MS);
    const list = ufs.list.bind(ufs);
    ufs.list = async function* (path) {
      for await (const page of list(path)) yield* [page, page];
    };
    await expect(names()).rejects.toMatchObject({ code: 'UNAVAILABLE', message: expect.stringContaining('repeats') });
  });

  it('whose next page never comes is given up', async () => {
    put('a', 'x');
    await mounted(INTERVAL_MS);
    const next = vi.fn(() => new Promise(() => undefined));
    const hanging = { [Symbol.asyncIterator]: () => ({ next }) };
    ufs.list = () => hanging as unknown as ReturnType<FaultyUfs['list']>;
    const asked = names();
    const refused = expect(asked).rejects.toMatchObject({ message: expect.stringContaining('did not answer') });
    await vi.waitFor(() => expect(next).toHaveBeenCalled());
    await master.time.advance(5_000);
    await refused;
  });

  it('is listed once for all who ask at a time', async () => {
    put('a', 'x');
    await mounted(INTERVAL_MS);
    await Promise.all(Array.from({ length: 20 }, () => names()));
    expect(ufs.count('list')).toBe(1);
  });

  it('that vanished is not found', async () => {
    put('d/f', 'x');
    await mounted(INTERVAL_MS);
    await status('/m/d');
    rmSync(at('d'), { recursive: true });
    await expect(names('/m/d')).rejects.toMatchObject({ code: 'NOT_FOUND' });
    expect(await exists('/m/d')).toBe(false);
  });

  it('leaves out the temporary files of our own writers', async () => {
    await mounted(0);
    const writer = await ufs.create('f', {});
    await writer.write(Buffer.from('x'));
    expect(await names()).toEqual([]);
    await writer.abort();
  });

  it('leaves names that are changed through us meanwhile to those changes', async () => {
    for (const name of ['a', 'b', 'c', 'd', 'e']) put(name, 'x');
    await mounted(0);
    await names();
    put('e', 'changed'); // Makes the listing propose something.
    let changed = false;
    ufs.after = async (call) => {
      if (call !== 'list' || changed) return;
      changed = true;
      // The page with `a` and `b` was read: what it says of them is old when it is proposed.
      await master.ask('delete', deletion('/m/a'));
      await master.ask('createFile', createFile('/m/b', { overwrite: true, empty: true }));
      await master.ask('rename', { source: '/m/c', target: '/m/b2', overwrite: false });
      await master.ask('makeDirectory', makeDirectory('/m/bb'));
    };
    expect(await names()).toEqual(['/m/b', '/m/b2', '/m/bb', '/m/d', '/m/e']);
    expect(await status('/m/b')).toMatchObject({ lengthBytes: 0 });
    expect(changed).toBe(true);
  });

  it('is forgotten by a leader that comes back', async () => {
    put('a', 'x');
    await mounted(-1);
    await names();
    const next = new MasterServices({ successorOf: master });
    expect((await next.ask('listStatus', { path: '/m', recursive: false, cursor: '', limit: 0 })).entries.length).toBe(
      1,
    );
    await next.close();
  });

  it('gives back NOT_LEADER and not what it has, when leadership is lost', async () => {
    put('a', 'x');
    await mounted(INTERVAL_MS);
    master.state.before = (command) => {
      if (command.kind !== 'loadMetadata') return;
      master.state.lead(false);
      throw new SluiceError('NOT_LEADER', 'lost');
    };
    await expect(names()).rejects.toMatchObject({ code: 'NOT_LEADER' });
  });
});

type Step =
  | { readonly kind: 'put'; readonly name: string; readonly text: string }
  | { readonly kind: 'remove' | 'list' | 'exists'; readonly name: string };

/** What a stranger, or a reader through us, does; strangers may fail where something else stands. */
async function take(one: MasterServices, folder: string, step: Step): Promise<void> {
  const path = join(folder, step.name);
  if (step.kind === 'put' || step.kind === 'remove') {
    try {
      if (step.kind === 'put') {
        mkdirSync(join(path, '..'), { recursive: true });
        writeFileSync(path, step.text);
      } else rmSync(path, { recursive: true, force: true });
    } catch (thrown) {
      expect((thrown as NodeJS.ErrnoException).code).toMatch(/^(ENOTDIR|EISDIR|EEXIST)$/);
    }
    return;
  }
  const asked = await one.ask('exists', { path: `/m/${step.name}` });
  expect(asked.exists).toBe(existsSync(path));
  if (step.kind === 'exists' || !asked.exists) return;
  await one.ask('listStatus', { path: `/m/${step.name}`, recursive: false, cursor: '', limit: 0 });
}

/** All that an under storage has, as lines. */
async function contentOf(storage: FaultyUfs, path = ''): Promise<string[]> {
  const lines: string[] = [];
  for await (const page of storage.list(path)) {
    for (const fact of page) {
      const below = path === '' ? fact.name : `${path}/${fact.name}`;
      lines.push(`/m/${below} ${fact.kind} ${fact.version}`);
      if (fact.kind === 'directory') lines.push(...(await contentOf(storage, below)));
    }
  }
  return lines;
}

describe('looking again and again', () => {
  it('comes to what the under storage has, whatever strangers do', async () => {
    const name = fc.constantFrom('a', 'b', 'c', 'd', 'd/a', 'd/b', 'e/f', 'e/f/g', 'a/x');
    const step: fc.Arbitrary<Step> = fc.oneof(
      fc.record({ kind: fc.constant('put' as const), name, text: fc.constantFrom('', 'x', 'longer') }),
      fc.record({ kind: fc.constantFrom('remove' as const, 'list' as const, 'exists' as const), name }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
        const one = new MasterServices();
        try {
          const folder = join(one.folder, 'under');
          mkdirSync(folder);
          const storage = await one.mount('/m', folder, { syncIntervalMs: 0 });
          for (const each of steps) await take(one, folder, each);
          const { entries } = await one.ask('listStatus', { path: '/m', recursive: true, cursor: '', limit: 0 });
          const known = entries.map(({ path, kind, version }) => `${path} ${kind} ${version}`);
          expect(known).toEqual(await contentOf(storage));
        } finally {
          await one.close();
        }
      }),
      { numRuns: 50 },
    );
  });
});
