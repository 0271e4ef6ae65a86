import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ProcessCluster } from '../support/process-cluster.ts';

let cluster: ProcessCluster;
beforeEach(async () => {
  cluster = await ProcessCluster.start({ masters: 3 });
}, 60_000);
afterEach(() => cluster.close());

test('a lost disk is replaced, and a master removed, by command lines', async () => {
  const leader = (await cluster.leader()).name;
  const victim = cluster.masters.find(({ name }) => name !== leader);
  if (victim === undefined) throw new Error('There are three masters');
  await victim.stop('SIGKILL');
  rmSync(join(cluster.folder, victim.name), { recursive: true });
  victim.start();
  // Until it listens, it is said not to answer.
  const add = () => cluster.command('admin', 'quorum', 'add', `${victim.name}=${victim.address}`);
  await expect.poll(add, { timeout: 20_000 }).toEqual({ code: 0, out: `${victim.name} votes\n`, err: '' });
  const { out } = await cluster.command('admin', 'quorum', 'info');
  expect(out.match(/ voter /g)).toHaveLength(3);
  const stay = cluster.masters.map(({ name }) => name).filter((name) => name !== victim.name);
  const removed = await cluster.command('admin', 'quorum', 'remove', victim.name);
  expect(removed).toEqual({ code: 0, out: `${victim.name} is removed; ${stay.join(', ')} vote\n`, err: '' });
  await victim.ended();
  expect(victim.exitCode).toBe(2);
  victim.start();
  await victim.ended();
  expect(victim.exitCode).toBe(2);
}, 60_000);

test('quorum info asks the leader, or the one master that was named', async () => {
  const leader = await cluster.leader();
  const [standby, dead] = cluster.masters.filter((master) => master !== leader);
  if (standby === undefined || dead === undefined) throw new Error('There are three masters');
  const info = (...masters: string[]) => cluster.command('admin', 'quorum', 'info', '--master', masters.join(','));
  const rowOf = (out: string, name: string) => out.split('\n').find((line) => line.startsWith(`${name} `));

  const asked = await info(standby.address, leader.address);
  expect([asked.code, asked.out]).toEqual([0, expect.stringContaining(`asked      ${leader.name}\n`)]);
  expect(rowOf(asked.out, dead.name)).toMatch(/ follower +voter +\d+ /);

  const alone = await info(standby.address);
  expect(alone.out).toContain(`asked      ${standby.name}\n`);
  expect(rowOf(alone.out, dead.name)).toMatch(/ - +voter +- +/);
  expect(alone.out).toContain(`${leader.name} leads, and alone hears all others; - is what ${standby.name} does not`);

  await dead.stop('SIGKILL');
  await expect
    .poll(async () => rowOf((await info(leader.address)).out, dead.name), { timeout: 10_000 })
    .toMatch(/ silent +voter +\d+ +[\d.]+s ago /);

  leader.signal('SIGSTOP');
  const lonely = await info(standby.address, leader.address);
  leader.signal('SIGCONT');
  expect(lonely.out).toMatch(/ (did not answer|knows no leader); - is what /);
}, 60_000);

test.each([
  [['add', 'm4'], 2, 'write it as NAME=HOST:PORT'],
  [['add', 'm4=127.0.0.1:1'], 75, 'No master answers at 127.0.0.1:1'],
  [['remove', 'm7'], 1, 'm7 is no master of this cluster: choose one of m1, m2, m3'],
  [['elect'], 2, 'Name the master that shall lead, or say --none'],
])(
  'quorum %s is refused',
  async (args, code, said) => {
    const result = await cluster.command('admin', 'quorum', ...args);
    expect([result.code, result.err]).toEqual([code, expect.stringContaining(said)]);
  },
  60_000,
);
