import { type ChildProcess, fork } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { JOURNAL_STORES, type JournalStoreKind } from '../src/master/journal-store-kind.ts';
import { freePorts } from '../test/support/process-cluster.ts';
import { measureDisk } from './disk-rate.ts';
import { EtcdCluster, etcdInstalled } from './etcd-cluster.ts';
import type { LoadReport, MemberRequest, MemberStatus } from './journal-member.ts';
import { type BenchResult, cpuMsOf, mainThreadCpuMsOf, type Printer } from './measure.ts';

/*
 * Commits of 200-byte commands by the journal alone (core, store, pumps, transport; see journal-node.ts), three
 * processes on this machine, proposals made in the leader's. What to expect:
 * - One in flight: a command waits for one sync of a quorum and one round trip; the disk's rate is the limit.
 * - Many: each write carries what arrived while the last one was on its way. Then CPU is the limit: on two cores, and a
 *   leader's 3 to 4 us with two followers' 1 to 2 us each, 2,000,000 / 7 = 280,000 a second.
 * Beside it, when installed, three etcd members with the same number of puts of 200 bytes in flight to their leader,
 * over up to 8 connections. That is a service with a client edge, and ours here is none: its calls are made as cheap as
 * they can be (h2-load.ts), and the load's share of CPU is printed.
 */

const COMMAND_BYTES = 200;
const WARM_UP_MS = 2000;

export interface JournalBenchOptions {
  readonly printer: Printer;
  readonly seconds: number;
  readonly inFlight: readonly number[];
  /** `level`, `segments`, `etcd`; all that there are when undefined. */
  readonly cases: readonly string[] | undefined;
  /** Times that every case is run, one after the other. */
  readonly rounds: number;
  /** Folder for CPU profiles of the members. */
  readonly profiles: string | undefined;
}

