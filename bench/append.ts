import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { folderBytes } from '../src/host/folder-bytes.ts';
import { LevelDatabase } from '../src/host/level-database.ts';
import { JOURNAL_STORES, type JournalStoreKind } from '../src/master/journal-store-kind.ts';
import { newLogStore } from '../src/master/new-log-store.ts';
import type { Entry } from '../src/raft/entry.ts';
import { type Printer, percentile } from './measure.ts';

/*
 * What a compacting LevelDB does to appends of the journal in the same process, on the same disk: one synced append of
 * one 200-byte command at a time, alone, and beside a metastore that is overwritten as fast as it takes writes, so that
 * it compacts all the time. The journal forgets its oldest entries meanwhile, as masters do.
 */

const COMMAND = Buffer.alloc(200, 1);
const SEGMENT_BYTES = 64 * 2 ** 20;
/** The journal is compacted whenever it has so many entries more than it keeps. */
const KEPT_ENTRIES = 10_000;
const ROW = Buffer.alloc(300, 1);
const ROWS = 500_000;
const BATCH_ROWS = 1000;

export async function benchAppend(options: { readonly printer: Printer; readonly seconds: number }): Promise<void> {
  for (const store of JOURNAL_STORES) {
    for (const stormy of [false, true]) {
      const folder = await mkdtemp(join(tmpdir(), 'sluice-bench-'));
      try {
        await benchStore(folder, store, stormy, options);
      } finally {
        await rm(folder, { recursive: true, force: true });
      }
    }
  }
}

async function benchStore(
  folder: string,
  store: JournalStoreKind,
  stormy: boolean,
  { printer, seconds }: { readonly printer: Printer; readonly seconds: number },
): Promise<void> {
  const storm = stormy ? await Storm.begin(join(folder, 'state')) : undefined;
  const samples = await appends(folder, store, seconds);
  const note = await storm?.end();
  samples.sort();
  const [p50Ms = 0, p99Ms = 0, p999Ms = 0, maxMs = 0] = [0.5, 0.99, 0.999, 1].map((share) =>
    percentile(samples, share),
  );
  printer.print({
    suite: 'append',
    case: stormy ? `${store}+compaction` : store,
    protocol: 'local',
    inFlight: 1,
    opsPerSec: samples.length / seconds,
    p50Ms,
    p99Ms,
    note: `p99.9 ${p999Ms.toFixed(1)} ms, max ${maxMs.toFixed(1)} ms${note === undefined ? '' : `; ${note}`}`,
  });
}

/** How long each append took, in ms. */
async function appends(folder: string, kind: JournalStoreKind, seconds: number): Promise<Float64Array> {
  const log = newLogStore(folder, { store: kind, segmentSize: SEGMENT_BYTES });
  await log.open();
  const samples: number[] = [];
  let compaction: Promise<void> = Promise.resolve();
  const endMs = performance.now() + seconds * 1000;
  for (let index = 1; performance.now() < endMs; index += 1) {
    const entry: Entry = { term: 1, index, kind: 'command', bytes: COMMAND };
    const begunMs = performance.now();
    await log.write({
      entries: [entry],
      commit: index - 1,
      ...(index === 1 ? { ballot: { term: 1, votedFor: undefined } } : {}),
    });
    samples.push(performance.now() - begunMs);
    if (index % KEPT_ENTRIES !== 0 || index === KEPT_ENTRIES) continue;
    await compaction;
    compaction = log.compact({ term: 1, index: index - KEPT_ENTRIES });
  }
  await compaction;
  await log.close();
  return Float64Array.from(samples);
}

/** A metastore whose rows are replaced at random, as fast as it takes that. */
class Storm {
  readonly #level: LevelDatabase<string>;
  readonly #begunMs = performance.now();
  readonly #running: Promise<void>;
  #over = false;
  #rows = 0;

  private constructor(level: LevelDatabase<string>) {
    this.#level = level;
    this.#running = this.#run();
  }

  static async begin(folder: string): Promise<Storm> {
    return new Storm(
      await LevelDatabase.openText(folder, { blockCacheBytes: 2 ** 20, writeBufferBytes: 16 * 2 ** 20 }),
    );
  }

  async #run(): Promise<void> {
    while (!this.#over) {
      const batch = this.#level.batch();
      for (let row = 0; row < BATCH_ROWS; row += 1) {
        ROW.writeDoubleLE(Math.random(), Math.floor(Math.random() * (ROW.length - 8)));
        batch.put(String(Math.floor(Math.random() * ROWS)).padStart(16, '0'), Buffer.from(ROW));
      }
      await batch.write({ sync: false });
      this.#rows += BATCH_ROWS;
      await setImmediate();
    }
  }

  /** @returns what it did */
  async end(): Promise<string> {
    this.#over = true;
    await this.#running;
    const seconds = (performance.now() - this.#begunMs) / 1000;
    const bytes = await folderBytes(this.#level.folder);
    await this.#level.close();
    const rate = (this.#rows * (ROW.length + 16)) / seconds / 1e6;
    return `metastore took ${rate.toFixed(0)} MB/s and has ${(bytes / 1e6).toFixed(0)} MB`;
  }
}
