import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FileSystem } from '../../src/client/file-system.ts';
import { SluiceError } from '../../src/model/errors.ts';
import { FaultyClocks } from '../support/faulty-clocks.ts';
import { FaultyDisks } from '../support/faulty-disks.ts';
import type { MasterNetwork } from '../support/master-network.ts';
import { type Node, ProcessCluster, pause } from '../support/process-cluster.ts';
import { SmallDisks } from '../support/small-disks.ts';
import { CounterSum } from './counter-sum.ts';
import { digestOf, Ledger } from './ledger.ts';
import { HISTORY, RecordedClients } from './recorded-clients.ts';

/** What a fault acts on. */
export interface Ground {
  readonly cluster: ProcessCluster;
  /** Between the masters, for faults that need it. */
  readonly network: MasterNetwork;
  readonly faultyDisks: FaultyDisks;
  readonly smallDisks: SmallDisks;
  readonly faultyClocks: FaultyClocks;
  /** Creates one file. */
  probe(): Promise<void>;
  /** Creates `count` files with long names, many at a time. */
  burst(count: number): Promise<void>;
  /** Resolves when writers were acknowledged `count` more files. */
  progress(count: number): Promise<void>;
  /** The longest time in which nobody was acknowledged anything since this was asked before, in ms. */
  takeSilence(): number;
  /** Something that must not have happened. */
  surprise(what: string): void;
}

export interface Fault {
  readonly name: string;
  readonly needs?: 'network' | 'faulty disks' | 'small disks' | 'blockable threads' | 'faulty clocks';
  /** Of all processes, from the start. */
  readonly settings?: Readonly<Record<string, string>>;
  /** No master may have to campaign because of it. */
  readonly keepsLeader?: boolean;
  /** What has to be done before; its elections do not count. */
  prepare?(ground: Ground): Promise<void>;
  /**
   * Does the damage, waits until it was survived, and repairs it.
   * @returns from the damage to the next acknowledged create, or the slowest create around it, in ms
   */
  inflict(ground: Ground): Promise<number>;
}

export interface DrillOptions {
  readonly rounds: number;
  /** Taken in turn; they may not need different disks. */
  readonly faults: readonly Fault[];
  /** Writers that run all the time. */
  readonly writers: number;
  /** They create empty files, which is work for nobody but the masters; there are no workers. */
  readonly empty?: boolean;
  /** How long the load runs before the first fault: clients and masters that are a moment old are slower. */
  readonly settleMs?: number;
  /** How many masters. */
  readonly masters?: number;
  /** Further options of all processes, by key. */
  readonly settings?: Readonly<Record<string, string>>;
  onRound?(round: number, fault: Fault, ms: number): void;
}

export interface DrillResult {
  readonly rounds: number;
  /** What each fault returned, in order of the rounds. */
  readonly gapsMs: readonly number[];
  readonly acknowledged: number;
  /** Operations that failed without an answer, and what they said. */
  readonly unanswered: readonly string[];
  readonly lost: number;
  readonly duplicated: number;
  readonly wrongBytes: number;
  /** Terms that began although nothing asked for them. */
  readonly falseElections: number;
  /** Calls of the recorded clients that were answered. */
  readonly judged: number;
  /** Calls of `exists` among them that standbys answered; at least, because masters that are killed forget theirs. */
  readonly standbyReads: number;
  /** Folders of the recorded clients whose history is not linearizable. */
  readonly notLinearizable: readonly string[];
  readonly surprises: readonly string[];
}

const BLOCK_ON_SIGNAL = new URL('../support/block-on-signal.mjs', import.meta.url).href;
const WAIT_MS = 30_000;
const SETTLE_MS = 60_000;
const BURST_LANES = 128;
/** Gives rows some weight. */
const LONG_SUFFIX = '-long'.repeat(40);
const NO_CONTENT = new Uint8Array(0);
const NOTHING = digestOf(NO_CONTENT);

/**
 * Writers create files with content while the masters suffer, again and again. Afterwards every acknowledged file must
 * be there with its bytes, no operation may have been seen to take effect twice, and what recorded clients saw of the
 * namespace must be linearizable.
 */
