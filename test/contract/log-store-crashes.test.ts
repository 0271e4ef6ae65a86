import { cp, mkdtemp, readdir, rm, stat, truncate } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Random, randomInt } from '../../src/base/random.ts';
import { LevelDatabase, type LevelOptions } from '../../src/host/level-database.ts';
import { LevelLogStore } from '../../src/master/level-log-store.ts';
import { SegmentLogStore } from '../../src/master/segment-log-store.ts';
import { SluiceError } from '../../src/model/errors.ts';
import { SimDisk } from '../sim/disk.ts';
import { CrashFiles } from '../support/crash-files.ts';
import { liveCopy } from '../support/live-copy.ts';
import { MemoryLogStore } from '../support/memory-log-store.ts';
import type { LogStoreFixture } from './log-store.contract.ts';
import { type Crash, type CrashFixture, type Failing, logStoreCrashes } from './log-store-crashes.contract.ts';

/** What the stores make of an error of their disk. */
function diskError(how: Failing): SluiceError {
  return how === 'full' ? new SluiceError('EXHAUSTED', 'the disk is full') : new SluiceError('INTERNAL', 'EIO');
}

class MemoryCrashes implements CrashFixture {
  #disk = new SimDisk();
  #marked = new SimDisk();

  open(): MemoryLogStore {
    return new MemoryLogStore(this.#disk);
  }

  async mark(): Promise<void> {
    this.#marked = copyOf(this.#disk);
  }

  async *crashes(): AsyncGenerator<Crash> {
    yield { what: 'before', fixture: onDisk(copyOf(this.#marked)), acknowledged: false };
    yield { what: 'after', fixture: onDisk(copyOf(this.#disk)), acknowledged: true };
  }

  async become({ what }: Crash): Promise<void> {
    if (what === 'before') this.#disk = this.#marked;
  }

  fail(how: Failing): void {
    const fail = () => {
      throw diskError(how);
    };
    Object.assign(this.#disk, { write: fail, reset: fail, compact: fail });
  }

  async healed(): Promise<LogStoreFixture> {
    return onDisk(copyOf(this.#disk));
  }

  async dispose(): Promise<void> {}
}

function copyOf({ ballot, commit, base, entries }: SimDisk): SimDisk {
  const copy = new SimDisk();
  Object.assign(copy, { ballot, commit, base });
  copy.entries.push(...entries);
  return copy;
}

function onDisk(disk: SimDisk): LogStoreFixture {
  return { open: () => new MemoryLogStore(disk), dispose: async () => {} };
}

const FOLDER = '/journal';
/** So short that most sequences of changes need several files. */
const segments = (files: CrashFiles) => new SegmentLogStore(FOLDER, { files, segmentBytes: 1024, noteEvery: 5 });

function inFiles(files: CrashFiles): LogStoreFixture {
  return { open: () => segments(files), dispose: async () => {} };
}

class SegmentCrashes implements CrashFixture {
  readonly #left = new Map<Crash, CrashFiles>();
  #files = new CrashFiles();

  open(): SegmentLogStore {
    return segments(this.#files);
  }

  async mark(): Promise<void> {
    this.#left.clear();
    this.#files.mark();
  }

  async *crashes(random: Random): AsyncGenerator<Crash> {
    // Before the others, because some of what is done in the background is done while they are judged.
    const losses = [...this.#files.losses(random)];
    for (const [what, files] of this.#files.crashes(random)) yield this.#crash(what, files, false);
    for (const files of losses) yield this.#crash('after it', files, true);
  }

  async become(crash: Crash): Promise<void> {
    this.#files = this.#left.get(crash) ?? this.#files;
  }

  fail(how: Failing, random: Random): void {
    const after = randomInt(random, 1, 5);
    if (how === 'full') this.#files.fail({ code: 'ENOSPC', calls: ['write', 'create'], after });
    else this.#files.fail({ code: 'EIO', calls: ['sync', 'syncFolder'], after });
  }

  async healed(): Promise<LogStoreFixture> {
    return inFiles(this.#files.reopened());
  }

  async dispose(): Promise<void> {}

  #crash(what: string, files: CrashFiles, acknowledged: boolean): Crash {
    const crash = { what, fixture: inFiles(files), acknowledged };
    this.#left.set(crash, files);
    return crash;
  }
}

/** LevelDB does its own input and output: crashes are copies of its files, and of its log also shorter ones. */
class LevelCrashes implements CrashFixture {
  readonly #root: string;
  readonly #copies: string[] = [];
  readonly #left = new Map<string, LogStoreFixture>();
  #failing: Failing | undefined;

  constructor(root: string) {
    this.#root = root;
  }

  get #work(): string {
    return join(this.#root, 'work');
  }

  open(): LevelLogStore {
    return new LevelLogStore(this.#work, async (folder: string, options: LevelOptions) => {
      const level = await LevelDatabase.openBinary(folder, options);
      const batch = level.batch.bind(level);
      level.batch = () => {
        const made = batch();
        const write = async (how: { readonly sync: boolean }) => {
          if (this.#failing !== undefined) throw diskError(this.#failing);
          await made.write(how);
        };
        return { ...made, write };
      };
      return level;
    });
  }

  async mark(): Promise<void> {
    this.#left.clear();
    for (const copy of this.#copies.splice(0)) await rm(copy, { recursive: true, force: true });
    await this.#copy();
  }

  async *crashes(random: Random): AsyncGenerator<Crash> {
    const [before = ''] = this.#copies;
    const after = await this.#copy();
    const logs = async (folder: string) => (await readdir(folder)).filter((name) => name.endsWith('.log'));
    const [log = ''] = await logs(after);
    const same = String(await logs(before)) === log;
    const from = same ? (await stat(join(before, log))).size : 0;
    const { size } = await stat(join(after, log));
    for (let n = 0; n < 4 && size > from + 1; n += 1) {
      const at = randomInt(random, from + (same ? 0 : size), size - 1);
      const cut = await this.#copy(after);
      await truncate(join(cut, log), at);
      yield { what: `its log cut at ${at} of ${from} to ${size}`, fixture: this.#at(cut), acknowledged: false };
    }
    yield { what: 'before', fixture: this.#at(before), acknowledged: false };
    yield { what: 'after', fixture: this.#at(after), acknowledged: true };
  }

  async become({ fixture }: Crash): Promise<void> {
    const left = [...this.#left].find(([, each]) => each === fixture)?.[0];
    if (left === undefined) throw new Error('It was not left by a crash');
    await rm(this.#work, { recursive: true });
    await cp(left, this.#work, { recursive: true });
  }

  fail(how: Failing): void {
    this.#failing = how;
  }

  async healed(): Promise<LogStoreFixture> {
    this.#failing = undefined;
    return this;
  }

  dispose(): Promise<void> {
    return rm(this.#root, { recursive: true, force: true });
  }

  #at(folder: string): LogStoreFixture {
    const fixture = { open: () => new LevelLogStore(folder), dispose: async () => {} };
    this.#left.set(folder, fixture);
    return fixture;
  }

  async #copy(of?: string): Promise<string> {
    const copy = join(this.#root, `copy-${this.#copies.length}`);
    this.#copies.push(copy);
    if (of === undefined) await liveCopy(this.#work, copy);
    else await cp(of, copy, { recursive: true });
    return copy;
  }
}

/** MORE=100 searches for minutes: with --testTimeout=0. */
const MORE = Number(process.env['MORE'] ?? 1);

logStoreCrashes('memory', async () => new MemoryCrashes(), { runs: 60 * MORE, changes: 30 });
logStoreCrashes('segments', async () => new SegmentCrashes(), { runs: 10 * MORE, changes: 15 });
logStoreCrashes('LevelDB', async () => new LevelCrashes(await mkdtemp(join(tmpdir(), 'sluice-log-'))), {
  runs: 3 * MORE,
  changes: 8,
});
