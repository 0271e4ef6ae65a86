import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Shell } from './shell.ts';

let shell: Shell;

beforeEach(() => {
  shell = Shell.alone();
});

afterEach(() => shell[Symbol.asyncDispose]());

/** A port on which nobody listens. */
async function closedPort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

describe('usage', () => {
  test.each([
    ['an unknown command', ['fz'], "sluice: INVALID_ARGUMENT: unknown command 'fz' (Did you mean fs?)\n"],
    ['an unknown fs command', ['fs', 'lss'], "sluice: INVALID_ARGUMENT: unknown command 'lss' (Did you mean ls?)\n"],
    ['an unknown option', ['fs', 'ls', '--recursiv'], /unknown option '--recursiv' \(Did you mean --recursive\?\)/],
    ['a missing argument', ['fs', 'cat'], "sluice: INVALID_ARGUMENT: missing required argument 'path'\n"],
    ['too many arguments', ['fs', 'mv', '/a', '/b', '/c'], /too many arguments/],
    ['no command', [], 'sluice: INVALID_ARGUMENT: Which command of sluice? Add --help to see them\n'],
    ['half a command', ['fs'], 'sluice: INVALID_ARGUMENT: Which command of sluice fs? Add --help to see them\n'],
    ['a bad setting', ['config', 'list', '--set', 'x'], 'sluice: INVALID_ARGUMENT: x must be key=value\n'],
    ['an unknown setting', ['config', 'list', '--set', 'client.usr=a'], /did you mean client\.user\?/],
    ['a bad value', ['config', 'list', '--set', 'client.block-size=1XB'], /client\.block-size must be a size such as/],
    ['a named file that is missing', ['config', 'list', '--config', 'none.yaml'], /none\.yaml does not exist/],
    ['an unknown shell', ['completion', 'tcsh'], /no completion for tcsh: choose one of bash, zsh, fish/],
  ])('%s is 2', async (_, args, message) => {
    const { code, out, err } = await shell.run(...args);
    expect([code, out]).toEqual([2, '']);
    if (typeof message === 'string') expect(err).toBe(message);
    else expect(err).toMatch(message);
  });

  test('help and version', async () => {
    expect(await shell.out('--help')).toMatch(/Commands:\n {2}local .*run three masters and two workers/);
    expect(await shell.out('fs', 'ls', '--help')).toContain('-h, --human-readable');
    expect(await shell.out('fs', 'ls', '--help')).toContain('$ sluice fs ls -l /');
    expect(await shell.out('help', 'fs')).toContain('unmount');
    expect(await shell.out('--version')).toMatch(/^\d+\.\d+\.\d+\n$/);
  });
});

describe('configuration', () => {
  const entry = async (key: string, ...args: string[]) => {
    const lines = (await shell.out('config', 'list', '--json', ...args)).trimEnd().split('\n');
    const entries = lines.map((line) => JSON.parse(line) as { key: string; value: string; source: string });
    const found = entries.find((one) => one.key === key);
    return [found?.value, found?.source];
  };

  test('each option with value and source, in the order of flag, environment, file and default', async () => {
    expect(await entry('client.user')).toEqual(['', 'default']);
    writeFileSync(join(shell.folder, 'sluice.yaml'), 'client:\n  user: filed\nsecurity.token: hidden\n');
    expect(await entry('client.user')).toEqual(['filed', 'file']);
    expect(await entry('security.token')).toEqual(['******', 'file']);
    shell.environment = { SLUICE_CLIENT_USER: 'surrounding' };
    expect(await entry('client.user')).toEqual(['surrounding', 'environment']);
    expect(await entry('client.user', '--user', 'flagged')).toEqual(['flagged', 'flag']);
    expect(await entry('client.user', '--set', 'client.user=set')).toEqual(['set', 'flag']);
  });

  test('options of all rooms are listed, for people too', async () => {
    const text = await shell.out('config', 'list');
    expect(text).toMatch(/^key +value +source +meaning\n/);
    for (const key of ['client.masters', 'master.raft.tick', 'worker.cache.capacity', 'log.level'])
      expect(text).toContain(`\n${key} `);
  });

  test('--set may be given several times, before and behind the command', async () => {
    const args = ['--set', 'client.user=a', 'config', 'list', '--set', 'client.groups=g', '--json'];
    const lines = (await shell.out(...args)).split('\n');
    expect(lines.find((line) => line.includes('"client.user"'))).toContain('"value":"a"');
    expect(lines.find((line) => line.includes('"client.groups"'))).toContain('"value":"g"');
  });

  test('SLUICE_CLIENT_MASTERS and --master name the masters', async () => {
    shell.environment = { SLUICE_CLIENT_MASTERS: 'a:1,b:2' };
    expect(await entry('client.masters')).toEqual(['a:1,b:2', 'environment']);
    expect(await entry('client.masters', '--master', 'c:3')).toEqual(['c:3', 'flag']);
    shell.environment = { SLUICE_CONFIG: 'other.yaml' };
    writeFileSync(join(shell.folder, 'other.yaml'), 'client.masters: [d:4, e:5]\n');
    expect(await entry('client.masters')).toEqual(['d:4,e:5', 'file']);
  });

  test('SLUICE_MASTER_ADDRESSES sets the option of its name', async () => {
    shell.environment = { SLUICE_MASTER_ADDRESSES: 'm1=a:1,m2=b:2' };
    expect(await entry('master.addresses')).toEqual(['m1=a:1,m2=b:2', 'environment']);
  });

  test('an unknown variable of ours is refused', async () => {
    shell.environment = { SLUICE_CLIENT_USR: 'x' };
    expect(await shell.run('config', 'list')).toMatchObject({ code: 2, err: expect.stringContaining('CLIENT_USER') });
  });
});

