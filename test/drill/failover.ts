import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FileSystem } from '../../src/client/file-system.ts';
import { nodeTimers } from '../../src/host/node-timers.ts';
import { systemClock } from '../../src/host/system-clock.ts';
import { SluiceError } from '../../src/model/errors.ts';
import { AdminChannel } from '../../src/wire/admin-channel.ts';
import { ProcessCluster, pause } from '../support/process-cluster.ts';
import { digestOf, Ledger } from './ledger.ts';
import { RecordedClients } from './recorded-clients.ts';

/**
 * What happens to the leader: its process dies, hangs for a while, is restarted in good order, or hands leadership to
 * another master; or all masters die at the same time and are started again.
 */
export type Fault = 'kill' | 'stop' | 'restart' | 'transfer' | 'killAll';

export interface FailoverOptions {
  readonly rounds: number;
  /** Taken in turn. */
  readonly faults: readonly Fault[];
  /** Writers that run all the time. */
  readonly writers: number;
  onRound?(round: number, fault: Fault, ms: number): void;
}

export interface FailoverResult {
  readonly rounds: number;
  /** From the fault to the next acknowledged create, in order of the rounds; of a transfer, the slowest create in it. */
  readonly gapsMs: readonly number[];
  readonly acknowledged: number;
  readonly unanswered: number;
  readonly lost: number;
  readonly duplicated: number;
  readonly wrongBytes: number;
  /** Calls of the recorded clients that were answered. */
  readonly judged: number;
  /** Folders of the recorded clients whose history is not linearizable. */
  readonly notLinearizable: readonly string[];
  readonly surprises: readonly string[];
}

const WAIT_MS = 30_000;

/**
 * Writers create files with content while the leader suffers, again and again. Afterwards every acknowledged file must be
 * there with its bytes, no operation may have been seen to take effect twice, and what recorded clients saw of the
 * namespace must be linearizable.
 */
