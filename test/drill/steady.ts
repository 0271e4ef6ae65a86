import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FileSystem } from '../../src/client/file-system.ts';
import { SluiceError } from '../../src/model/errors.ts';
import { ProcessCluster, pause } from '../support/process-cluster.ts';
import { termOf } from './drill.ts';

export interface SteadyOptions {
  readonly minutes: number;
  /** Creates that are under way at any time. */
  readonly inFlight: number;
  /** Options of all processes, by key. */
  readonly settings: Readonly<Record<string, string>>;
  /** Said now and then. */
  onProgress?(line: string): void;
}

export interface SteadyResult {
  readonly seconds: number;
  readonly acknowledged: number;
  /** Operations that failed without an answer, and what they said; the first of them. */
  readonly unanswered: readonly string[];
  readonly unansweredCount: number;
  readonly lost: number;
  /** Files that are there though nobody was promised them, and answers that tell of a second effect. */
  readonly duplicated: number;
  /** Terms that began after the start, though nothing was done to the masters. */
  readonly falseElections: number;
  /** How often a master's event loop stood still for half an election timeout. */
  readonly stalls: number;
  /** Times that a master was stopped and came back later, which no other may mind. */
  readonly absences: number;
  /** Of these, the ones after which it needed a snapshot. */
  readonly snapshots: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
  readonly surprises: readonly string[];
}

/** Files of one directory. */
const FILES = 20_000;
/** Directories that stay; older ones are deleted, which gives LevelDB as much to compact as was written. */
const KEPT = 3;
const PROGRESS_MS = 60_000;
/** A standby is stopped this often, for so long: it has missed a lot when it is back. */
const ABSENCE_EVERY_MS = 240_000;
const ABSENCE_MS = 60_000;
/** Less than what it misses at a thousand creates a second: it needs a snapshot then. */
const SETTINGS = { 'master.journal.keep-entries': '50000', 'master.journal.keep-size': '16MiB' };
const EXAMPLES_MAX = 10;

/** A directory that is being filled, or is full. */
interface Shelf {
  readonly path: string;
  /** Numbers of files whose create was acknowledged. */
  readonly acknowledged: Set<number>;
  /** Of files whose create has no answer. */
  readonly unknown: Set<number>;
  begun: number;
  underWay: number;
}

/** Milliseconds of many operations, in bounded memory. */
class Latencies {
  readonly #counts = new Float64Array(60_001);
  #total = 0;

  add(ms: number): void {
    const bucket = Math.min(this.#counts.length - 1, Math.round(ms));
    this.#counts[bucket] = (this.#counts[bucket] ?? 0) + 1;
    this.#total += 1;
  }

  /** The value below which `share` of them lie. */
  percentile(share: number): number {
    let left = this.#total * share;
    for (const [ms, count] of this.#counts.entries()) {
      left -= count;
      if (left < 0) return ms;
    }
    return this.#counts.findLastIndex((count) => count > 0);
  }
}

/** The load and what it was promised. */
class Load {
  acknowledged = 0;
  unansweredCount = 0;
  readonly unanswered: string[] = [];
  readonly surprises: string[] = [];
  readonly latencies = new Latencies();
  readonly #files: FileSystem;
  readonly #shelves: Shelf[] = [];
  #made = 0;
  /** Lanes that need a directory wait for the same one. */
  #making: Promise<Shelf> | undefined;
  readonly #deleting = new Set<Promise<void>>();

  constructor(files: FileSystem) {
    this.#files = files;
  }

  async lane(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const shelf = await this.#shelf();
      const number = shelf.begun;
      shelf.begun += 1;
      shelf.underWay += 1;
      const begun = performance.now();
      try {
        await this.#files.writeFile(`${shelf.path}/${number}`, new Uint8Array(0), { writeType: 'MUST_CACHE' });
        shelf.acknowledged.add(number);
        this.acknowledged += 1;
        this.latencies.add(performance.now() - begun);
      } catch (thrown) {
        shelf.unknown.add(number);
        this.#failed(`${shelf.path}/${number}`, thrown);
        await pause(10);
      }
      shelf.underWay -= 1;
    }
  }

