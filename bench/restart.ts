import { ProcessCluster, pause } from '../test/support/process-cluster.ts';
import { openChannel } from './master.ts';
import { type Printer, residentBytesOf, runLoad } from './measure.ts';

const FILES_PER_FOLDER = 10_000;

/**
 * Makes many files, kills a master and starts it again: how long until it serves, and what it holds in memory then. The state
 * store is the snapshot, so the time must not grow with the number of files.
 */
export async function benchRestart(printer: Printer, files: number): Promise<void> {
  const cluster = await ProcessCluster.start({ masters: 3 });
  try {
    const channel = openChannel(cluster.addresses);
    const made = await runLoad({
      inFlight: 512,
      count: files,
      maxMs: 0,
      operation: (index) =>
        channel.call('createFile', {
          path: `/files/d${Math.floor(index / FILES_PER_FOLDER)}/a-file-of-a-table-${index}.parquet`,
          mode: 0o644,
          writeType: 'MUST_CACHE',
          blockSizeBytes: 0,
          recursive: true,
          overwrite: false,
          empty: true,
        }),
    });
    await channel.close();
    printer.print({
      suite: 'restart',
      case: 'fill',
      protocol: 'stream',
      inFlight: 512,
      opsPerSec: made.opsPerSec,
      p50Ms: made.p50Ms,
      p99Ms: made.p99Ms,
      note: cluster.masters.map((node) => `${node.name} ${megabytes(residentBytesOf(node.pid))}`).join(', '),
    });
    for (const node of cluster.masters) {
      await node.stop('SIGKILL');
      const spawned = performance.now();
      node.start();
      while (!(await node.answers())) await pause(5);
      const up = performance.now();
      while (!(await node.ready())) await pause(5);
      const ready = performance.now();
      printer.print({
        suite: 'restart',
        case: node.name,
        protocol: 'local',
        p50Ms: ready - up,
        note: `${files} files: process up after ${Math.round(up - spawned)} ms, serving after ${Math.round(
          ready - spawned,
        )} ms, ${megabytes(residentBytesOf(node.pid))} resident`,
      });
    }
    await allAtOnce(cluster, printer, files);
  } finally {
    await cluster.close();
  }
}

async function allAtOnce(cluster: ProcessCluster, printer: Printer, files: number): Promise<void> {
  await Promise.all(cluster.masters.map((node) => node.stop('SIGKILL')));
  const spawned = performance.now();
  for (const node of cluster.masters) node.start();
  await cluster.waitUntilReady();
  const ready = performance.now();
  const channel = openChannel(cluster.addresses);
  await channel.call('exists', { path: '/files/d0' });
  const served = performance.now();
  await channel.close();
  printer.print({
    suite: 'restart',
    case: 'all-masters',
    protocol: 'local',
    p50Ms: served - spawned,
    note: `${files} files: all ready after ${Math.round(ready - spawned)} ms, first answer after ${Math.round(
      served - spawned,
    )} ms, ${cluster.masters.map((node) => megabytes(residentBytesOf(node.pid))).join(', ')} resident`,
  });
}

function megabytes(bytes: number): string {
  return `${Math.round(bytes / 2 ** 20)} MiB`;
}
