import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type LockRequest, PathLocks } from '../../src/master/path-locks.ts';
import { isBelow } from '../../src/model/path.ts';
import { turns } from '../support/manual-time.ts';

const never = new AbortController().signal;

/** Whether two requests of different holders may be granted at a time, by the words of the class. */
function compatible(a: LockRequest, b: LockRequest): boolean {
  if (a.mode === 'shared' && b.mode === 'shared') return true;
  if (a.mode === 'exclusive' && (a.path === b.path || isBelow(b.path, a.path))) return false;
  if (b.mode === 'exclusive' && (a.path === b.path || isBelow(a.path, b.path))) return false;
  return true;
}

describe('path locks', () => {
  const rows: readonly [string, LockRequest, LockRequest, boolean][] = [
    ['two readers', { path: '/a', mode: 'shared' }, { path: '/a', mode: 'shared' }, true],
    ['siblings', { path: '/a/b', mode: 'exclusive' }, { path: '/a/c', mode: 'exclusive' }, true],
    ['the same', { path: '/a/b', mode: 'exclusive' }, { path: '/a/b', mode: 'exclusive' }, false],
    ['below', { path: '/a', mode: 'exclusive' }, { path: '/a/b/c', mode: 'shared' }, false],
    ['above', { path: '/a/b', mode: 'exclusive' }, { path: '/a', mode: 'exclusive' }, false],
    ['a reader above a change', { path: '/a/b', mode: 'exclusive' }, { path: '/a', mode: 'shared' }, true],
    ['a name that begins alike', { path: '/a', mode: 'exclusive' }, { path: '/ab', mode: 'exclusive' }, true],
    ['the root', { path: '/', mode: 'exclusive' }, { path: '/a', mode: 'shared' }, false],
  ];
  it.each(rows)('%s', async (_, first, second, both) => {
    const locks = new PathLocks();
    const release = await locks.acquire([first], never);
    let granted = false;
    const waiting = locks.acquire([second], never).then((done) => {
      granted = true;
      return done;
    });
    await turns(3);
    expect(granted).toBe(both);
    expect(compatible(first, second)).toBe(both);
    release();
    (await waiting)();
    expect(locks.size).toBe(0);
  });

  it('serves a writer before the readers that came after it', async () => {
    const locks = new PathLocks();
    const order: string[] = [];
    const reader = await locks.acquire([{ path: '/a', mode: 'shared' }], never);
    const writer = locks.acquire([{ path: '/a', mode: 'exclusive' }], never).then((release) => {
      order.push('writer');
      release();
    });
    const late = locks.acquire([{ path: '/a', mode: 'shared' }], never).then((release) => {
      order.push('reader');
      release();
    });
    await turns(3);
    expect(order).toEqual([]);
    reader();
    await Promise.all([writer, late]);
    expect(order).toEqual(['writer', 'reader']);
  });

  it('lets those behind pass when a waiter gives up, and leaves nothing', async () => {
    const locks = new PathLocks();
    const reader = await locks.acquire([{ path: '/a/b', mode: 'shared' }], never);
    const abort = new AbortController();
    const writer = locks.acquire([{ path: '/a/b', mode: 'exclusive' }], abort.signal);
    const behind = locks.acquire([{ path: '/a/b', mode: 'shared' }], never);
    abort.abort();
    await expect(writer).rejects.toMatchObject({ code: 'CANCELLED' });
    (await behind)();
    reader();
    reader();
    expect(locks.size).toBe(0);
  });

  it('refuses a caller that has given up already', async () => {
    const locks = new PathLocks();
    await expect(locks.acquire([{ path: '/a', mode: 'shared' }], AbortSignal.abort())).rejects.toMatchObject({
      code: 'CANCELLED',
    });
    expect(locks.size).toBe(0);
  });

  it('never grants what excludes each other, and grants everything in the end', async () => {
    const path = fc.constantFrom('/', '/a', '/a/b', '/a/b/c', '/a/d', '/e', '/e/f');
    const request = fc.record({ path, mode: fc.constantFrom('shared' as const, 'exclusive' as const) });
    const holder = fc.array(request, { minLength: 1, maxLength: 2 });
    await fc.assert(
      fc.asyncProperty(fc.array(holder, { maxLength: 12 }), async (holders) => {
        const locks = new PathLocks();
        const held = new Set<readonly LockRequest[]>();
        await Promise.all(
          holders.map(async (requests) => {
            const release = await locks.acquire(requests, never);
            for (const others of held)
              for (const other of others) for (const mine of requests) expect(compatible(mine, other)).toBe(true);
            held.add(requests);
            await turns(1);
            held.delete(requests);
            release();
          }),
        );
        expect(locks.size).toBe(0);
      }),
      { numRuns: 60 },
    );
  });
});

describe('a watch', () => {
  const rows: readonly [string, string, string | undefined, boolean][] = [
    ['a child', '/a/x', 'x', false],
    ['something deep below', '/a/x/y/z', 'x', false],
    ['the directory itself', '/a', undefined, true],
    ['a directory above', '/', undefined, true],
    ['something else', '/b/x', undefined, false],
  ];
  it.each(rows)('sees %s being changed, before and after it began', async (_, path, name, all) => {
    for (const late of [false, true]) {
      const locks = new PathLocks();
      const early = late ? undefined : await locks.acquire([{ path, mode: 'exclusive' }], never);
      const watch = locks.watch('/a');
      const release = early ?? (await locks.acquire([{ path, mode: 'exclusive' }], never));
      release();
      expect(watch.all).toBe(all);
      expect(watch.any).toBe(all || name !== undefined);
      expect(watch.touched('x')).toBe(all || name === 'x');
      expect(watch.touched('other')).toBe(all);
      watch.close();
    }
  });

  it('does not care for readers, nor for what comes after its end', async () => {
    const locks = new PathLocks();
    const watch = locks.watch('/a');
    (await locks.acquire([{ path: '/a/x', mode: 'shared' }], never))();
    watch.close();
    (await locks.acquire([{ path: '/a/x', mode: 'exclusive' }], never))();
    expect(watch.any).toBe(false);
  });
});
