import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { DirectoryInode, FileInode, Inode } from '../../src/model/inode.ts';
import { compareKeys } from '../../src/model/path.ts';
import { replyKey, type StateScanner, type StateStore, type Tables } from '../../src/model/state-store.ts';

/** A store, and what else may happen to it between two entries. */
export interface StateStoreFixture {
  store(): StateStore & StateScanner;
  /** The changes so far were one entry. */
  entry(): void;
  /** Something that must not be seen: a flush, a restart. `choice` picks one. */
  disturb(choice: number): Promise<void>;
  dispose(): Promise<void>;
}

export function inode(id: number): Inode {
  return {
    kind: 'file',
    id,
    owner: 'o',
    group: 'g',
    mode: 0o644,
    createdMs: 1_700_000_000_000 + id,
    modifiedMs: 2,
    accessedMs: 3,
    changedMs: 4,
    pinned: false,
    ttlMs: -1,
    ttlAction: 'free',
    persistence: 'cached',
    lengthBytes: 2 ** 40 + id,
    blockSizeBytes: 64 * 2 ** 20,
    complete: true,
    writeType: 'CACHE_THROUGH',
    version: 'v',
  };
}

export function directory(id: number): DirectoryInode {
  const { lengthBytes, blockSizeBytes, complete, writeType, version, ...base } = inode(id) as FileInode;
  return { ...base, kind: 'directory', childCount: id, childrenLoaded: true, mountPoint: false, mountsBelow: 0 };
}

/** Stores may keep the two in different ways, and a name may become the other. */
function either(id: number): Inode {
  return id % 3 === 0 ? directory(id) : inode(id);
}

/** Keys that differ in code-point order from UTF-16 order, share prefixes, and are prefixes of each other. */
const KEYS = [
  'a',
  'a/',
  'a/b',
  'a/b/c',
  'a/\u{1f600}',
  'a/\uffee',
  'a0',
  'b/a',
  'b/b',
  'b/\u{10000}x',
  'b/\uffff',
  'c',
];
const PREFIXES = ['', 'a', 'a/', 'a/b', 'b/', 'd/', 'b/\uffff'];

