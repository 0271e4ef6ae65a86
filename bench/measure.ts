import { readFileSync } from 'node:fs';

/** One line of a bench's result; what does not apply is left out. */
export interface BenchResult {
  readonly suite: string;
  /** The operation: `create`, `getStatus`, `list`, `rename`, `delete`, `read-cached`, … */
  readonly case: string;
  readonly protocol: 'stream' | 'unary' | 'http' | 'local';
  readonly inFlight?: number;
  readonly opsPerSec?: number;
  readonly mbPerSec?: number;
  readonly p50Ms?: number;
  readonly p99Ms?: number;
  /** CPU time of all processes of the cluster, per operation. */
  readonly cpuUsPerOp?: number;
  readonly note?: string;
}

/** A clock tick of /proc/PID/stat; 100 a second on every Linux that Node runs on. */
const TICK_MS = 10;

/** CPU time that a process has used so far, in milliseconds. */
export function cpuMsOf(pid: number): number {
  return cpuMsIn(`/proc/${pid}/stat`);
}

/** Of the thread that runs JavaScript; the others collect garbage, compile, and work for LevelDB and the disk. */
export function mainThreadCpuMsOf(pid: number): number {
  return cpuMsIn(`/proc/${pid}/task/${pid}/stat`);
}

function cpuMsIn(file: string): number {
  const stat = readFileSync(file, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
}

/** Resident memory of a process in bytes. */
export function residentBytesOf(pid: number): number {
  const line = readFileSync(`/proc/${pid}/status`, 'utf8')
    .split('\n')
    .find((text) => text.startsWith('VmRSS:'));
  return Number(/(\d+)/.exec(line ?? '')?.[1] ?? 0) * 1024;
}

/** The value below which `share` of the samples lie; `samples` are sorted. */
export function percentile(samples: ArrayLike<number>, share: number): number {
  if (samples.length === 0) return Number.NaN;
  return samples[Math.min(samples.length - 1, Math.floor(samples.length * share))] as number;
}

export interface Load {
  readonly inFlight: number;
  /** Operations to run. */
  readonly count: number;
  /** Stop early after this long; 0 runs all. */
  readonly maxMs: number;
  operation(index: number): Promise<unknown>;
}

export interface LoadResult {
  readonly done: number;
  readonly seconds: number;
  readonly opsPerSec: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** Closed loop: keeps `inFlight` operations running until `count` are done or the time is up. */
export async function runLoad(load: Load): Promise<LoadResult> {
  const latencies = new Float64Array(load.count);
  const started = performance.now();
  let next = 0;
  let done = 0;
  const lane = async (): Promise<void> => {
    while (next < load.count && (load.maxMs === 0 || performance.now() - started < load.maxMs)) {
      const index = next;
      next += 1;
      const begun = performance.now();
      await load.operation(index);
      latencies[done] = performance.now() - begun;
      done += 1;
    }
  };
  await Promise.all(Array.from({ length: load.inFlight }, lane));
  const seconds = (performance.now() - started) / 1000;
  const sorted = latencies.subarray(0, done).sort();
  return {
    done,
    seconds,
    opsPerSec: done / seconds,
    p50Ms: percentile(sorted, 0.5),
    p99Ms: percentile(sorted, 0.99),
  };
}

function rounded(value: number | undefined): number | undefined {
  return value === undefined ? undefined : Number(value.toPrecision(4));
}

/** Prints results as they come: JSON objects a line each, or columns for people. */
export class Printer {
  readonly #json: boolean;
  #headed = false;

  constructor(json: boolean) {
    this.#json = json;
  }

  print(result: BenchResult): void {
    const numbers = {
      opsPerSec: rounded(result.opsPerSec),
      mbPerSec: rounded(result.mbPerSec),
      p50Ms: rounded(result.p50Ms),
      p99Ms: rounded(result.p99Ms),
      cpuUsPerOp: rounded(result.cpuUsPerOp),
    };
    if (this.#json) {
      process.stdout.write(`${JSON.stringify({ ...result, ...numbers })}\n`);
      return;
    }
    const columns = (cells: readonly (string | number | undefined)[]): string =>
      cells
        .map((cell, index) => (index < 3 ? String(cell ?? '').padEnd(14) : String(cell ?? '').padStart(11)))
        .join(' ');
    if (!this.#headed) {
      process.stdout.write(
        `${columns(['suite', 'case', 'protocol', 'in flight', 'ops/s', 'MB/s', 'p50 ms', 'p99 ms', 'CPU us/op'])}\n`,
      );
      this.#headed = true;
    }
    const row = [result.suite, result.case, result.protocol, result.inFlight, ...Object.values(numbers)];
    process.stdout.write(`${columns(row)}${result.note === undefined ? '' : `  ${result.note}`}\n`);
  }
}
