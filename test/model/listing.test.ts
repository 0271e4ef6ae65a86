import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Refusal } from '../../src/model/errors.ts';
import { decodeCursor, encodeCursor } from '../../src/model/list-cursor.ts';
import { listPage } from '../../src/model/listing.ts';
import { MemoryStateStore } from '../../src/model/memory-state-store.ts';
import type { ListReply, ListRequest } from '../../src/model/operations.ts';
import type { Caller } from '../../src/model/principal.ts';
import { isRefusal } from '../../src/model/refusal.ts';
import type { Located } from '../../src/model/status.ts';
import { EVE, ROOT, World } from './world.ts';

const stay = () => Promise.resolve();

function list(world: World, fields: Partial<ListRequest>, caller: Caller = ROOT): Promise<ListReply | Refusal> {
  return listPage(world.store, caller, { path: '/', recursive: false, cursor: '', limit: 0, ...fields }, stay);
}

async function page(world: World, fields: Partial<ListRequest>): Promise<ListReply> {
  const reply = await list(world, fields);
  if (isRefusal(reply)) throw new Error(reply.message);
  return reply;
}

/** All pages; `between` runs after each. */
async function pages(
  world: World,
  fields: Partial<ListRequest>,
  between: () => void = () => undefined,
): Promise<string[]> {
  const paths: string[] = [];
  for (let cursor = ''; ; ) {
    const reply = await page(world, { ...fields, cursor });
    expect(reply.entries.length).toBeLessThanOrEqual(fields.limit ?? 1000);
    paths.push(...reply.entries.map((entry) => entry.path));
    if (reply.cursor === '') return paths;
    expect(reply.entries.length).toBeGreaterThan(0);
    cursor = reply.cursor;
    between();
  }
}

describe('a listing', () => {
  test('is in the order of code points, by pages', async () => {
    const world = new World();
    for (const name of ['b', 'a', '😀', '\uffff', 'a b', 'a-b']) world.file(`/d/${name}`);
    const expected = ['/d/a', '/d/a b', '/d/a-b', '/d/b', '/d/\uffff', '/d/😀'];
    for (const limit of [1, 2, 3, 5, 6, 7, 0])
      expect(await pages(world, limit === 0 ? { path: '/d' } : { path: '/d', limit })).toEqual(expected);
    expect((await page(world, { path: '/d', limit: 6 })).cursor).toBe('');
  });

  test('foretells the directories that it will enter', async () => {
    const world = new World();
    for (const path of ['/d/a/x/f', '/d/b/f', '/d/c/f']) world.file(path);
    const told: string[] = [];
    const foresee = (directories: readonly Located[]) => void told.push(...directories.map(({ path }) => path));
    const request = { path: '/d', recursive: true, cursor: '', limit: 0 };
    await listPage(world.store, ROOT, request, stay, { foresee });
    expect(told).toEqual(['/d/a', '/d/b', '/d/c', '/d/a/x']);
    told.length = 0;
    await listPage(world.store, ROOT, { ...request, recursive: false }, stay, { foresee });
    expect(told).toEqual([]);
  });

  test('ends a page before the next directory when it is told that it is enough, and never without an entry', async () => {
    const world = new World();
    for (const path of ['/d/a/x/f', '/d/b', '/d/c/f', '/d/e']) world.file(path);
    const pages: string[][] = [];
    let cursor = '';
    do {
      const request = { path: '/d', recursive: true, cursor, limit: 0 };
      const reply = (await listPage(world.store, ROOT, request, stay, { enough: () => true })) as ListReply;
      pages.push(reply.entries.map(({ path }) => path));
      cursor = reply.cursor;
    } while (cursor !== '');
    expect(pages).toEqual([['/d/a'], ['/d/a/x'], ['/d/a/x/f', '/d/b', '/d/c'], ['/d/c/f', '/d/e']]);
  });

  test('of a file is the file', async () => {
    const world = new World();
    world.file('/d/f');
    expect(await page(world, { path: '/d/f' })).toEqual({ entries: [world.status('/d/f')], cursor: '' });
  });

  test('says of each entry what its status says, over mounts too', async () => {
    const world = new World();
    world.mount('/m', 's3://m');
    world.mount('/m/n', 's3://n');
    world.file('/m/f');
    world.file('/m/n/g');
    const { entries } = await page(world, { recursive: true });
    expect(entries.map((entry) => entry.path)).toEqual(['/m', '/m/f', '/m/n', '/m/n/g']);
    expect(entries).toEqual(entries.map((entry) => world.status(entry.path)));
  });

  test('goes on when the directory that it is in is deleted or replaced', async () => {
    const world = new World();
    for (const path of ['/a/1', '/b/1', '/b/2', '/b/3', '/c/1']) world.file(path);
    const first = await page(world, { recursive: true, limit: 4 });
    expect(first.entries.map((entry) => entry.path)).toEqual(['/a', '/a/1', '/b', '/b/1']);
    world.must('delete', { path: '/b', recursive: true });
    world.file('/b/2');
    const second = await page(world, { recursive: true, cursor: first.cursor });
    expect(second.entries.map((entry) => entry.path)).toEqual(['/c', '/c/1']);
  });

  test('calls out before each directory, and sees what that loads', async () => {
    const world = new World();
    world.directory('/a');
    const entered: string[] = [];
    const enter = async ({ path }: Located) => {
      entered.push(path);
      if (path === '/a') world.file('/a/loaded');
    };
    const request = { path: '/', recursive: true, cursor: '', limit: 0 };
    const reply = (await listPage(world.store, ROOT, request, enter)) as ListReply;
    expect(entered).toEqual(['/', '/a']);
    expect(reply.entries.map((entry) => entry.path)).toEqual(['/a', '/a/loaded']);
  });

  test.each<[string, Partial<ListRequest>, string, RegExp]>([
    ['nothing', { path: '/no' }, 'NOT_FOUND', /\/no does not exist/],
    ['a relative path', { path: 'x' }, 'INVALID_ARGUMENT', /relative/],
    ['a closed directory', { path: '/closed' }, 'PERMISSION_DENIED', /eve may not list \/closed/],
    [
      'what has a closed directory in it',
      { path: '/', recursive: true },
      'PERMISSION_DENIED',
      /eve may not list \/closed/,
    ],
    ['pages that are too large', { limit: 10_001 }, 'INVALID_ARGUMENT', /10001 entries a page/],
    ['negative pages', { limit: -1 }, 'INVALID_ARGUMENT', /-1 entries/],
    ['a foreign cursor', { cursor: 'x' }, 'INVALID_ARGUMENT', /cursor of this listing cannot be read/],
    ['a cursor with a bad name', { cursor: '1/1:a%2Fb' }, 'INVALID_ARGUMENT', /cursor/],
    ['a cursor with a bad escape', { cursor: '1/1:%' }, 'INVALID_ARGUMENT', /cursor/],
    ['a cursor without an id', { cursor: '1/:a' }, 'INVALID_ARGUMENT', /cursor/],
  ])('of %s is refused', async (_name, fields, code, message) => {
    const world = new World();
    world.file('/closed/f');
    world.must('setAttributes', { path: '/closed', mode: 0o711 });
    expect(await list(world, fields, EVE)).toMatchObject({ code, message: expect.stringMatching(message) });
  });

  test('before the format is refused', async () => {
    const request = { path: '/', recursive: false, cursor: '', limit: 0 };
    expect(await listPage(new MemoryStateStore(), ROOT, request, stay)).toMatchObject({ code: 'UNAVAILABLE' });
  });

  test('scans a wide directory in bounded steps', async () => {
    const world = new World();
    const names = Array.from({ length: 700 }, (_, index) => `/d/${String(index).padStart(3, '0')}`);
    for (const path of names) world.file(`${path}/f`);
    const limits: number[] = [];
    const { scan } = world.store;
    world.store.scan = (table, range) => {
      limits.push(range.limit);
      return scan.call(world.store, table, range) as never;
    };
    const paths = await pages(world, { path: '/d', recursive: true, limit: 500 });
    expect(paths).toEqual(names.flatMap((path) => [path, `${path}/f`]));
    expect(Math.max(...limits)).toBeLessThanOrEqual(256);
    expect(limits.length).toBeLessThan(2 * 700);
  });
});

