import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Random, seededRandom } from '../../src/base/random.ts';
import type { Ballot } from '../../src/raft/effect.ts';
import type { Entry } from '../../src/raft/entry.ts';
import type { LogStore, StoredLog } from '../../src/raft/log-store.ts';
import { ORIGIN, type Position } from '../../src/raft/position.ts';
import { entries, entry, type LogStoreFixture } from './log-store.contract.ts';

/** A store whose crashes can be replayed, and whose disk can fail. */
export interface CrashFixture extends LogStoreFixture {
  /** Crashes are replayed from here on. */
  mark(): Promise<void>;
  /** What crashes since the mark may have left. */
  crashes(random: Random): AsyncIterable<Crash>;
  /** The next store that is opened finds what this crash left; the one before is closed. */
  become(crash: Crash): Promise<void>;
  /** The disk of the store that is open fails in the course of the next change, or of a later one. */
  fail(how: Failing, random: Random): void;
  /** The same files on a disk that does not fail. */
  healed(): Promise<LogStoreFixture>;
}

/** The disk is full, or a sync of it fails. */
export type Failing = 'full' | 'sync';

export interface Crash {
  readonly what: string;
  readonly fixture: LogStoreFixture;
  /** It came when the change had been acknowledged. */
  readonly acknowledged: boolean;
}

/** What a log holds: the entries behind `origin`, of which those up to `base` may be forgotten. */
interface Model {
  readonly ballot: Ballot;
  readonly commit: number;
  readonly origin: Position;
  readonly base: Position;
  readonly entries: readonly Entry[];
}

const EMPTY: Model = { ballot: { term: 0, votedFor: undefined }, commit: 0, origin: ORIGIN, base: ORIGIN, entries: [] };

/** A change: what it does to the model, and to the store. */
interface Change {
  readonly what: string;
  readonly after: Model;
  run(store: LogStore): Promise<void>;
}

type Step =
  | { readonly kind: 'append'; readonly count: number; readonly size: number; readonly config: boolean }
  | { readonly kind: 'cut'; readonly back: number; readonly count: number }
  | { readonly kind: 'vote'; readonly votedFor: string | undefined }
  | { readonly kind: 'commit'; readonly back: number }
  | { readonly kind: 'compact'; readonly back: number }
  | { readonly kind: 'reset'; readonly ahead: number };

const STEP: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant('append' as const),
      count: fc.integer({ min: 1, max: 4 }),
      // Now and then a write is longer than a segment.
      size: fc.oneof(
        { weight: 9, arbitrary: fc.integer({ min: 0, max: 300 }) },
        { weight: 1, arbitrary: fc.constant(2000) },
      ),
      config: fc.boolean(),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant('cut' as const), back: fc.nat(5), count: fc.nat(2) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('vote' as const), votedFor: fc.constantFrom('a', 'bcd', undefined) }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('commit' as const), back: fc.nat(3) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('compact' as const), back: fc.nat(4) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('reset' as const), ahead: fc.integer({ min: -3, max: 9 }) }) },
);

const lastOf = ({ origin, entries: list }: Model): Position => {
  const last = list.at(-1);
  return last === undefined ? origin : { term: last.term, index: last.index };
};