/** What every StateStore with a StateScanner promises. */
export function stateStoreContract(name: string, make: () => Promise<StateStoreFixture>): void {
  const withStore = async (act: (fixture: StateStoreFixture) => Promise<void>) => {
    const fixture = await make();
    try {
      await act(fixture);
    } finally {
      await fixture.dispose();
    }
  };

  describe(`state store contract: ${name}`, () => {
    test('gets what was put in the same entry, and tables are apart', () =>
      withStore(async (fixture) => {
        const store = fixture.store();
        store.put('inode', 'k', inode(1));
        store.put('place', 'k', { parentId: 7, name: 'n' });
        expect(store.get('inode', 'k')).toEqual(inode(1));
        expect(store.get('place', 'k')).toEqual({ parentId: 7, name: 'n' });
        store.delete('inode', 'k');
        store.delete('inode', 'absent');
        expect(store.get('inode', 'k')).toBeUndefined();
        fixture.entry();
        await fixture.disturb(0);
        expect(fixture.store().get('inode', 'k')).toBeUndefined();
        expect(fixture.store().get('place', 'k')).toEqual({ parentId: 7, name: 'n' });
        expect(await fixture.store().scan('inode', { prefix: '', after: '', limit: 9 })).toEqual([]);
      }));

    test('replies agree with a map', async () => {
      const sequence = fc.integer({ min: 1, max: 12 });
      const client = fc.constantFrom('c', 'c1');
      const step = fc.oneof(
        { weight: 6, arbitrary: fc.record({ kind: fc.constant('insert' as const), client, sequence }) },
        {
          weight: 4,
          arbitrary: fc.record({ kind: fc.constant('delete' as const), client, sequence, more: fc.nat(4) }),
        },
        { weight: 3, arbitrary: fc.record({ kind: fc.constant('disturb' as const), choice: fc.nat(5) }) },
      );
      await fc.assert(
        fc.asyncProperty(fc.array(step, { maxLength: 40 }), (steps) =>
          withStore(async (fixture) => {
            const naive = new Map<string, Tables['reply']>();
            let count = 0;
            for (const action of steps) {
              const store = fixture.store();
              if (action.kind === 'disturb') await fixture.disturb(action.choice);
              else if (action.kind === 'insert') {
                const key = replyKey(action.client, action.sequence);
                if (naive.has(key)) continue;
                count += 1;
                const refusal = { code: 'NOT_FOUND', message: `${count}` } as const;
                naive.set(key, { outcome: { kind: 'refused', refusal } });
                store.insertReply(action.client, action.sequence, { outcome: { kind: 'refused', refusal } });
                fixture.entry();
              } else {
                store.deleteReplies(action.client, action.sequence, action.sequence + action.more);
                for (let i = 0; i < action.more; i += 1) naive.delete(replyKey(action.client, action.sequence + i));
                fixture.entry();
              }
              for (const c of ['c', 'c1'])
                for (let s = 1; s <= 16; s += 1) expect(fixture.store().reply(c, s)).toEqual(naive.get(replyKey(c, s)));
              const all = [...naive].filter(([key]) => key.startsWith('c/')).sort(([a], [b]) => compareKeys(a, b));
              const found = await fixture.store().scan('reply', { prefix: 'c/', after: '', limit: 99 });
              expect(found).toEqual(all.map(([key, row]) => ({ key, row })));
            }
          }),
        ),
        { numRuns: 40 },
      );
    });

    test.each([
      ['a directory', directory(3), inode(1)],
      ['a file', inode(1), directory(3)],
    ])('a name that was %s, became the other and went stays gone', (_, first, second) =>
      withStore(async (fixture) => {
        const change = (row: Inode | undefined) => {
          if (row === undefined) fixture.store().delete('inode', 'k');
          else fixture.store().insert('inode', 'k', row);
          fixture.entry();
        };
        for (const between of [undefined, 0, 1]) {
          change(first);
          await fixture.disturb(0);
          change(undefined);
          if (between !== undefined) await fixture.disturb(between);
          change(second);
          expect(fixture.store().get('inode', 'k')).toEqual(second);
          change(undefined);
          expect(fixture.store().get('inode', 'k')).toBeUndefined();
          await fixture.disturb(5);
          expect(fixture.store().get('inode', 'k')).toBeUndefined();
        }
      }),
    );

    test('agrees with a map, through scans that are older than later changes', async () => {
      const key = fc.constantFrom(...KEYS);
      const step = fc.oneof(
        {
          weight: 6,
          arbitrary: fc.record({ kind: fc.constant('put' as const), key, id: fc.integer({ min: 1, max: 99 }) }),
        },
        { weight: 3, arbitrary: fc.record({ kind: fc.constant('delete' as const), key }) },
        { weight: 2, arbitrary: fc.record({ kind: fc.constant('disturb' as const), choice: fc.nat(5) }) },
        {
          weight: 4,
          arbitrary: fc.record({
            kind: fc.constant('scan' as const),
            prefix: fc.constantFrom(...PREFIXES),
            after: fc.constantFrom('', ...KEYS),
            limit: fc.integer({ min: 1, max: 6 }),
          }),
        },
      );
      await fc.assert(
        fc.asyncProperty(fc.array(step, { maxLength: 60 }), (steps) =>
          withStore(async (fixture) => {
            const naive = new Map<string, Inode>();
            const scans: Promise<void>[] = [];
            for (const action of steps) {
              const store = fixture.store();
              if (action.kind === 'put') {
                const row = either(action.id);
                if (naive.has(action.key) || action.id % 2 === 0) store.put('inode', action.key, row);
                else store.insert('inode', action.key, row);
                naive.set(action.key, row);
                fixture.entry();
              } else if (action.kind === 'delete') {
                store.delete('inode', action.key);
                naive.delete(action.key);
                fixture.entry();
              } else if (action.kind === 'disturb') {
                if (action.choice > 3) await Promise.all(scans);
                await fixture.disturb(action.choice);
              } else {
                const expected = [...naive]
                  .filter(
                    ([k]) => k.startsWith(action.prefix) && (action.after === '' || compareKeys(k, action.after) > 0),
                  )
                  .sort(([a], [b]) => compareKeys(a, b))
                  .slice(0, action.limit)
                  .map(([k, row]) => ({ key: k, row }));
                scans.push(store.scan('inode', action).then((found) => expect(found).toEqual(expected)));
              }
              for (const k of KEYS) expect(fixture.store().get('inode', k)).toEqual(naive.get(k));
            }
            await Promise.all(scans);
          }),
        ),
        { numRuns: 60 },
      );
    });
  });
}