export async function runDrill(options: DrillOptions): Promise<DrillResult> {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-drill-'));
  const [storage, history] = [join(folder, 'storage'), join(folder, 'history')];
  mkdirSync(storage);
  mkdirSync(history);
  const needs = new Set(options.faults.map((fault) => fault.needs));
  const smallDisks = new SmallDisks(join(folder, 'disks'));
  let cluster: ProcessCluster | undefined;
  try {
    const faultyDisks = needs.has('faulty disks') ? FaultyDisks.make(join(folder, 'disks')) : undefined;
    const faultyClocks = needs.has('faulty clocks') ? FaultyClocks.make(join(folder, 'clocks')) : undefined;
    cluster = await ProcessCluster.start({
      folder,
      masters: options.masters ?? 3,
      workers: options.empty === true ? 0 : 2,
      settings: Object.assign(
        { 'master.root.ufs': `file://${storage}` },
        ...options.faults.map(({ settings }) => settings ?? {}),
        options.settings ?? {},
      ),
      proxied: needs.has('network'),
      masterOwn: (name) => {
        if (needs.has('blockable threads')) return { environment: { NODE_OPTIONS: `--import=${BLOCK_ON_SIGNAL}` } };
        const own = faultyDisks?.own(name) ?? faultyClocks?.own(name);
        return own ?? (needs.has('small disks') ? smallDisks.own(name) : {});
      },
    });
    return await underLoad(cluster, { history, faultyDisks, smallDisks, faultyClocks }, options);
  } finally {
    await cluster?.close();
    smallDisks.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** What was made for the cluster. */
interface Places {
  /** Folder that is mounted for the recorded clients. */
  readonly history: string;
  readonly faultyDisks: FaultyDisks | undefined;
  readonly smallDisks: SmallDisks;
  readonly faultyClocks: FaultyClocks | undefined;
}

async function underLoad(
  cluster: ProcessCluster,
  { history, faultyDisks, smallDisks, faultyClocks }: Places,
  options: DrillOptions,
): Promise<DrillResult> {
  const files = await FileSystem.connect({ masters: cluster.addresses });
  const ledger = new Ledger();
  const stop = new AbortController();
  await files.mount(HISTORY, `file://${history}`, { syncIntervalMs: -1 });
  const recorded = new RecordedClients(cluster.addresses);
  const standbyReads = new CounterSum('sluice_master_standby_reads_total', 'operation="exists"');
  let probes = 0;
  const probeNext = (suffix = ''): Promise<void> => {
    probes += 1;
    return probe(files, ledger, `/drill/probe-${probes}${suffix}`);
  };
  const ground: Ground = {
    cluster,
    network: cluster.network as MasterNetwork,
    faultyDisks: faultyDisks as FaultyDisks,
    smallDisks,
    faultyClocks: faultyClocks as FaultyClocks,
    probe: () => probeNext(),
    burst: async (count) => {
      let left = count;
      const lane = async (): Promise<void> => {
        for (; left > 0; await probeNext(LONG_SUFFIX)) left -= 1;
      };
      await Promise.all(Array.from({ length: BURST_LANES }, lane));
    },
    progress: (count) => acknowledgedBeyond(ledger, ledger.size + count),
    takeSilence: () => ledger.takeSilence(),
    surprise: (what) => ledger.surprise(what),
  };
  try {
    await files.mkdir('/drill');
    const contentOf = options.empty === true ? () => NO_CONTENT : someContent;
    const writers = Array.from({ length: options.writers }, (_, lane) =>
      write(files, ledger, (count) => [`/drill/w${lane}-${count}`, contentOf(lane, count)], stop.signal),
    );
    await pause(options.settleMs ?? 0);
    const gapsMs: number[] = [];
    let falseElections = 0;
    let term = await termOf(cluster);
    for (let round = 0; round < options.rounds; round += 1) {
      const fault = options.faults[round % options.faults.length] as Fault;
      await ground.progress(options.writers);
      const reached = await termOf(cluster);
      await fault.prepare?.(ground);
      const before = await termOf(cluster);
      const gap = await fault.inflict(ground);
      await cluster.waitUntilReady();
      const after = await termOf(cluster);
      await standbyReads.look(cluster.masters);
      falseElections += reached - term + (fault.keepsLeader ? after - before : 0);
      term = after;
      gapsMs.push(gap);
      options.onRound?.(round, fault, gap);
      recorded.changeFolder();
    }
    await ground.progress(options.writers);
    falseElections += (await termOf(cluster)) - term;
    stop.abort();
    await Promise.all(writers);
    await recorded.stop();
    await standbyReads.look(cluster.masters);
    const judged = {
      judged: recorded.answered,
      standbyReads: standbyReads.total,
      notLinearizable: recorded.wrongFolders(),
    };
    return { rounds: options.rounds, gapsMs, falseElections, ...judged, ...(await audit(files, ledger)) };
  } finally {
    stop.abort();
    await recorded.stop().finally(() => files.close());
  }
}

/** How long the slowest of the creates took that were sent, one after the other, from now until `task` was done. */
export async function slowestCreate(ground: Ground, task: () => Promise<unknown>): Promise<number> {
  let over = false;
  const done = task().finally(() => {
    over = true;
  });
  // It is awaited below, and must not end the process meanwhile.
  done.catch(() => undefined);
  let slowest = 0;
  for (let last = false; !last; ) {
    last = over;
    const begun = performance.now();
    await ground.probe();
    slowest = Math.max(slowest, performance.now() - begun);
  }
  await done;
  return slowest;
}

/** The longest time without an acknowledged create, probes and writers together, while `task` was done. */
export async function longestSilence(ground: Ground, task: () => Promise<unknown>): Promise<number> {
  await ground.probe();
  ground.takeSilence();
  await slowestCreate(ground, task);
  return ground.takeSilence();
}

/** Resolves when `condition` holds. @throws Error that names `what` after a minute */
export async function until(what: string, condition: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + SETTLE_MS;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`In a minute it did not happen that ${what}`);
    await pause(10);
  }
}

