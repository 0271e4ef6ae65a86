import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { accessSync, constants, openSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';

/** Fails with what to install when one of `programs` is not on the PATH. */
export function requirePrograms(programs: readonly string[]): void {
  const folders = (process.env['PATH'] ?? '').split(delimiter);
  const missing = programs.filter((program) => !folders.some((folder) => isExecutable(join(folder, program))));
  if (missing.length === 0) return;
  const packages = readFileSync(new URL('packages.txt', import.meta.url), 'utf8')
    .trim()
    .split(/\s+/)
    .join(' ');
  throw new Error(`Not installed: ${missing.join(', ')}. Run: apt-get install -y --no-install-recommends ${packages}`);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Ports of loopback that are free now, all different. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer());
  const ports = await Promise.all(
    servers.map(
      (server) =>
        new Promise<number>((resolve, reject) => {
          server.once('error', reject);
          server.listen(0, '127.0.0.1', () => {
            const address = server.address();
            resolve(typeof address === 'object' && address !== null ? address.port : 0);
          });
        }),
    ),
  );
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

/** Runs a program to its end. @returns what it printed */
export async function run(program: string, args: readonly string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(program, args, { timeout: 60_000, maxBuffer: 16 * 2 ** 20 });
  return stdout;
}

/** Programs that run beside a test. They end with `stop`, and at the latest with this process. */
export class Daemons {
  readonly #children: ChildProcess[] = [];

  constructor() {
    process.once('exit', this.#killAll);
  }

  /** Starts a program in the foreground; what it prints goes to `log`. */
  start(program: string, args: readonly string[], log: string): ChildProcess {
    const output = openSync(log, 'a');
    const child = spawn(program, args, { stdio: ['ignore', output, output] });
    this.#children.push(child);
    return child;
  }

  /** What has ended by itself: nothing in a healthy test. */
  ended(): string[] {
    return this.#children.filter((child) => child.exitCode !== null).map((child) => child.spawnfile);
  }

  async stop(): Promise<void> {
    process.off('exit', this.#killAll);
    const alive = this.#children.filter((child) => child.exitCode === null && child.signalCode === null);
    const ends = alive.map((child) => new Promise((resolve) => child.once('exit', resolve)));
    // Nothing of theirs is kept, so nothing needs an orderly end.
    this.#killAll();
    await Promise.all(ends);
  }

  readonly #killAll = (): void => {
    for (const child of this.#children) child.kill('SIGKILL');
  };
}
