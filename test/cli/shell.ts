import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { run } from '../../src/cli/run.ts';
import type { TextStream } from '../../src/cli/world.ts';
import { FakeCluster } from '../client/fake-cluster.ts';

class Sink extends Writable {
  readonly pieces: Buffer[] = [];
  isTTY = false;
  columns = 80;

  override _write(piece: Buffer, _: string, done: () => void): void {
    this.pieces.push(piece);
    done();
    this.emit('said');
  }

  get text(): string {
    return Buffer.concat(this.pieces).toString('utf8');
  }
}

export interface Result {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Runs command lines in this process: against a fake cluster, or, without one, as arguments and environment say. */
export class Shell {
  readonly cluster: FakeCluster | undefined;
  readonly folder = mkdtempSync(join(tmpdir(), 'sluice-cli-'));
  environment: Record<string, string> = {};
  /** Columns of the terminal that output goes to; 0 is no terminal. */
  columns = 0;
  stop = new AbortController();
  /** Called when something goes to standard error. */
  said: () => void = () => undefined;

  private constructor(cluster: FakeCluster | undefined) {
    this.cluster = cluster;
  }

  static async start(): Promise<Shell & { readonly cluster: FakeCluster }> {
    return new Shell(await FakeCluster.start(2)) as Shell & { readonly cluster: FakeCluster };
  }

  static alone(): Shell {
    return new Shell(undefined);
  }

  async run(...args: string[]): Promise<Result> {
    const [stdout, stderr] = [new Sink(), new Sink()];
    stderr.on('said', this.said);
    if (this.columns > 0) Object.assign(stdout, { isTTY: true, columns: this.columns });
    const files = this.cluster?.files;
    const code = await run(args, {
      stdout: stdout as TextStream,
      stderr: stderr as TextStream,
      environment: this.environment,
      folder: this.folder,
      signal: this.stop.signal,
      ...(files === undefined ? {} : { connect: () => Promise.resolve(files) }),
    });
    return { code, out: stdout.text, err: stderr.text };
  }

  /** Runs a command that must succeed, and returns what it printed. */
  async out(...args: string[]): Promise<string> {
    const { code, out, err } = await this.run(...args);
    if (code !== 0) throw new Error(`${args.join(' ')}: exit ${code}: ${err}`);
    return out;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.cluster?.[Symbol.asyncDispose]();
    rmSync(this.folder, { recursive: true, force: true });
  }
}
