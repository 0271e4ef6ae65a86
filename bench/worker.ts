import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FileSystem } from '../src/client/file-system.ts';
import { ProcessCluster } from '../test/support/process-cluster.ts';
import { cpuMsOf, type Printer, runLoad } from './measure.ts';

/*
 * What to expect on two cores: node:http moves about 1 GB/s a core from files (2 GB/s from memory), the checksum of each page costs
 * 0.4 ms a MiB (zlib.crc32 at 2.4 GB/s), the client copies once more. Client and worker share the machine: 0.7 to 1 GB/s for
 * ranges of 4 MiB, 5,000 to 8,000 reads a second for ranges of 4 KiB.
 */

export interface WorkerBenchOptions {
  readonly printer: Printer;
  readonly seconds: number;
}

const FILE_BYTES = 256 * 2 ** 20;
const MIB = 2 ** 20;

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
  const before = cpuMsOf(worker.pid) + cpuMsOf(process.pid);
  const missesBefore = await worker.metric('sluice_worker_ufs_reads_total');
  const result = await runLoad({
    inFlight,
    count: 2_000_000,
    maxMs: options.seconds * 1000,
    operation: async (index) => {
      const bytes = await reader.read(((index * 7919) % slots) * rangeBytes, rangeBytes);
      if (bytes.length !== rangeBytes) throw new Error(`Got ${bytes.length} of ${rangeBytes} bytes`);
    },
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
    cpuUsPerOp: ((cpuMsOf(worker.pid) + cpuMsOf(process.pid) - before) * 1000) / result.done,
    ...(misses > 0 ? { note: `${misses} reads went to the UFS` } : {}),
  });
}

async function readStream(files: FileSystem, cluster: ProcessCluster, printer: Printer): Promise<void> {
  const worker = cluster.workers[0]!;
  const reader = await files.open('/big');
  const before = cpuMsOf(worker.pid) + cpuMsOf(process.pid);
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
    note: `CPU ms per MiB: ${((cpuMsOf(worker.pid) + cpuMsOf(process.pid) - before) / (got / MIB)).toFixed(2)}`,
  });
}