/** The change that a step is on such a log; undefined when there is nothing that it could do. */
function changeOf(model: Model, step: Step): Change | undefined {
  const last = lastOf(model);
  const term = Math.max(model.ballot.term, last.term) + 1;
  const written = (after: Partial<Model>, write: Parameters<LogStore['write']>[0]): Change => ({
    what: `${step.kind} ${write.truncateFrom ?? ''} ${write.entries.map(({ index }) => index)} ${write.commit}`,
    after: { ...model, ...after },
    run: (store) => store.write(write),
  });
  const upTo = (index: number) => model.entries.filter((each) => each.index <= index);
  switch (step.kind) {
    case 'append': {
      const added = Array.from({ length: step.count }, (_, i) => entry(last.index + 1 + i, last.term || 1, step.size));
      if (step.config) added[0] = { ...added[0]!, kind: 'config' };
      return written({ entries: [...model.entries, ...added] }, { entries: added, commit: model.commit });
    }
    case 'cut': {
      const from = last.index - step.back;
      if (from <= Math.max(model.commit, model.base.index)) return undefined;
      const added = step.count === 0 ? [] : entries(from, from + step.count - 1, term);
      const ballot = { term, votedFor: undefined };
      const write = { ballot, truncateFrom: from, entries: added, commit: model.commit };
      return written({ ballot, entries: [...upTo(from - 1), ...added] }, write);
    }
    case 'vote': {
      const ballot = { term, votedFor: step.votedFor };
      return written({ ballot }, { ballot, entries: [], commit: model.commit });
    }
    case 'commit': {
      const commit = Math.max(model.commit, last.index - step.back);
      return written({ commit }, { entries: [], commit });
    }
    case 'compact': {
      const at = model.entries.find(({ index }) => index === model.commit - step.back);
      if (at === undefined || at.index <= model.base.index) return undefined;
      const base = { term: at.term, index: at.index };
      const what = `compact ${base.index}`;
      return { what, after: { ...model, base }, run: (store) => store.compact(base) };
    }
    case 'reset': {
      const base = { term: last.term + 1, index: Math.max(1, last.index + step.ahead) };
      const after = { ballot: model.ballot, commit: base.index, origin: base, base, entries: [] };
      return { what: `reset ${base.index}`, after, run: (store) => store.reset(base) };
    }
  }
}

const shown = (list: readonly Entry[]) =>
  list.map(({ index, term, kind, bytes }) => `${index}/${term} ${kind} ${Buffer.from(bytes).toString('base64')}`);

/** Why an open store does not hold what the model does; undefined when it does. */
async function difference(store: LogStore, stored: StoredLog, model: Model): Promise<string | undefined> {
  const { ballot, base, last, runs, commit, configs } = stored;
  const end = lastOf(model);
  const kept = model.entries.filter(({ index }) => index > base.index);
  const found = last.index > base.index ? await store.read(base.index + 1, last.index, Number.MAX_SAFE_INTEGER) : [];
  const before = base.index === model.origin.index ? model.origin : model.entries.find((e) => e.index === base.index);
  const terms = kept.filter(({ term }, i) => term !== kept[i - 1]?.term).map(({ index, term }) => `${index}/${term}`);
  const pairs: readonly (readonly [string, unknown, unknown])[] = [
    ['ballot', JSON.stringify(ballot), JSON.stringify(model.ballot)],
    ['last', `${last.index}/${last.term}`, `${end.index}/${end.term}`],
    ['commit', commit, model.commit],
    ['base', `${base.index}/${base.term}`, `${before?.index}/${before?.term}`],
    ['base too late', base.index <= model.base.index, true],
    ['entries', String(shown(found)), String(shown(kept))],
    ['configs', String(shown(configs)), String(shown(kept.filter(({ kind }) => kind === 'config')))],
    ['runs', String(runs.map(({ first, term }) => `${first}/${term}`)), String(terms)],
  ];
  const wrong = pairs.find(([, is, wanted]) => is !== wanted);
  return wrong === undefined ? undefined : `${wrong[0]}: ${wrong[1]} instead of ${wrong[2]}`;
}

/** Opens a store. @returns which of two states it is in, the later one when they are the same */
async function opened(store: LogStore, before: Model, after: Model): Promise<Model> {
  const stored = await store.open();
  const late = await difference(store, stored, after);
  if (late === undefined) return after;
  const early = await difference(store, stored, before);
  if (early === undefined) return before;
  throw new Error(`not after (${late}), not before (${early})`);
}

/** Opens what a crash left. @returns which state it is in; and it can be written to */
async function judged(fixture: LogStoreFixture, before: Model, after: Model): Promise<Model> {
  const store = fixture.open();
  const again = fixture.open();
  try {
    const model = await opened(store, before, after);
    const { index, term } = lastOf(model);
    const added = entry(index + 1, Math.max(term, model.ballot.term), 5);
    await store.write({ entries: [added], commit: model.commit });
    await store.close();
    const grown = { ...model, entries: [...model.entries, added] };
    await opened(again, grown, grown);
    return model;
  } finally {
    await store.close();
    await again.close();
  }
}

