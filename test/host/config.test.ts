import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { type ConfigInputs, loadConfig, variableOf } from '../../src/host/config/load.ts';
import { bytes, duration, list, text } from '../../src/host/config/option.ts';

const OPTIONS = {
  timeout: duration({ key: 'master.raft.election-timeout', doc: 'd', fallback: '200ms' }),
  cache: bytes({ key: 'master.state.cache', doc: 'd', fallback: '64MiB' }),
  peers: list({ key: 'master.peers', doc: 'd', fallback: '' }),
  token: text({ key: 'master.token', doc: 'd', fallback: '', secret: true }),
};

const folder = mkdtempSync(join(tmpdir(), 'sluice-config-'));
afterAll(() => rmSync(folder, { recursive: true }));

function file(content: string): ConfigInputs {
  const path = join(folder, `${Math.random()}.yaml`);
  writeFileSync(path, content);
  return { file: { path, named: true } };
}

const load = (inputs: ConfigInputs) => loadConfig([OPTIONS], inputs);

describe('precedence', () => {
  const written = file('master:\n  raft:\n    election-timeout: 1s\n');
  const environment = { SLUICE_MASTER_RAFT_ELECTION_TIMEOUT: '2s', PATH: '/bin' };
  const flags = { 'master.raft.election-timeout': '3s' };
  test.each([
    ['default', {}, 200],
    ['file', written, 1000],
    ['environment', { ...written, environment }, 2000],
    ['flag', { ...written, environment, flags }, 3000],
  ] as const)('%s', (source, inputs, value) => {
    const config = load(inputs);
    expect(config.values(OPTIONS).timeout).toBe(value);
    expect(config.entries().find((entry) => entry.key === 'master.raft.election-timeout')?.source).toBe(source);
  });
});

test.each([
  ['nested', 'master:\n  state:\n    cache: 1MiB\n'],
  ['dotted', 'master.state.cache: 1MiB\n'],
  ['mixed', 'master:\n  state.cache: 1MiB\n'],
])('%s keys mean the same', (_, content) => {
  expect(load(file(content)).values(OPTIONS).cache).toBe(1048576);
});

test('lists, numbers as written, and an empty file', () => {
  expect(load(file('master.peers: [a:1, b:2]')).values(OPTIONS).peers).toEqual(['a:1', 'b:2']);
  expect(load(file('master.state.cache: 4096')).values(OPTIONS).cache).toBe(4096);
  expect(load(file('')).values(OPTIONS).cache).toBe(64 * 1048576);
});

test.each([
  [
    'key of the file',
    () => load(file('master.stat.cache: 1')),
    /master\.stat\.cache: did you mean master\.state\.cache\?/,
  ],
  [
    'variable',
    () => load({ environment: { SLUICE_MASTER_PEER: '' } }),
    /SLUICE_MASTER_PEER: did you mean SLUICE_MASTER_PEERS\?/,
  ],
  ['flag', () => load({ flags: { 'master.tokn': 'x' } }), /did you mean master\.token\?/],
  ['missing named file', () => load({ file: { path: join(folder, 'no'), named: true } }), /does not exist/],
  ['no YAML', () => load(file('a: [')), /not valid YAML/],
  ['YAML without keys', () => load(file('- a')), /must hold keys/],
  ['key given twice', () => load(file('master.peers: a\nmaster:\n  peers: b')), /given twice/],
  [
    'bad value',
    () => load({ environment: { SLUICE_MASTER_STATE_CACHE: 'big' } }),
    /must be a size.*SLUICE_MASTER_STATE_CACHE/,
  ],
])('refuses: %s', (_, act, message) => {
  expect(act).toThrow(message);
});

test('a missing default file, reserved and foreign variables are fine', () => {
  const environment = { SLUICE_CONFIG: 'x', HOME: '/' };
  const inputs = {
    file: { path: join(folder, 'no'), named: false },
    environment,
    reservedVariables: ['SLUICE_CONFIG'],
  };
  expect(load(inputs).values(OPTIONS).cache).toBe(64 * 1048576);
});

test('secrets are masked, values are frozen', () => {
  const config = load({ flags: { 'master.token': 'hidden' } });
  expect(JSON.stringify(config.entries())).not.toContain('hidden');
  expect(config.values(OPTIONS).token).toBe('hidden');
  expect(Object.isFrozen(config.values(OPTIONS))).toBe(true);
  expect(variableOf('a.b-c')).toBe('SLUICE_A_B_C');
});
