import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { AssertionError } from '../../src/base/assert.ts';
import type { Entry } from '../../src/raft/entry.ts';
import type { LogStore } from '../../src/raft/log-store.ts';
import { ORIGIN } from '../../src/raft/position.ts';

export function entry(index: number, term: number, size = 8): Entry {
  return { index, term, kind: 'command', bytes: new Uint8Array(size).fill((index * 7 + term) & 0xff) };
}

export function entries(from: number, to: number, term: number): Entry[] {
  return Array.from({ length: to - from + 1 }, (_, i) => entry(from + i, term));
}

/** A store whose content survives `reopen`. */
export interface LogStoreFixture {
  open(): LogStore;
  dispose(): Promise<void>;
}

const plain = (list: readonly Entry[]) => list.map((e) => [e.index, e.term, e.kind, [...e.bytes]]);

/** What every LogStore promises. */
export function logStoreContract(name: string, make: () => Promise<LogStoreFixture>): void {
  const withStore = (act: (fixture: LogStoreFixture) => Promise<void>) => async () => {
    const fixture = await make();
    try {
      await act(fixture);
    } finally {
      await fixture.dispose();
    }
  };

  describe(`log store contract: ${name}`, () => {
    test(
      'a new store is empty',
      withStore(async (fixture) => {
        const store = fixture.open();
        expect(await store.open()).toEqual({
          ballot: { term: 0, votedFor: undefined },
          base: { term: 0, index: 0 },
          last: { term: 0, index: 0 },
          runs: [],
          commit: 0,
          configs: [],
        });
        await store.close();
      }),
    );

    test(
      'keeps ballot, runs, configs and commit over a restart',
      withStore(async (fixture) => {
        let store = fixture.open();
        await store.open();
        await store.write({ ballot: { term: 1, votedFor: 'a' }, entries: [], commit: 0 });
        await store.write({ entries: entries(1, 3, 1), commit: 0 });
        const config: Entry = { index: 4, term: 2, kind: 'config', bytes: new Uint8Array([9]) };
        await store.write({ ballot: { term: 2, votedFor: undefined }, entries: [config, entry(5, 2)], commit: 2 });
        await store.close();
        store = fixture.open();
        const stored = await store.open();
        expect(stored).toMatchObject({
          ballot: { term: 2, votedFor: undefined },
          last: { term: 2, index: 5 },
          runs: [
            { first: 1, term: 1 },
            { first: 4, term: 2 },
          ],
          commit: 2,
        });
        expect(plain(stored.configs)).toEqual(plain([config]));
        expect(plain(await store.read(1, 5, 1 << 20))).toEqual(plain([...entries(1, 3, 1), config, entry(5, 2)]));
        await store.close();
      }),
    );

    test(
      'reads ranges, cut behind the entry that reaches the limit, at least one',
      withStore(async (fixture) => {
        const store = fixture.open();
        await store.open();
        await store.write({ entries: entries(1, 4, 1), commit: 0 });
        await store.write({ entries: entries(5, 9, 1), commit: 0 });
        expect((await store.read(3, 6, 1 << 20)).map((e) => e.index)).toEqual([3, 4, 5, 6]);
        expect((await store.read(3, 9, 1)).map((e) => e.index)).toEqual([3]);
        expect((await store.read(3, 9, 41)).map((e) => e.index)).toEqual([3, 4]);
        await store.close();
      }),
    );

    test.each([
      ['at the beginning of a block', 4],
      ['inside a block', 5],
      ['at the beginning of the log', 1],
      ['inside the first block', 2],
      ['at the last entry', 9],
    ])('truncates %s', async (_, from) => {
      await withStore(async (fixture) => {
        let store = fixture.open();
        await store.open();
        await store.write({ entries: entries(1, 3, 1), commit: 0 });
        await store.write({ entries: entries(4, 6, 1), commit: 0 });
        await store.write({ entries: entries(7, 9, 2), commit: 0 });
        await store.write({ truncateFrom: from, entries: entries(from, from + 1, 3), commit: 0 });
        await store.close();
        store = fixture.open();
        expect((await store.open()).last).toEqual({ index: from + 1, term: 3 });
        const all = await store.read(1, from + 1, 1 << 20);
        const kept = [...entries(1, 6, 1), ...entries(7, 9, 2)].slice(0, from - 1);
        expect(plain(all)).toEqual(plain([...kept, ...entries(from, from + 1, 3)]));
        await store.close();
      })();
    });

    test(
      'compacts up to a position at most, and keeps the base over a restart',
      withStore(async (fixture) => {
        let store = fixture.open();
        await store.open();
        for (let i = 1; i <= 9; i += 3) await store.write({ entries: entries(i, i + 2, i), commit: i - 1 });
        await store.write({ entries: [], commit: 7 });
        await store.compact({ index: 7, term: 7 });
        await store.close();
        store = fixture.open();
        const { base, runs } = await store.open();
        expect(base.index).toBeGreaterThanOrEqual(6);
        expect(base).toEqual(base.index === 7 ? { index: 7, term: 7 } : { index: 6, term: 4 });
        expect(runs).toEqual([{ first: base.index + 1, term: 7 }]);
        expect((await store.read(8, 9, 1 << 20)).map((e) => e.index)).toEqual([8, 9]);
        await expect(store.read(6, 9, 1 << 20)).rejects.toMatchObject({ code: 'NOT_FOUND' });
        await store.write({ truncateFrom: 8, entries: [entry(8, 8)], commit: 8 });
        await store.compact({ index: 8, term: 8 });
        await store.write({ entries: [entry(9, 8)], commit: 9 });
        await store.close();
        store = fixture.open();
        expect(await store.open()).toMatchObject({ base: { index: 8, term: 8 }, last: { index: 9, term: 8 } });
        await store.close();
      }),
    );

    test.each([
      ['ahead of the log', { term: 5, index: 40 }],
      ['inside the log', { term: 3, index: 4 }],
      ['at the end of the log', { term: 2, index: 9 }],
      ['behind what was committed', { term: 1, index: 2 }],
    ])('begins anew behind a snapshot %s', async (_, base) => {
      await withStore(async (fixture) => {
        let store = fixture.open();
        await store.open();
        const config: Entry = { index: 9, term: 2, kind: 'config', bytes: new Uint8Array([7]) };
        await store.write({ ballot: { term: 6, votedFor: 'c' }, entries: entries(1, 3, 1), commit: 3 });
        await store.write({ entries: [...entries(4, 8, 2), config], commit: 3 });
        await store.reset(base);
        const empty = {
          ballot: { term: 6, votedFor: 'c' },
          base,
          last: base,
          runs: [],
          commit: base.index,
          configs: [],
        };
        const gone = expect.objectContaining({ code: 'NOT_FOUND' });
        await expect(store.read(base.index, base.index, 1)).rejects.toEqual(gone);
        await expect(store.read(base.index + 1, base.index + 1, 1)).rejects.toEqual(gone);
        await store.close();
        store = fixture.open();
        expect(await store.open()).toEqual(empty);
        const added = entries(base.index + 1, base.index + 3, 6);
        await store.write({ entries: added, commit: base.index + 1 });
        await store.write({ truncateFrom: base.index + 3, entries: [entry(base.index + 3, 7)], commit: base.index });
        await store.close();
        store = fixture.open();
        expect(await store.open()).toMatchObject({ base, last: { index: base.index + 3, term: 7 } });
        const found = await store.read(base.index + 1, base.index + 3, 1 << 20);
        expect(plain(found)).toEqual(plain([...added.slice(0, 2), entry(base.index + 3, 7)]));
        await store.compact({ index: base.index + 2, term: 6 });
        await store.reset(ORIGIN);
        await store.close();
        store = fixture.open();
        expect(await store.open()).toEqual({ ...empty, base: ORIGIN, last: ORIGIN, commit: 0 });
        await store.write({ entries: [entry(1, 8)], commit: 0 });
        await store.close();
      })();
    });

    test(
      'keeps the configurations that are kept, over truncation, compaction and reset',
      withStore(async (fixture) => {
        const config = (index: number, term: number): Entry => ({
          ...{ index, term, kind: 'config' },
          bytes: Uint8Array.from([index, term, 0, 255]),
        });
        let store = fixture.open();
        let stored = await store.open();
        const again = async () => {
          await store.close();
          store = fixture.open();
          stored = await store.open();
          return plain(stored.configs);
        };
        await store.write({ entries: [config(1, 1), entry(2, 1), config(3, 1)], commit: 0 });
        await store.write({ entries: [config(4, 1), entry(5, 1), config(6, 1)], commit: 2 });
        expect(await again()).toEqual(plain([config(1, 1), config(3, 1), config(4, 1), config(6, 1)]));
        await store.write({ truncateFrom: 4, entries: [entry(4, 2), config(5, 2)], commit: 2 });
        expect(await again()).toEqual(plain([config(1, 1), config(3, 1), config(5, 2)]));
        await store.write({ truncateFrom: 5, entries: [], commit: 4 });
        await store.write({ entries: [entry(5, 3), config(6, 3)], commit: 5 });
        await store.compact({ index: 4, term: 2 });
        expect(await again()).toEqual(plain([config(6, 3)]));
        await store.reset({ term: 3, index: 6 });
        expect(await again()).toEqual([]);
        await store.write({ entries: [config(7, 4)], commit: 6 });
        expect(await again()).toEqual(plain([config(7, 4)]));
        await store.close();
      }),
    );

    test.each<readonly [string, (store: LogStore) => Promise<unknown>]>([
      ['a hole', (store) => store.write({ entries: [entry(7, 1)], commit: 0 })],
      ['entries again', (store) => store.write({ entries: [entry(5, 1)], commit: 0 })],
      ['a commit beyond the log', (store) => store.write({ entries: [], commit: 6 })],
      ['a cut of what is committed', (store) => store.write({ truncateFrom: 3, entries: [], commit: 3 })],
      ['a cut beyond the log', (store) => store.write({ truncateFrom: 6, entries: [], commit: 3 })],
      ['a compaction beyond the log', (store) => store.compact({ index: 6, term: 1 })],
      [
        'two writes at a time',
        (store) => {
          const first = store.write({ entries: [entry(6, 1)], commit: 3 });
          return Promise.all([first, store.write({ entries: [entry(7, 1)], commit: 3 })]);
        },
      ],
      [
        'a reset during a write',
        (store) => Promise.all([store.write({ entries: [], commit: 3 }), store.reset({ term: 1, index: 9 })]),
      ],
    ])('%s is a defect, and changes nothing', async (_, misuse) => {
      await withStore(async (fixture) => {
        const store = fixture.open();
        await store.open();
        await store.write({ entries: entries(1, 5, 1), commit: 3 });
        await expect(misuse(store)).rejects.toBeInstanceOf(AssertionError);
        await store.close();
        const again = fixture.open();
        const { last, commit } = await again.open();
        expect([last.index === 5 || last.index === 6, commit]).toEqual([true, 3]);
        expect(plain(await again.read(1, 5, 1 << 20))).toEqual(plain(entries(1, 5, 1)));
        await again.close();
      })();
    });

    test(
      'never notes a smaller commit, and reads only what it has',
      withStore(async (fixture) => {
        const store = fixture.open();
        await store.open();
        await expect(store.read(1, 1, 100)).rejects.toMatchObject({ code: 'NOT_FOUND' });
        await store.write({ entries: entries(1, 5, 1), commit: 4 });
        await store.write({ entries: entries(6, 6, 1), commit: 2 });
        await expect(store.read(0, 3, 100)).rejects.toMatchObject({ code: 'NOT_FOUND' });
        await expect(store.read(5, 7, 100)).rejects.toMatchObject({ code: 'NOT_FOUND' });
        const growing = store.write({ entries: entries(7, 9, 1), commit: 4 });
        expect(plain(await store.read(2, 6, 1 << 20))).toEqual(plain(entries(2, 6, 1)));
        await growing;
        expect(plain(await store.read(6, 9, 1 << 20))).toEqual(plain(entries(6, 9, 1)));
        await store.close();
        const again = fixture.open();
        expect(await again.open()).toMatchObject({ commit: 4, last: { index: 9 } });
        await again.close();
      }),
    );

    test(
      'shares no memory with whoever writes or reads',
      withStore(async (fixture) => {
        const store = fixture.open();
        await store.open();
        const [given, config] = [entries(1, 40, 1), { ...entry(41, 1, 300), kind: 'config' as const }];
        await store.write({ entries: [...given, config], commit: 0 });
        await store.write({ entries: entries(42, 44, 1), commit: 0 });
        for (const { bytes } of [...given, config]) bytes.fill(0xee);
        const asWritten = plain([
          ...entries(1, 40, 1),
          { ...entry(41, 1, 300), kind: 'config' },
          ...entries(42, 44, 1),
        ]);
        for (let round = 0; round < 2; round += 1) {
          const read = await store.read(1, 44, 1 << 20);
          expect(plain(read)).toEqual(asWritten);
          for (const { bytes } of read) bytes.fill(0xdd);
        }
        await store.close();
        const again = fixture.open();
        expect(plain((await again.open()).configs)).toEqual(asWritten.slice(40, 41));
        expect(plain(await again.read(1, 44, 1 << 20))).toEqual(asWritten);
        await again.close();
      }),
    );

    test('random writes, truncations, compactions and restarts agree with an array', async () => {
      const step = fc.oneof(
        {
          weight: 6,
          arbitrary: fc.record({ kind: fc.constant('append' as const), count: fc.integer({ min: 1, max: 6 }) }),
        },
        { weight: 2, arbitrary: fc.record({ kind: fc.constant('cut' as const), back: fc.nat(8) }) },
        { weight: 1, arbitrary: fc.record({ kind: fc.constant('compact' as const), back: fc.nat(12) }) },
        { weight: 1, arbitrary: fc.record({ kind: fc.constant('restart' as const) }) },
      );
      await fc.assert(
        fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
          await withStore(async (fixture) => {
            let store = fixture.open();
            await store.open();
            const log: Entry[] = [];
            let term = 1;
            let commit = 0;
            for (const action of steps) {
              if (action.kind === 'append') {
                const added = entries(log.length + 1, log.length + action.count, term);
                log.push(...added);
                await store.write({ entries: added, commit });
              } else if (action.kind === 'cut') {
                const from = log.length - action.back;
                if (from <= commit) continue;
                term += 1;
                log.length = from - 1;
                log.push(entry(from, term));
                await store.write({ truncateFrom: from, entries: [entry(from, term)], commit });
              } else if (action.kind === 'compact') {
                const upTo = log[log.length - 1 - action.back];
                if (upTo === undefined) continue;
                commit = Math.max(commit, upTo.index);
                await store.write({ entries: [], commit });
                await store.compact({ index: upTo.index, term: upTo.term });
              } else {
                await store.close();
                store = fixture.open();
                const stored = await store.open();
                const last = log.at(-1);
                expect(stored.last).toEqual({ index: log.length, term: last?.term ?? 0 });
                expect(stored.commit).toBe(commit);
                if (stored.base.index < log.length) {
                  const found = await store.read(stored.base.index + 1, log.length, 1 << 20);
                  expect(plain(found)).toEqual(plain(log.slice(stored.base.index)));
                }
              }
            }
            await store.close();
          })();
        }),
        { numRuns: 25 },
      );
    });
  });
}