export async function benchJournal(options: JournalBenchOptions): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-bench-'));
  try {
    const etcd = await etcdInstalled();
    for (let round = 0; round < options.rounds; round += 1) {
      printDisk(options.printer, folder);
      for (const inFlight of options.inFlight) {
        for (const store of JOURNAL_STORES)
          if (options.cases?.includes(store) !== false) await benchStore(options, folder, store, inFlight);
        if (etcd && options.cases?.includes('etcd') !== false) await benchEtcd(options, folder, inFlight);
      }
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function printDisk(printer: Printer, folder: string): void {
  const { syncsPerSec, p50Ms, p99Ms } = measureDisk(folder);
  const note = '256-byte append and fdatasync of one file, the limit of one command per sync';
  const result = { opsPerSec: syncsPerSec, p50Ms, p99Ms, note };
  printer.print({ suite: 'journal', case: 'disk-sync', protocol: 'local', inFlight: 1, ...result });
}

/** A process with one member; it answers one request at a time. */
class Member {
  readonly name: string;
  readonly #child: ChildProcess;

  constructor(name: string, profiles: string | undefined) {
    this.name = name;
    const profiling = profiles === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profiles}`];
    const execArgv = [...process.execArgv, ...profiling];
    this.#child = fork(new URL('./journal-member.ts', import.meta.url), [], { execArgv });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  ask<T>(request: MemberRequest): Promise<T> {
    return new Promise((resolve, reject) => {
      const ended = (code: number | null) => reject(new Error(`Member ${this.name} has ended with ${code}`));
      this.#child.once('exit', ended);
      this.#child.once('message', (answer) => {
        this.#child.off('exit', ended);
        resolve(answer as T);
      });
      this.#child.send(request);
    });
  }

  async close(): Promise<void> {
    const { exitCode, signalCode } = this.#child;
    if (exitCode !== null || signalCode !== null) return;
    const ended = new Promise((resolve) => this.#child.once('exit', resolve));
    await this.ask({ kind: 'close' }).catch(() => this.#child.kill('SIGKILL'));
    await ended;
  }
}

async function benchStore(
  { printer, seconds, profiles }: JournalBenchOptions,
  folder: string,
  store: JournalStoreKind,
  inFlight: number,
): Promise<void> {
  const ports = await freePorts(3);
  const peers = ports.map((port, i): [string, string] => [`m${i + 1}`, `127.0.0.1:${port}`]);
  const members = peers.map(([name]) => new Member(name, profiles));
  try {
    for (const member of members)
      await member.ask({ kind: 'start', name: member.name, peers, folder: join(folder, member.name), store });
    const leader = await leaderOf(members);
    const ordered = [leader, ...members.filter((member) => member !== leader)];
    const running = leader.ask<LoadReport>({
      kind: 'load',
      inFlight,
      commandBytes: COMMAND_BYTES,
      warmUpMs: WARM_UP_MS,
      measureMs: seconds * 1000,
    });
    const cpu = await cpuDuring(ordered, WARM_UP_MS, running);
    const report = await running;
    await expectEqual(members);
    const perWrite = Math.round(report.done / report.writes);
    const shares = cpu.map(({ all, main }) => `${each(all, report.done)} (main thread ${each(main, report.done)})`);
    print(printer, store, 'local', inFlight, report, {
      cpuMs: cpu.reduce((sum, { all }) => sum + all, 0),
      note: `CPU us/op of the leader with the load ${shares[0]}, followers ${shares[1]}, ${shares[2]}; ${perWrite} a write`,
    });
  } finally {
    await Promise.all(members.map((member) => member.close()));
    for (const { name } of members) await rm(join(folder, name), { recursive: true, force: true });
  }
}

async function benchEtcd({ printer, seconds }: JournalBenchOptions, folder: string, inFlight: number): Promise<void> {
  const cluster = await EtcdCluster.start(folder);
  try {
    const pids = cluster.pids.map((pid) => ({ pid }));
    const running = cluster.put(inFlight, COMMAND_BYTES, WARM_UP_MS, seconds * 1000);
    const cpu = await cpuDuring([...pids, { pid: process.pid }], WARM_UP_MS, running);
    const report = await running;
    const [leader, one, other, load] = cpu.map(({ all }) => each(all, report.done));
    print(printer, 'etcd', 'unary', inFlight, report, {
      cpuMs: cpu.slice(0, 3).reduce((sum, { all }) => sum + all, 0),
      note: `CPU us/op of the leader ${leader}, followers ${one}, ${other}; the load takes ${load} more`,
    });
  } finally {
    await cluster.close();
    for (const name of ['e1', 'e2', 'e3']) await rm(join(folder, name), { recursive: true, force: true });
  }
}

function each(ms: number, operations: number): string {
  return ((ms * 1000) / operations).toPrecision(3);
}

function print(
  printer: Printer,
  name: string,
  protocol: BenchResult['protocol'],
  inFlight: number,
  report: { readonly done: number; readonly seconds: number; readonly p50Ms: number; readonly p99Ms: number },
  { cpuMs, note }: { readonly cpuMs: number; readonly note: string },
): void {
  const { done, seconds, p50Ms, p99Ms } = report;
  const rates = { opsPerSec: done / seconds, mbPerSec: (done * COMMAND_BYTES) / seconds / 1e6, p50Ms, p99Ms };
  const cpuUsPerOp = (cpuMs * 1000) / done;
  printer.print({ suite: 'journal', case: name, protocol, inFlight, ...rates, cpuUsPerOp, note });
}

/** CPU time of processes while `load` measures, in milliseconds. */
async function cpuDuring(
  processes: readonly { readonly pid: number }[],
  warmUpMs: number,
  load: Promise<unknown>,
): Promise<readonly { readonly all: number; readonly main: number }[]> {
  const now = () => processes.map(({ pid }) => ({ all: cpuMsOf(pid), main: mainThreadCpuMsOf(pid) }));
  await Promise.race([new Promise((resolve) => setTimeout(resolve, warmUpMs)), load]);
  const before = now();
  await load;
  return now().map(({ all, main }, i) => ({ all: all - (before[i]?.all ?? 0), main: main - (before[i]?.main ?? 0) }));
}

async function leaderOf(members: readonly Member[]): Promise<Member> {
  for (;;) {
    for (const member of members) if ((await member.ask<MemberStatus>({ kind: 'status' })).leading) return member;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** All members have applied the same, which is what was committed. */
async function expectEqual(members: readonly Member[]): Promise<void> {
  for (;;) {
    const states = await Promise.all(members.map((member) => member.ask<MemberStatus>({ kind: 'status' })));
    const [first] = states;
    if (states.every(({ index }) => index === first?.index)) {
      if (states.some(({ checksum }) => checksum !== first?.checksum)) throw new Error('The members differ');
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