/** An error of `judging` with what is judged. */
async function named<T>(what: string, judging: Promise<T>): Promise<T> {
  return judging.catch((thrown: unknown) => {
    throw new Error(`${what}: ${thrown instanceof Error ? thrown.message : thrown}`);
  });
}

/** Nothing is changed any more, and who asks is told why. */
async function expectPoisoned(store: LogStore, model: Model): Promise<void> {
  const { index, term } = lastOf(model);
  const refusal = expect.objectContaining({ code: 'INTERNAL', message: expect.stringContaining('failed before') });
  await expect(store.write({ entries: [entry(index + 1, term + 1)], commit: model.commit })).rejects.toEqual(refusal);
  await expect(store.write({ entries: [], commit: model.commit })).rejects.toEqual(refusal);
  await expect(store.reset({ term: term + 1, index: index + 1 })).rejects.toEqual(refusal);
}

interface Amounts {
  /** Sequences of changes. */
  readonly runs: number;
  readonly changes: number;
}

/** What every LogStore promises when its process is killed, power is lost, or its disk fails. */
export function logStoreCrashes(name: string, make: () => Promise<CrashFixture>, { runs, changes }: Amounts): void {
  const SEED = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31));

  describe(`crashes of a log store: ${name} (SEED=${SEED})`, () => {
    test('leave the state before or after a change, and later changes work', async () => {
      const property = fc.asyncProperty(fc.array(STEP, { maxLength: changes, minLength: 1 }), async (steps) => {
        const random = seededRandom(SEED);
        const fixture = await make();
        let store = fixture.open();
        await store.open();
        let model = EMPTY;
        try {
          for (const step of steps) {
            const change = changeOf(model, step);
            if (change === undefined) continue;
            await fixture.mark();
            await change.run(store);
            let next = change.after;
            let crash: Crash | undefined;
            for await (const each of fixture.crashes(random)) {
              if (crash === undefined && random.next() < 0.03) {
                crash = each;
                continue;
              }
              const found = await named(`${change.what}, ${each.what}`, judged(each.fixture, model, change.after));
              if (each.acknowledged) expect([change.what, each.what, found]).toEqual([change.what, each.what, next]);
            }
            if (crash !== undefined) {
              // From here on it is as if this had happened.
              await store.close();
              await fixture.become(crash);
              store = fixture.open();
              next = await named(`${change.what}, ${crash.what}`, opened(store, model, change.after));
            }
            model = next;
          }
        } finally {
          await store.close();
          await fixture.dispose();
        }
      });
      await fc.assert(property, { numRuns: runs, seed: SEED });
    });

    test.each(['full', 'sync'] as const)('a disk that fails (%s) poisons, and loses nothing', async (how) => {
      let failures = 0;
      const property = fc.asyncProperty(fc.array(STEP, { minLength: 4, maxLength: 12 }), async (steps) => {
        const random = seededRandom(SEED + failures);
        const fixture = await make();
        const store = fixture.open();
        await store.open();
        let model = EMPTY;
        try {
          for (const [i, step] of steps.entries()) {
            const change = changeOf(model, step);
            if (change === undefined) continue;
            if (i >= 2) fixture.fail(how, random);
            const error = await change.run(store).then(
              () => undefined,
              (thrown: unknown) => thrown,
            );
            if (error !== undefined) {
              failures += 1;
              // What failed in the background stops the next change, which says why.
              const reason = String(error).includes('failed before') ? (error as Error).cause : error;
              expect(reason).toMatchObject({ code: how === 'full' ? 'EXHAUSTED' : 'INTERNAL' });
              await expectPoisoned(store, model);
              await store.close();
              await judged(await fixture.healed(), model, change.after);
              return;
            }
            model = change.after;
          }
        } finally {
          // Of a disk that fails by now, it says so.
          await store.close().catch(() => undefined);
          await fixture.dispose();
        }
      });
      await fc.assert(property, { numRuns: runs, seed: SEED });
      expect(failures).toBeGreaterThan(0);
    });
  });
}
