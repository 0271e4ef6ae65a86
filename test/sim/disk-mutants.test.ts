import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type * as SegmentMetaModule from '../../src/master/segment-meta.ts';
import type * as SegmentWindowModule from '../../src/master/segment-window.ts';
import type * as SegmentRecordModule from '../../src/wire/codec/segment-record.ts';

/** Mistakes of the store that keeps the log; each must be found by seeds counted from 1. */
interface Mutant {
  readonly name: string;
  /** Within so many seeds it must be found, by this. */
  readonly within: number;
  readonly finding: RegExp;
  readonly plant: () => void;
}

const WINDOW = '../../src/master/segment-window.ts';
const META = '../../src/master/segment-meta.ts';
const RECORD = '../../src/wire/codec/segment-record.ts';

function replace<T extends object>(path: string, make: (original: T) => Partial<T>): void {
  vi.doMock(path, async (original) => {
    const real = (await original()) as T;
    return { ...real, ...make(real) };
  });
}

const mutants: readonly Mutant[] = [
  {
    name: 'a write that a crash has torn is taken for damage',
    within: 100,
    finding: /I33: what a crash tore is refused/,
    plant: () =>
      replace<typeof SegmentWindowModule>(WINDOW, ({ FrameSearch }) => ({
        FrameSearch: class extends FrameSearch {
          override async *from(offset: number) {
            for await (const { header } of super.from(offset)) yield { offset: offset + 1, header };
          }
        },
      })),
  },
  {
    name: 'damage is taken for a write that a crash has torn',
    within: 100,
    finding: /I33: damage .* is served/,
    plant: () =>
      replace<typeof SegmentWindowModule>(WINDOW, ({ FrameSearch }) => ({
        FrameSearch: class extends FrameSearch {
          override async *from() {}
        },
      })),
  },
  {
    name: 'what was noted as durable may be missing',
    within: 200,
    finding: /I33: damage .* is served/,
    plant: () =>
      replace<typeof SegmentMetaModule>(META, ({ readSegmentMeta }) => ({
        readSegmentMeta: async (files, folder, names) => {
          const found = await readSegmentMeta(files, folder, names);
          return found === undefined ? undefined : { ...found, meta: { ...found.meta, sequence: 0, commit: 0 } };
        },
      })),
  },
  {
    name: 'a damaged entry is served',
    within: 100,
    finding: /I33|Entries whose checksum is right/,
    plant: () =>
      replace<typeof SegmentRecordModule>(RECORD, () => ({
        entriesOfFrame: (bytes, at, { entriesAt, entriesBytes }) =>
          bytes.subarray(at + entriesAt, at + entriesAt + entriesBytes),
      })),
  },
];

describe('the simulation finds planted bugs of a store', () => {
  beforeEach(() => vi.resetModules());
  afterEach(() => {
    for (const path of [WINDOW, META, RECORD]) vi.doUnmock(path);
  });

  test.each(mutants)('$name', async ({ within, finding, plant }) => {
    plant();
    const { simulate } = await import('./world.ts');
    let found = '';
    for (let seed = 1; seed <= within && found === ''; seed += 1) {
      await simulate({ seed, ticks: 1000 }).catch((thrown: Error) => {
        found = `seed ${seed}: ${thrown.message.split('\n')[0]}`;
      });
    }
    expect(found).toMatch(finding);
    if (process.env['SHOW_MUTANTS'] !== undefined) console.log(found);
  });
});
