import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FileSystem } from '../src/client/file-system.ts';
import { ProcessCluster } from '../test/support/process-cluster.ts';
import { cpuMsOf, type Printer, runLoad } from './measure.ts';

/*
 * What to expect on two cores: a worker reads a page from the kernel (0.15 s a GiB), checks it (zlib.crc32, 0.4 s a GiB)
 * and sends it (0.3 s a GiB): about 0.9 s a GiB; the client receives into place: 0.4 to 0.8 s a GiB, page faults of new
 * memory included. Client and worker share the machine: 0.7 to 1 GB/s for ranges of 4 MiB; ranges of 4 KiB cost 150 to
 * 250 us for both, most of it in the kernel.
 */

export interface WorkerBenchOptions {
  readonly printer: Printer;
  readonly seconds: number;
}

const FILE_BYTES = 256 * 2 ** 20;
const MIB = 2 ** 20;
const SMALL_FILES = 2_000;

/** Reads of cached blocks, by the client library over HTTP, from one real worker. */
export async function benchWorker(options: WorkerBenchOptions): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-bench-'));
  const storage = join(folder, 'storage');
  mkdirSync(storage);
  const cluster = await ProcessCluster.start({
    folder,
    masters: 1,
    workers: 1,
    settings: { 'master.root.ufs': `file://${storage}` },
  });
  const files = await FileSystem.connect({ masters: cluster.addresses });
  try {
    await writeBig(files, options.printer);
    for (const [name, rangeBytes] of [
      ['read-cached-4m', 4 * MIB],
      ['read-cached-1m', MIB],
      ['read-cached-64k', 64 * 1024],
      ['read-cached-4k', 4096],
    ] as const)
      for (const inFlight of [1, 16]) await readRanges(files, cluster, options, name, rangeBytes, inFlight);
    await readStream(files, cluster, options.printer);
    await readSmallFiles(files, cluster, options.printer, storage);
  } finally {
    await files.close();
    await cluster.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function writeBig(files: FileSystem, printer: Printer): Promise<void> {
  const chunk = Buffer.alloc(4 * MIB);
  for (let at = 0; at < chunk.length; at += 4) chunk.writeUInt32LE((at * 2654435761) >>> 0, at);
  const started = performance.now();
  const writer = await files.create('/big', { writeType: 'CACHE_THROUGH' });
  for (let written = 0; written < FILE_BYTES; written += chunk.length) await writer.write(chunk);
  await writer.close();
  const seconds = (performance.now() - started) / 1000;
  printer.print({
    suite: 'worker',
    case: 'write-through',
    protocol: 'http',
    inFlight: 1,
    mbPerSec: FILE_BYTES / 1e6 / seconds,
    note: 'CACHE_THROUGH to a local UFS, synced, and into the cache',
  });
}

async function readRanges(
  files: FileSystem,
  cluster: ProcessCluster,
  options: WorkerBenchOptions,
  name: string,
  rangeBytes: number,
  inFlight: number,
): Promise<void> {
  const worker = cluster.workers[0]!;
  const reader = await files.open('/big');
  const slots = FILE_BYTES / rangeBytes;
  const operation = async (index: number): Promise<void> => {
    const bytes = await reader.read(((index * 7919) % slots) * rangeBytes, rangeBytes);
    if (bytes.length !== rangeBytes) throw new Error(`Got ${bytes.length} of ${rangeBytes} bytes`);
  };
  // What compiles and grows at first is not measured.
  await runLoad({ inFlight, count: 2_000_000, maxMs: 300, operation });
  const cpu = new CpuShares(worker.pid);
  const missesBefore = await worker.metric('sluice_worker_ufs_reads_total');
  const result = await runLoad({
    inFlight,
    count: 2_000_000,
    maxMs: options.seconds * 1000,
    operation,
  });
  const misses = (await worker.metric('sluice_worker_ufs_reads_total')) - missesBefore;
  await reader.close();
  options.printer.print({
    suite: 'worker',
    case: name,
    protocol: 'http',
    inFlight,
    opsPerSec: result.opsPerSec,
    mbPerSec: (result.opsPerSec * rangeBytes) / 1e6,
    p50Ms: result.p50Ms,
    p99Ms: result.p99Ms,
    cpuUsPerOp: (cpu.usedMs() * 1000) / result.done,
    note: `${cpu.perGiB(result.done * rangeBytes)}${misses > 0 ? `; ${misses} reads went to the UFS` : ''}`,
  });
}

async function readStream(files: FileSystem, cluster: ProcessCluster, printer: Printer): Promise<void> {
  const worker = cluster.workers[0]!;
  const reader = await files.open('/big');
  const cpu = new CpuShares(worker.pid);
  const started = performance.now();
  let got = 0;
  for await (const chunk of reader.stream()) got += chunk.length;
  const seconds = (performance.now() - started) / 1000;
  await reader.close();
  if (got !== FILE_BYTES) throw new Error(`Got ${got} of ${FILE_BYTES} bytes`);
  printer.print({
    suite: 'worker',
    case: 'stream-cached',
    protocol: 'http',
    inFlight: 1,
    mbPerSec: got / 1e6 / seconds,
    note: cpu.perGiB(got),
  });
}

/** Files of the UFS that nobody has read: the first reading fetches and keeps them, the second finds them. */
async function readSmallFiles(
  files: FileSystem,
  cluster: ProcessCluster,
  printer: Printer,
  storage: string,
): Promise<void> {
  mkdirSync(join(storage, 'small'));
  for (let at = 0; at < SMALL_FILES; at += 1)
    writeFileSync(join(storage, 'small', `f${at}`), Buffer.alloc(500 + ((at * 977) % 20_000), at));
  const paths: string[] = [];
  for await (const status of files.list('/small')) paths.push(status.path);
  const worker = cluster.workers[0]!;
  for (const name of ['small-first', 'small-cached']) {
    const cpu = new CpuShares(worker.pid);
    const result = await runLoad({
      inFlight: 16,
      count: paths.length,
      maxMs: 0,
      operation: (index) => files.readFile(paths[index]!),
    });
    printer.print({
      suite: 'worker',
      case: name,
      protocol: 'http',
      inFlight: 16,
      opsPerSec: result.opsPerSec,
      p50Ms: result.p50Ms,
      p99Ms: result.p99Ms,
      cpuUsPerOp: (cpu.usedMs() * 1000) / result.done,
      note: `${paths.length} files of 0.5 to 20 KB, getStatus included but not the master's CPU`,
    });
  }
}

/** CPU time of the worker and of this process, which is the client. */
class CpuShares {
  readonly #pid: number;
  readonly #workerMs: number;
  readonly #clientMs: number;

  constructor(pid: number) {
    this.#pid = pid;
    this.#workerMs = cpuMsOf(pid);
    this.#clientMs = cpuMsOf(process.pid);
  }

  usedMs(): number {
    const { worker, client } = this.#used();
    return worker + client;
  }

  perGiB(bytes: number): string {
    const { worker, client } = this.#used();
    const shown = (ms: number): string => (ms / 1000 / (bytes / 2 ** 30)).toFixed(2);
    return `CPU s/GiB: worker ${shown(worker)}, client ${shown(client)}`;
  }

  #used(): { readonly worker: number; readonly client: number } {
    return { worker: cpuMsOf(this.#pid) - this.#workerMs, client: cpuMsOf(process.pid) - this.#clientMs };
  }
}