describe('masters that cannot be reached', () => {
  test.each([
    ['fs ls', ['fs', 'ls', '/']],
    ['admin report', ['admin', 'report']],
    ['admin quorum info', ['admin', 'quorum', 'info']],
    ['admin quorum transfer', ['admin', 'quorum', 'transfer']],
  ])('%s: 75, and the addresses are named', async (_, args) => {
    const address = `127.0.0.1:${await closedPort()}`;
    const result = await shell.run(...args, '--master', address, '--set', 'client.master.timeout=300ms');
    expect(result).toMatchObject({ code: 75, out: '' });
    expect(result.err).toContain(address);
    expect(result.err).toMatch(
      /cannot be reached \(connect ECONNREFUSED .*\): does it run, and is that its address\?\n$/,
    );
  });

  test.each([
    ['fs ls', ['fs', 'ls', '/']],
    ['admin report', ['admin', 'report']],
  ])('%s says while it tries that nobody answers, and ends when it is told to', async (_, args) => {
    shell.said = () => shell.stop.abort();
    const { code, out, err } = await shell.run(...args, '--master', `127.0.0.1:${await closedPort()}`, '--json');
    expect([code, out]).toEqual([130, '']);
    expect(JSON.parse(err)).toEqual({
      notice: 'no master answers, still trying',
      reason: expect.stringContaining('ECONNREFUSED'),
    });
  });

  test('without any setting the local cluster of the folder is asked', async () => {
    const port = await closedPort();
    mkdirSync(join(shell.folder, '.sluice'));
    const places = { masters: [{ name: 'm', port, statusPort: 1 }], workers: [] };
    writeFileSync(join(shell.folder, '.sluice', 'cluster.json'), JSON.stringify(places));
    const result = await shell.run('fs', 'ls', '/', '--set', 'client.master.timeout=300ms');
    expect(result.code).toBe(75);
    expect(result.err).toContain(`127.0.0.1:${port}`);
    writeFileSync(join(shell.folder, '.sluice', 'cluster.json'), '{}');
    expect(await shell.run('fs', 'ls', '/')).toMatchObject({ code: 70, err: expect.stringContaining('is damaged') });
  });
});

describe('completion', () => {
  const words = async (line: string) => {
    const script = await shell.out('completion', 'bash');
    const typed = line.split(' ');
    const array = typed.map((word) => `'${word}'`).join(' ');
    const ask = `${script}\nCOMP_WORDS=(${array}); COMP_CWORD=${typed.length - 1}; _sluice; echo "\${COMPREPLY[*]}"`;
    const { stdout, stderr } = spawnSync('bash', ['-c', ask], { encoding: 'utf8' });
    expect(stderr).toBe('');
    return stdout.trim().split(' ');
  };

  test.each([
    ['sluice f', ['fs']],
    ['sluice fs c', ['cat', 'cp', 'count', 'chmod', 'chown', 'checksum']],
    ['sluice fs ls --r', ['--recursive']],
    ['sluice --json fs mk', ['mkdir']],
    [
      'sluice admin quorum ',
      [
        'info',
        'add',
        'remove',
        'transfer',
        'elect',
        'compare',
        '--master',
        '--user',
        '--config',
        '--set',
        '--json',
        '--help',
      ],
    ],
  ])('bash completes %s', async (line, wanted) => {
    expect(await words(line)).toEqual(wanted);
  });

  test('zsh and fish know every command', async () => {
    const zsh = await shell.out('completion', 'zsh');
    expect(zsh).toMatch(/^#compdef sluice\n/);
    expect(zsh).toContain(`" fs") choices=('ls:list a directory, or a file'`);
    const fish = await shell.out('completion', 'fish');
    expect(fish).toContain(`complete -c sluice -n '__sluice_at fs' -f -a checksum -d`);
    expect(fish).toContain(`complete -c sluice -n '__sluice_at fs ls' -l recursive -d 'with everything below'`);
  });
});