test('a deep tree with wide directories on the way down is listed once, though outer rows are forgotten', async () => {
  const world = new World();
  let at = '';
  const expected: string[] = [];
  const after: string[] = [];
  for (let depth = 0; depth < 45; depth++) {
    for (let i = 0; i < 200; i++) {
      world.must('createFile', { path: `${at}/f${String(i).padStart(3, '0')}`, empty: true });
      after.push(`${at}/f${String(i).padStart(3, '0')}`);
    }
    at += '/d';
    world.must('makeDirectory', { path: at });
    expected.push(at);
  }
  const paths = await pages(world, { recursive: true, limit: 10_000 });
  expect(paths.slice(0, 45)).toEqual(expected);
  expect(paths.slice(45).sort()).toEqual(after.sort());
});

const name = fc.constantFrom('a', 'b', 'c', 'd\ue000', 'e😀');
const path = fc.array(name, { minLength: 1, maxLength: 4 }).map((names) => `/${names.join('/')}`);

test('pages of any size make the whole; what stays is listed once while the rest comes and goes', async () => {
  const paths = fc.array(path, { maxLength: 25 });
  await fc.assert(
    fc.asyncProperty(
      paths,
      paths,
      fc.integer({ min: 1, max: 4 }),
      fc.boolean(),
      async (stays, churn, limit, recursive) => {
        const world = new World();
        for (const at of stays) world.directory(at);
        const whole = (await page(world, { recursive })).entries.map((entry) => entry.path);
        const names = [...new Set(whole)];
        expect(names).toEqual(whole);
        expect(await pages(world, { recursive, limit })).toEqual(whole);
        let next = 0;
        const listed = await pages(world, { recursive, limit }, () => {
          const at = churn[next++ % Math.max(1, churn.length)];
          if (at === undefined) return;
          const existing = world.exists(at);
          const needed = stays.some((path) => path === at || path.startsWith(`${at}/`));
          if (existing && !needed) world.must('delete', { path: at, recursive: true });
          else if (!existing) world.must('makeDirectory', { path: at, recursive: true });
        });
        expect(new Set(listed).size).toBe(listed.length);
        for (const at of whole) expect(listed).toContain(at);
      },
    ),
    { numRuns: 200 },
  );
});

test('cursors survive writing and reading', () => {
  const frame = fc.record({
    directoryId: fc.maxSafeNat(),
    after: fc.oneof(fc.constant(''), name, fc.constantFrom('%', ':', ' ', '..a')),
  });
  fc.assert(
    fc.property(fc.array(frame, { minLength: 1, maxLength: 9 }), (frames) => {
      expect(decodeCursor(encodeCursor(frames))).toEqual(frames);
    }),
  );
});
