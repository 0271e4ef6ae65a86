import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { FileSystem } from '../../src/client/file-system.ts';
import { LevelDatabase } from '../../src/host/level-database.ts';
import { blockKey } from '../../src/master/level-log-scan.ts';
import { freePorts, ProcessCluster, pause, runProgram } from '../support/process-cluster.ts';

const WAIT_MS = 30_000;
const root = mkdtempSync(join(tmpdir(), 'sluice-bad-'));
const storage = join(root, 'storage');
let cluster: ProcessCluster;

beforeAll(async () => {
  mkdirSync(join(storage, 'dir'), { recursive: true });
  writeFileSync(join(storage, 'file'), 'x');
  const settings = { 'master.root.ufs': `file://${storage}`, 'security.token': 'right' };
  cluster = await ProcessCluster.start({ folder: join(root, 'one'), masters: 1, settings });
}, 60_000);

afterAll(async () => {
  await cluster.close();
  rmSync(root, { recursive: true, force: true });
});

/** Settings of a master of its own that shares nothing with others but what `changes` says. */
async function alone(changes: Readonly<Record<string, string>>): Promise<Record<string, string>> {
  const [port = 0, status = 0] = await freePorts(2);
  return {
    'master.name': 'm1',
    'master.peers': `m1=127.0.0.1:${port}`,
    'master.port': String(port),
    'master.status.port': String(status),
    'master.data': mkdtempSync(join(root, 'data-')),
    ...changes,
  };
}

describe('a command line that cannot be obeyed says what is wrong with it', () => {
  const other = `file://${root}/other`;
  const cases: readonly (readonly [string, readonly string[], number, string])[] = [
    ['unknown command', ['frobnicate'], 2, "unknown command 'frobnicate'"],
    ['unknown command of a group', ['fs', 'frob'], 2, "unknown command 'frob'"],
    ['unknown option', ['fs', 'ls', '--frob', '/'], 2, "unknown option '--frob'"],
    ['missing path', ['fs', 'cat', '/none'], 1, 'NOT_FOUND: /none does not exist'],
    ['a directory is read', ['fs', 'cat', '/dir'], 1, 'IS_A_DIRECTORY: /dir is a directory: list it'],
    ['a file as a folder', ['fs', 'ls', '/file/x'], 1, 'NOT_A_DIRECTORY: /file is a file'],
    [
      'a mount over a file',
      ['fs', 'mount', '/file', other],
      1,
      'ALREADY_EXISTS: /file is a file already: mount at a path that does not exist',
    ],
    [
      'a mount over a directory',
      ['fs', 'mount', '/dir', other],
      1,
      'ALREADY_EXISTS: /dir is a directory already: mount at a path that does not exist',
    ],
    ['a mount of nothing', ['fs', 'mount', '/m', other], 1, `Root ${root}/other does not exist`],
  ];
  test.each(cases)('%s', async (_, args, code, said) => {
    const settings = { 'client.masters': cluster.addresses.join(), 'security.token': 'right' };
    expect(await runProgram(args, settings)).toEqual({ code, out: '', err: expect.stringContaining(said) });
  });
});

describe('the way to the masters', () => {
  const timeout = { 'client.master.timeout': '2s' };

  test.each([
    ['fs', 'ls', '/'],
    ['admin', 'quorum', 'info'],
    ['admin', 'report'],
  ])('another token: %s %s', async (...args) => {
    for (const [token, said] of [
      ['wrong', 'The token is not the one of this cluster: check security.token'],
      ['', 'This cluster wants a token: set security.token'],
    ]) {
      const settings = { ...timeout, 'client.masters': cluster.addresses.join(), 'security.token': token as string };
      const result = await runProgram(args, settings);
      expect(result).toEqual({ code: 1, out: '', err: expect.stringContaining(`UNAUTHENTICATED: ${said}`) });
    }
  });

  test.each([
    ['fs', 'ls', '/'],
    ['admin', 'quorum', 'info'],
  ])('a port of something else: %s %s', async (...args) => {
    const address = cluster.masters[0]!.statusUrl.replace('http://', '');
    const { code, err } = await runProgram([...args, '--master', address], timeout);
    expect([code, err]).toEqual([75, expect.stringContaining(address)]);
    expect(err).toMatch(/speaks another protocol: is that the right port\?/);
  });
});

describe('a master that cannot start says why', () => {
  test('its data folder is in use', async () => {
    const master = cluster.masters[0]!;
    const data = join(root, 'one', 'm1');
    const { code, err } = await runProgram(['master'], await alone({ 'master.data': data }));
    expect([code, err]).toEqual([
      75,
      `sluice: UNAVAILABLE: Data folder ${data} is in use by process ${master.pid}: stop it, or choose another folder\n`,
    ]);
  });

  test.each(['master.port', 'master.status.port'])('%s is in use', async (key) => {
    const server = await new Promise<Server>((resolve) => {
      const listening: Server = createServer().listen(0, '127.0.0.1', () => resolve(listening));
    });
    try {
      const { port } = server.address() as { port: number };
      const peers = key === 'master.port' ? { 'master.peers': `m1=127.0.0.1:${port}` } : {};
      const { code, err } = await runProgram(['master'], await alone({ [key]: String(port), ...peers }));
      expect([code, err]).toEqual([75, expect.stringContaining(`127.0.0.1:${port}`)]);
      expect(err).toMatch(/stop (it|who listens there), or choose another port/);
    } finally {
      server.close();
    }
  });

  test.each([
    ['/dev/null', 2, 'is not a folder: choose another path'],
    ['/proc/none/of/it', 1, 'cannot be written: give this user write access, or choose another folder'],
  ])('its data folder cannot be: %s', async (data, code, said) => {
    const result = await runProgram(['master'], await alone({ 'master.data': data }));
    expect(result).toEqual({ code, out: '', err: expect.stringContaining(`Data folder ${data} ${said}`) });
  });
});

