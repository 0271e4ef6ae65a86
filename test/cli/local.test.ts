import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';

/** The compiled program: what `npm start` runs. */
const PROGRAM = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));

let folder: string;
let cluster: ChildProcess | undefined;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sluice-local-'));
});

afterEach(async () => {
  if (cluster !== undefined) await stop('SIGINT');
  rmSync(folder, { recursive: true, force: true });
});

function environment(): Record<string, string> {
  const { PATH = '', HOME = '/' } = process.env;
  return { PATH, HOME };
}

/** Starts a cluster and waits until it says that it is ready. */
async function start(): Promise<{ masters: string[]; storage: string; logs: string }> {
  const child = spawn(process.execPath, [PROGRAM, 'local', '--json'], {
    cwd: folder,
    env: environment(),
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  cluster = child;
  let said = '';
  for await (const piece of child.stdout) {
    said += String(piece);
    if (said.includes('\n')) break;
  }
  return JSON.parse(said.split('\n', 1)[0]!) as { masters: string[]; storage: string; logs: string };
}

/** Ends the parent and waits until it is gone. @returns its exit code. */
function stop(signal: NodeJS.Signals): Promise<number | null> {
  const child = cluster!;
  cluster = undefined;
  return new Promise((resolve) => {
    child.once('exit', (code) => resolve(code));
    child.kill(signal);
  });
}

function sluice(...args: string[]): { code: number | null; out: string; err: string } {
  const options = { cwd: folder, env: environment(), encoding: 'utf8' } as const;
  const { status, stdout, stderr } = spawnSync(process.execPath, [PROGRAM, ...args], options);
  return { code: status, out: stdout, err: stderr };
}

function runs(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** The processes of the cluster, as they name themselves in their folders. */
function children(): number[] {
  return readdirSync(join(folder, '.sluice'))
    .map((name) => join(folder, '.sluice', name, 'process.pid'))
    .filter((path) => existsSync(path))
    .map((path) => Number(readFileSync(path, 'utf8')));
}

async function until(what: () => boolean): Promise<void> {
  while (!what()) await new Promise((resolve) => setTimeout(resolve, 20));
}

test('a local cluster: files, a second one, the end of a child, of the parent, and a second start', async () => {
  const { storage, logs } = await start();
  expect(sluice('fs', 'ls', '/')).toEqual({ code: 0, out: '/README.txt\n', err: '' });
  writeFileSync(join(folder, 'hello.txt'), 'hello\n');
  expect(sluice('fs', 'cp', 'file://hello.txt', '/kept.txt').code).toBe(0);
  expect(readFileSync(join(storage, 'kept.txt'), 'utf8')).toBe('hello\n');
  expect(sluice('fs', 'cp', '--write-type', 'MUST_CACHE', 'file://hello.txt', '/cached.txt').code).toBe(0);
  expect(readdirSync(logs).sort()).toEqual(
    ['master-1', 'master-2', 'master-3', 'worker-1', 'worker-2'].map((n) => `${n}.log`),
  );

  const report = JSON.parse(sluice('admin', 'report', '--json').out) as {
    workers: object[];
    quorum: { members: object[] };
  };
  expect([report.workers.length, report.quorum.members.length]).toEqual([2, 3]);
  expect(sluice('admin', 'report').out).toMatch(
    /, 1 mounts, 2 of 2 workers live\n\nmaster +address +role +vote +index +heard of +identity\n/,
  );
  expect(sluice('admin', 'quorum', 'info').out).toMatch(/\nleader +master-[123]\n(.*\n)*master-[123] .* leader /);

  const second = sluice('local');
  expect(second.code).toBe(75);
  expect(second.err).toMatch(/UNAVAILABLE: Data folder .* is in use by process \d+: stop it, or choose another folder/);

  const [victim = 0] = children();
  process.kill(victim, 'SIGKILL');
  await until(() => children().length === 5 && !children().includes(victim) && children().every(runs));
  expect(sluice('fs', 'cat', '/cached.txt')).toEqual({ code: 0, out: 'hello\n', err: '' });

  const before = children();
  await stop('SIGKILL');
  await until(() => !before.some(runs));

  await start();
  expect(sluice('fs', 'cat', '/kept.txt', '/cached.txt')).toEqual({ code: 0, out: 'hello\nhello\n', err: '' });
  const after = children();
  expect(await stop('SIGINT')).toBe(0);
  expect(after.filter(runs)).toEqual([]);
});

test('a pipe that is closed ends a command quietly', () => {
  const line = `"${process.execPath}" "${PROGRAM}" config list --json | head -n 1; echo "\${PIPESTATUS[0]}"`;
  const { stdout, stderr } = spawnSync('bash', ['-c', line], { env: environment(), encoding: 'utf8' });
  expect(stderr).toBe('');
  expect(stdout.split('\n')[1]).toMatch(/^(0|141)$/);
});

test('the program runs by its own name, as npx runs it', () => {
  const { status, stderr } = spawnSync(PROGRAM, ['--version'], { env: environment(), encoding: 'utf8' });
  expect([status, stderr]).toEqual([0, '']);
});