  /** Compares what is there with what was promised. @returns lost files, and ones that nobody was promised */
  async audit(): Promise<{ lost: number; invented: number }> {
    await Promise.all(this.#deleting);
    let lost = 0;
    let invented = 0;
    for (const shelf of this.#shelves) {
      const there = new Set<number>();
      for await (const { name } of this.#files.list(shelf.path)) there.add(Number(name));
      for (const number of shelf.acknowledged) if (!there.has(number)) lost += 1;
      for (const number of there) if (!shelf.acknowledged.has(number) && !shelf.unknown.has(number)) invented += 1;
    }
    return { lost, invented };
  }

  async #shelf(): Promise<Shelf> {
    for (;;) {
      const last = this.#shelves.at(-1);
      if (last !== undefined && last.begun < FILES) return last;
      this.#making ??= this.#make().finally(() => {
        this.#making = undefined;
      });
      await this.#making;
    }
  }

  async #make(): Promise<Shelf> {
    this.#made += 1;
    const shelf = {
      path: `/steady-${this.#made}`,
      acknowledged: new Set<number>(),
      unknown: new Set<number>(),
      begun: 0,
      underWay: 0,
    };
    await this.#files.mkdir(shelf.path);
    this.#shelves.push(shelf);
    const [oldest] = this.#shelves;
    if (this.#shelves.length > KEPT && oldest?.underWay === 0) {
      this.#shelves.shift();
      const deleting = this.#delete(oldest).finally(() => this.#deleting.delete(deleting));
      this.#deleting.add(deleting);
    }
    return shelf;
  }

  async #delete({ path }: Shelf): Promise<void> {
    try {
      await this.#files.delete(path, { recursive: true });
    } catch (thrown) {
      this.#failed(path, thrown);
    }
  }

  #failed(path: string, thrown: unknown): void {
    const { code, message } = SluiceError.from(thrown);
    const said = `${path}: ${code}: ${message}`;
    const honest = code === 'UNAVAILABLE' || code === 'TIMED_OUT';
    if (honest) this.unansweredCount += 1;
    const list = honest ? this.unanswered : this.surprises;
    if (list.length < EXAMPLES_MAX) list.push(said);
  }
}

/**
 * As many creates as the masters take, with the deletion of what is old, for a long time: nobody may lose leadership.
 * Standbys are stopped and come back meanwhile.
 */
export async function runSteady(options: SteadyOptions): Promise<SteadyResult> {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-steady-'));
  const cluster = await ProcessCluster.start({ folder, settings: { ...SETTINGS, ...options.settings } });
  try {
    const files = await FileSystem.connect({ masters: cluster.addresses });
    try {
      return await underLoad(cluster, files, options);
    } finally {
      await files.close();
    }
  } finally {
    await cluster.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function underLoad(cluster: ProcessCluster, files: FileSystem, options: SteadyOptions): Promise<SteadyResult> {
  const firstTerm = await termOf(cluster);
  const load = new Load(files);
  const stop = new AbortController();
  const lanes = Array.from({ length: options.inFlight }, () => load.lane(stop.signal));
  const begun = performance.now();
  const endMs = begun + options.minutes * 60_000;
  let absences = 0;
  let snapshots = 0;
  let nextAbsenceMs = begun + ABSENCE_EVERY_MS;
  let stallsBefore = 0;
  try {
    for (let now = begun; now < endMs; now = performance.now()) {
      await pause(Math.min(PROGRESS_MS, endMs - now));
      if (performance.now() > nextAbsenceMs && endMs - performance.now() > 2 * ABSENCE_MS) {
        const { stalls, snapshot } = await absence(cluster);
        stallsBefore += stalls;
        absences += 1;
        if (snapshot) snapshots += 1;
        nextAbsenceMs = performance.now() + ABSENCE_EVERY_MS;
      }
      const elections = (await termOf(cluster)) - firstTerm;
      const minutes = ((performance.now() - begun) / 60_000).toFixed(1);
      options.onProgress?.(`${minutes} min: ${load.acknowledged} acknowledged, ${elections} false elections`);
    }
  } finally {
    stop.abort();
    await Promise.all(lanes);
  }
  const seconds = (performance.now() - begun) / 1000;
  const { lost, invented } = await load.audit();
  const stalls = await Promise.all(cluster.masters.map(stallsOf));
  return {
    seconds,
    acknowledged: load.acknowledged,
    unanswered: load.unanswered,
    unansweredCount: load.unansweredCount,
    lost,
    duplicated: invented + load.surprises.length,
    falseElections: (await termOf(cluster)) - firstTerm,
    stalls: stallsBefore + stalls.reduce((sum, count) => sum + count, 0),
    absences,
    snapshots,
    p50Ms: load.latencies.percentile(0.5),
    p99Ms: load.latencies.percentile(0.99),
    maxMs: load.latencies.percentile(1),
    surprises: load.surprises,
  };
}

interface Absence {
  /** Stalls that it had counted before it was stopped, and forgets. */
  readonly stalls: number;
  /** It was given a snapshot when it was back. */
  readonly snapshot: boolean;
}

/** Stops a standby for a while, and waits until it is ready again. */
async function absence(cluster: ProcessCluster): Promise<Absence> {
  const leader = await cluster.leader();
  const standby = cluster.masters.find((master) => master !== leader);
  if (standby === undefined) return { stalls: 0, snapshot: false };
  const stalls = await stallsOf(standby);
  await standby.stop('SIGTERM');
  await pause(ABSENCE_MS);
  standby.start();
  await cluster.waitUntilReady([standby]);
  return { stalls, snapshot: (await standby.metric('sluice_master_snapshot_installs_total')) > 0 };
}

function stallsOf(master: ProcessCluster['masters'][number]): Promise<number> {
  return master.metric('sluice_master_raft_stall_seconds_count');
}
