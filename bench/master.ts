import { randomUUID } from 'node:crypto';
import { createLogger } from '../src/host/logger.ts';
import { nodeTimers } from '../src/host/node-timers.ts';
import { systemClock } from '../src/host/system-clock.ts';
import { MetadataChannel } from '../src/wire/metadata-channel.ts';
import { ProcessCluster } from '../test/support/process-cluster.ts';
import { measureDisk } from './disk-rate.ts';
import { cpuMsOf, type LoadResult, mainThreadCpuMsOf, type Printer, runLoad } from './measure.ts';

/*
 * What to expect on two cores with everything on one machine, 512 in flight:
 * - The disk syncs about 3,000 to 5,000 times a second; with 100 and more operations in a sync it is no limit.
 * - CPU is: a create costs the client about 10 us (encode, decode, promise), the leader about 25 us (decode, stamp, encode the
 *   entry, apply, store, reply), each follower about 15 us (log, apply, store). 2 cores / 65 us = 30,000 creates a second.
 * - getStatus costs client and leader about 10 us each and the followers nothing but a read round per turn: 2 / 20 us
 *   = 100,000 a second.
 * With 1 in flight, latency is: client to leader and back, one sync on a quorum, one round trip to a follower: 0.6 ms at best.
 */

export interface MasterBenchOptions {
  readonly printer: Printer;
  /** Seconds per case. */
  readonly seconds: number;
  readonly protocols: readonly ('stream' | 'unary')[];
  readonly inFlight: readonly number[];
  readonly cases: readonly string[] | undefined;
}

interface Case {
  readonly name: string;
  /** Operations at most; bounded by what an earlier case made. */
  count(made: number): number;
  run(channel: MetadataChannel, folder: string, index: number): Promise<unknown>;
}

const FILES_PER_FOLDER = 1000;
const CASES_MAX = 400_000;

function fileOf(folder: string, index: number): string {
  return `${folder}/d${Math.floor(index / FILES_PER_FOLDER)}/f${index}`;
}

const CASES: readonly Case[] = [
  {
    name: 'create',
    count: () => CASES_MAX,
    run: (channel, folder, index) =>
      channel.call('createFile', {
        path: fileOf(folder, index),
        mode: 0o644,
        writeType: 'MUST_CACHE',
        blockSizeBytes: 0,
        recursive: true,
        overwrite: false,
        empty: true,
      }),
  },
  {
    name: 'getStatus',
    count: () => CASES_MAX * 10,
    run: (channel, folder, index) => channel.call('getStatus', { path: fileOf(folder, index) }),
  },
  {
    name: 'list',
    count: () => CASES_MAX,
    run: (channel, folder, index) =>
      channel.call('listStatus', {
        path: `${folder}/d${Math.floor(index / FILES_PER_FOLDER)}`,
        recursive: false,
        cursor: '',
        limit: 100,
      }),
  },
  {
    name: 'rename',
    count: (made) => made,
    run: (channel, folder, index) => {
      const source = fileOf(folder, index);
      return channel.call('rename', { source, target: `${source}-renamed`, overwrite: false });
    },
  },
  {
    name: 'delete',
    count: (made) => made,
    run: (channel, folder, index) =>
      channel.call('delete', { path: `${fileOf(folder, index)}-renamed`, recursive: false, keepUfs: false, id: 0 }),
  },
];

export function openChannel(masters: readonly string[], protocol: 'stream' | 'unary' = 'stream'): MetadataChannel {
  return new MetadataChannel({
    masters,
    principal: { user: process.env['USER'] ?? 'root', groups: [] },
    protocol,
    clock: systemClock,
    timers: nodeTimers,
    random: { next: Math.random },
    logger: createLogger('error', { component: 'bench' }),
  });
}

/** Metadata operations against three real masters. */
export async function benchMaster(options: MasterBenchOptions): Promise<void> {
  const cluster = await ProcessCluster.start({ masters: 3 });
  try {
    const disk = measureDisk(cluster.folder);
    options.printer.print({
      suite: 'master',
      case: 'disk-sync',
      protocol: 'local',
      inFlight: 1,
      opsPerSec: disk.syncsPerSec,
      p50Ms: disk.p50Ms,
      p99Ms: disk.p99Ms,
      note: '256-byte append and fdatasync of one file, the limit of one operation per sync',
    });
    for (const protocol of options.protocols)
      for (const inFlight of options.inFlight) await benchProtocol(cluster, options, protocol, inFlight);
  } finally {
    await cluster.close();
  }
}

async function benchProtocol(
  cluster: ProcessCluster,
  options: MasterBenchOptions,
  protocol: 'stream' | 'unary',
  inFlight: number,
): Promise<void> {
  const channel = openChannel(cluster.addresses, protocol);
  const folder = `/bench-${randomUUID()}`;
  try {
    await channel.call('makeDirectory', { path: folder, mode: 0o755, recursive: true, allowExists: true });
    let made = 0;
    for (const each of CASES) {
      const before = cpuNow(cluster);
      const seconds = each.name === 'create' ? options.seconds * 2 : options.seconds;
      const result = await runLoad({
        inFlight,
        count: each.count(made),
        maxMs: seconds * 1000,
        operation: (index) => each.run(channel, folder, each.name === 'create' ? index : index % made),
      });
      if (each.name === 'create') made = result.done;
      // A case that could not move or delete all that was made would leave names that the next one does not know.
      if (each.name === 'rename') made = result.done;
      if (options.cases === undefined || options.cases.includes(each.name))
        options.printer.print({
          suite: 'master',
          case: each.name,
          protocol,
          inFlight,
          ...figures(result, cluster, before),
        });
    }
  } finally {
    await channel.close();
  }
}

interface CpuTime {
  readonly allMs: number;
  readonly mainMs: number;
}

function cpuNow(cluster: ProcessCluster): Map<string, CpuTime> {
  const pids = new Map(cluster.nodes.map((node) => [node.name, node.pid]));
  pids.set('client', process.pid);
  return new Map([...pids].map(([name, pid]) => [name, { allMs: cpuMsOf(pid), mainMs: mainThreadCpuMsOf(pid) }]));
}

function figures(result: LoadResult, cluster: ProcessCluster, before: ReadonlyMap<string, CpuTime>) {
  const shares: string[] = [];
  let total = 0;
  for (const [name, now] of cpuNow(cluster)) {
    const then = before.get(name) ?? { allMs: 0, mainMs: 0 };
    const all = ((now.allMs - then.allMs) * 1000) / result.done;
    const main = ((now.mainMs - then.mainMs) * 1000) / result.done;
    total += all;
    shares.push(`${name} ${all.toFixed(1)} (main thread ${main.toFixed(1)})`);
  }
  const { opsPerSec, p50Ms, p99Ms } = result;
  return { opsPerSec, p50Ms, p99Ms, cpuUsPerOp: total, note: `CPU us/op: ${shares.join(', ')}` };
}