describe('damage of a stopped master', () => {
  const killed = join(root, 'killed');
  const closed = join(root, 'closed');

  beforeAll(async () => {
    const victim = await ProcessCluster.start({ folder: join(root, 'victim'), masters: 1 });
    const [master] = victim.masters;
    const files = await FileSystem.connect({ masters: victim.addresses });
    try {
      for (let i = 0; i < 30; i += 1) {
        await files.mkdir(`/before-${i}`);
        // The state gets several writes, too.
        if (i % 10 === 9) while ((await master!.metric('sluice_master_queue_entries', 'state')) > 0) await pause(10);
      }
      await master!.stop('SIGKILL');
      cpSync(join(root, 'victim', 'm1'), killed, { recursive: true });
      master!.start();
      for (let i = 0; i < 5; i += 1) await files.mkdir(`/after-${i}`);
      await master!.stop('SIGTERM');
      cpSync(join(root, 'victim', 'm1'), closed, { recursive: true });
    } finally {
      await files.close();
      await victim.close();
    }
  }, 60_000);

  /** Flips a bit in LevelDB's log of a store, so far from its end. */
  function flip(data: string, store: string, fromEnd: (bytes: number) => number): void {
    const folder = join(data, store);
    const log = join(folder, readdirSync(folder).find((name) => name.endsWith('.log')) as string);
    const bytes = readFileSync(log);
    const at = bytes.length - Math.ceil(fromEnd(bytes.length));
    bytes[at] = (bytes[at] as number) ^ 16;
    writeFileSync(log, bytes);
  }

  async function removeEntry(data: string, index: number): Promise<void> {
    const options = { blockCacheBytes: 1 << 20, writeBufferBytes: 1 << 20 };
    const level = await LevelDatabase.openBinary(join(data, 'journal'), options);
    const batch = level.batch();
    batch.delete(blockKey(index));
    await batch.write({ sync: true });
    await level.close();
  }

  const cases: readonly (readonly [string, string, (data: string) => void | Promise<void>])[] = [
    ['a bit in the middle of the journal', killed, (data) => flip(data, 'journal', (bytes) => bytes / 2)],
    ['a bit near the end of the journal', killed, (data) => flip(data, 'journal', () => 600)],
    ['a bit of the last entry of a closed journal', closed, (data) => flip(data, 'journal', () => 60)],
    ['a bit at the beginning of the state', killed, (data) => flip(data, 'state', (bytes) => bytes - 20)],
    ['a record of the middle is gone', killed, (data) => removeEntry(data, 10)],
    ['the first record is gone', killed, (data) => removeEntry(data, 1)],
  ];
  test.each(cases)('%s: it refuses to start and says the way out', async (_, sound, harm) => {
    const settings = await alone({});
    const data = settings['master.data'] as string;
    cpSync(sound, data, { recursive: true });
    await harm(data);
    const { code, err } = await runProgram(['master'], settings);
    expect([code, err]).toEqual([70, expect.stringContaining('sluice: CORRUPT: ')]);
    expect(err).toMatch(
      /move its data folder away, start it with an empty one, .* sluice admin quorum add NAME=HOST:PORT/,
    );
    // Asking again changes nothing: what is damaged is not thrown away.
    expect(await runProgram(['master'], settings)).toMatchObject({ code: 70 });
  });
});

/** Root may mount a small disk. */
const mayMount = process.platform === 'linux' && process.getuid?.() === 0;

describe.runIf(mayMount)('a full disk', () => {
  test('a leader whose disk is full gives way, others go on, and it comes back when there is room', async () => {
    const folder = mkdtempSync(join(root, 'full-'));
    const disk = join(folder, 'm1');
    mkdirSync(disk);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=6m', 'tmpfs', disk]);
    let three: ProcessCluster | undefined;
    try {
      three = await ProcessCluster.start({ folder, masters: 3 });
      const files = await FileSystem.connect({ masters: three.addresses });
      const [m1] = three.masters;
      const acknowledged: string[] = [];
      const work = async (): Promise<void> => {
        const path = `/d${acknowledged.length}`;
        await files.mkdir(path);
        acknowledged.push(path);
      };
      await work();
      fill(join(disk, 'filler'));
      const deadline = performance.now() + WAIT_MS;
      while (m1!.running && performance.now() < deadline) await work();
      await m1!.ended();
      expect(m1!.exitCode).toBe(75);
      expect(m1!.said()).toContain('cannot be written: the disk is full; free some space');
      for (let i = 0; i < 10; i += 1) await work();
      // Still full: it cannot start, and says so.
      m1!.start();
      await m1!.ended();
      expect(m1!.exitCode).toBe(75);
      expect(m1!.said()).toMatch(/sluice: EXHAUSTED: .*(is full: free space on its disk|the disk is full)/);
      rmSync(join(disk, 'filler'));
      m1!.start();
      await three.waitUntilReady();
      await applied(three, await m1Applied(three));
      for (const path of acknowledged) expect(await files.exists(path), path).toBe(true);
      await files.close();
    } finally {
      await three?.close();
      execFileSync('umount', ['-l', disk]);
    }
  }, 90_000);

  function fill(path: string): void {
    try {
      writeFileSync(path, Buffer.alloc(8 << 20));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
    }
  }

  const m1Applied = async (three: ProcessCluster): Promise<number> =>
    Math.max(
      ...(await Promise.all(three.masters.map((master) => master.metric('sluice_master_journal_applied_index')))),
    );

  async function applied(three: ProcessCluster, index: number): Promise<void> {
    while ((await three.masters[0]!.metric('sluice_master_journal_applied_index')) < index) await pause(20);
  }
});