/** The highest term of a master that runs. */
export async function termOf(cluster: ProcessCluster): Promise<number> {
  const terms = cluster.masters
    .filter(({ running }) => running)
    .map((master) => master.metric('sluice_master_raft_term_number'));
  return Math.max(...(await Promise.all(terms)));
}

/** The masters that do not lead. */
export function followersOf(cluster: ProcessCluster, leader: Node): readonly Node[] {
  return cluster.masters.filter((master) => master !== leader);
}

async function probe(files: FileSystem, ledger: Ledger, path: string): Promise<void> {
  try {
    await files.writeFile(path, NO_CONTENT, { writeType: 'MUST_CACHE' });
    ledger.acknowledged(path, NO_CONTENT);
  } catch (error) {
    note(ledger, path, error);
  }
}

async function write(
  files: FileSystem,
  ledger: Ledger,
  fileOf: (count: number) => readonly [path: string, content: Uint8Array],
  signal: AbortSignal,
): Promise<void> {
  for (let count = 0; !signal.aborted; count += 1) {
    const [path, content] = fileOf(count);
    try {
      await files.writeFile(path, content, { writeType: content.length === 0 ? 'MUST_CACHE' : 'CACHE_THROUGH' });
      ledger.acknowledged(path, content);
    } catch (error) {
      note(ledger, path, error);
      await pause(10);
    }
  }
}

/** Failures that name a lost cluster are honest; any other answer tells of an effect that this writer did not cause once. */
function note(ledger: Ledger, path: string, error: unknown): void {
  const { code, message } = SluiceError.from(error);
  if (code === 'UNAVAILABLE' || code === 'TIMED_OUT') ledger.failed(path, `${code}: ${message}`);
  else ledger.surprise(`${path}: ${code}: ${message}`);
}

/** Bytes that tell which write they belong to, of a few hundred bytes to a few pages. */
function someContent(lane: number, count: number): Uint8Array {
  const length = 100 + ((lane * 7919 + count * 104_729) % 9000);
  const line = Buffer.from(`writer ${lane} file ${count}\n`);
  return Buffer.alloc(length, line);
}

async function acknowledgedBeyond(ledger: Ledger, count: number): Promise<void> {
  const deadline = performance.now() + WAIT_MS;
  while (ledger.size < count) {
    if (performance.now() > deadline)
      throw new Error(`Writers stand still: ${ledger.surprises.slice(0, 5).join('; ')}`);
    await pause(5);
  }
}

type Audit = Pick<DrillResult, 'acknowledged' | 'unanswered' | 'lost' | 'duplicated' | 'wrongBytes' | 'surprises'>;

async function audit(files: FileSystem, ledger: Ledger): Promise<Audit> {
  let lost = 0;
  let wrongBytes = 0;
  let twice = 0;
  const lengths = new Map<string, number>();
  for await (const { path, lengthBytes } of files.list('/drill')) {
    if (lengths.has(path)) twice += 1;
    lengths.set(path, lengthBytes);
  }
  for (const [path, digest] of ledger.entries()) {
    const length = lengths.get(path);
    if (length === undefined) lost += 1;
    else if (length === 0) wrongBytes += digest === NOTHING ? 0 : 1;
    else if (digestOf(await files.readFile(path)) !== digest) wrongBytes += 1;
  }
  return {
    acknowledged: ledger.size,
    unanswered: ledger.unanswered,
    lost,
    duplicated: twice + ledger.surprises.length,
    wrongBytes,
    surprises: ledger.surprises,
  };
}
