import { type ConnectOptions, FileSystem } from '../../src/client/file-system.ts';
import { FakeMasters } from './fake-masters.ts';
import { type FakeUfs, FakeWorker } from './fake-worker.ts';

/** Small blocks and ranges, so that small files have many of them. */
const SMALL: ConnectOptions = { readRangeBytes: 2 ** 16, blockSizeBytes: 2 ** 18, workerTimeoutMs: 2000 };

/** Masters and workers that are fakes, and a real client. A UFS is mounted at /ufs. */
export class FakeCluster {
  readonly masters = new FakeMasters();
  readonly ufs: FakeUfs = new Map();
  readonly workers: FakeWorker[] = [];
  readonly files: FileSystem;

  private constructor(options: ConnectOptions) {
    this.files = new FileSystem(this.masters, { ...SMALL, ...options });
  }

  static async start(workers = 3, options: ConnectOptions = {}): Promise<FakeCluster> {
    const cluster = new FakeCluster(options);
    for (let i = 0; i < workers; i++) cluster.workers.push(await new FakeWorker(`worker-${i}`, cluster.ufs).start());
    cluster.publish();
    await cluster.files.mount('/ufs', 'memory://ufs');
    cluster.masters.calls.length = 0;
    return cluster;
  }

  /** Tells the masters which workers live. */
  publish(lost: readonly FakeWorker[] = []): void {
    const workers = this.workers.map((worker) => worker.status(lost.includes(worker) ? 'lost' : 'live'));
    this.masters.workers = { version: this.masters.workers.version + 1, workers };
  }

  /** Requests of a kind that the workers got. */
  count(kind: string): number {
    return this.workers.flatMap((worker) => worker.kinds).filter((found) => found === kind).length;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.files.close();
    await Promise.all(this.workers.map((worker) => worker.stop()));
  }
}

/** Bytes that tell where they are. */
export function pattern(length: number, seed = 1): Buffer {
  const bytes = Buffer.allocUnsafe(length);
  for (let i = 0; i < length; i++) bytes[i] = (i * 31 + (i >>> 8) * 7 + (i >>> 16) * 13 + seed) & 0xff;
  return bytes;
}