export async function runFailover(options: FailoverOptions): Promise<FailoverResult> {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-failover-'));
  const storage = join(folder, 'storage');
  mkdirSync(storage);
  const cluster = await ProcessCluster.start({
    folder,
    workers: 2,
    settings: { 'master.root.ufs': `file://${storage}` },
  });
  try {
    return await underLoad(cluster, options);
  } finally {
    await cluster.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function underLoad(cluster: ProcessCluster, options: FailoverOptions): Promise<FailoverResult> {
  const files = await FileSystem.connect({ masters: cluster.addresses });
  const ledger = new Ledger();
  const stop = new AbortController();
  const recorded = new RecordedClients(cluster.addresses);
  try {
    await files.mkdir('/drill');
    const writers = Array.from({ length: options.writers }, (_, lane) => write(files, ledger, lane, stop.signal));
    const gapsMs: number[] = [];
    for (let round = 0; round < options.rounds; round += 1) {
      const fault = options.faults[round % options.faults.length] as Fault;
      await acknowledgedBeyond(ledger, ledger.size + options.writers);
      const gap = await inject(cluster, files, ledger, fault, round);
      gapsMs.push(gap);
      options.onRound?.(round, fault, gap);
      recorded.changeFolder();
    }
    await acknowledgedBeyond(ledger, ledger.size + options.writers);
    stop.abort();
    await Promise.all(writers);
    await recorded.stop();
    const judged = { judged: recorded.answered, notLinearizable: recorded.wrongFolders() };
    return { rounds: options.rounds, gapsMs, ...judged, ...(await audit(files, ledger)) };
  } finally {
    stop.abort();
    await recorded.stop().finally(() => files.close());
  }
}

/** One fault. @returns how long after it the next create was acknowledged. */
async function inject(
  cluster: ProcessCluster,
  files: FileSystem,
  ledger: Ledger,
  fault: Fault,
  round: number,
): Promise<number> {
  if (fault === 'killAll') return await killAll(cluster, files, ledger, round);
  const leader = await cluster.leader();
  if (fault === 'transfer') return await transfer(cluster, files, ledger, round);
  const begun = performance.now();
  const ended = fault === 'restart' ? leader.stop('SIGTERM') : undefined;
  if (fault !== 'restart') leader.signal(fault === 'kill' ? 'SIGKILL' : 'SIGSTOP');
  // Sent after the fault: the old leader cannot have answered it.
  await probe(files, ledger, `/drill/probe-${round}`);
  const gap = performance.now() - begun;
  await ended;
  if (fault === 'stop') leader.signal('SIGCONT');
  else {
    await leader.stop('SIGKILL');
    leader.start();
  }
  await cluster.waitUntilReady();
  return gap;
}

/** Creates one file after the other until another master leads. @returns how long the slowest took. */
async function transfer(cluster: ProcessCluster, files: FileSystem, ledger: Ledger, round: number): Promise<number> {
  const admin = new AdminChannel({
    masters: cluster.addresses,
    clock: systemClock,
    timers: nodeTimers,
    random: { next: Math.random },
  });
  let over = false;
  const transferred = admin.transfer(undefined).finally(() => {
    over = true;
  });
  let slowest = 0;
  for (let count = 0, last = false; !last; count += 1) {
    last = over;
    const begun = performance.now();
    await probe(files, ledger, `/drill/probe-${round}-${count}`);
    slowest = Math.max(slowest, performance.now() - begun);
  }
  await transferred;
  return slowest;
}

/** The gap contains the start of the processes. */
async function killAll(cluster: ProcessCluster, files: FileSystem, ledger: Ledger, round: number): Promise<number> {
  const begun = performance.now();
  for (const master of cluster.masters) master.signal('SIGKILL');
  await Promise.all(cluster.masters.map((master) => master.ended()));
  for (const master of cluster.masters) master.start();
  await probe(files, ledger, `/drill/probe-${round}`);
  const gap = performance.now() - begun;
  await cluster.waitUntilReady();
  return gap;
}

async function probe(files: FileSystem, ledger: Ledger, path: string): Promise<void> {
  try {
    await files.writeFile(path, new Uint8Array(0), { writeType: 'MUST_CACHE' });
    ledger.acknowledged(path, new Uint8Array(0));
  } catch (error) {
    note(ledger, path, error);
  }
}

async function write(files: FileSystem, ledger: Ledger, lane: number, signal: AbortSignal): Promise<void> {
  for (let count = 0; !signal.aborted; count += 1) {
    const path = `/drill/w${lane}-${count}`;
    const content = contentOf(lane, count);
    try {
      await files.writeFile(path, content, { writeType: 'CACHE_THROUGH' });
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
  if (code === 'UNAVAILABLE' || code === 'TIMED_OUT') ledger.failed(path);
  else ledger.surprise(`${path}: ${code}: ${message}`);
}

/** Bytes that tell which write they belong to, of a few hundred bytes to a few pages. */
function contentOf(lane: number, count: number): Uint8Array {
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

async function audit(
  files: FileSystem,
  ledger: Ledger,
): Promise<Omit<FailoverResult, 'rounds' | 'gapsMs' | 'judged' | 'notLinearizable'>> {
  let lost = 0;
  let wrongBytes = 0;
  const listed = new Map<string, number>();
  for await (const status of files.list('/drill')) listed.set(status.path, (listed.get(status.path) ?? 0) + 1);
  for (const [path, digest] of ledger.entries()) {
    if (!listed.has(path)) lost += 1;
    else if (digestOf(await files.readFile(path)) !== digest) wrongBytes += 1;
  }
  const twice = [...listed.values()].filter((count) => count > 1).length;
  return {
    acknowledged: ledger.size,
    unanswered: ledger.unanswered,
    lost,
    duplicated: twice + ledger.surprises.length,
    wrongBytes,
    surprises: ledger.surprises,
  };
}
