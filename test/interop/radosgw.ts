import { randomUUID } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { Daemons, freePorts, requirePrograms, run } from './foreign-program.ts';

/** A real S3 server on loopback. */
export interface S3Server {
  readonly endpoint: string;
  readonly accessKey: string;
  readonly secretKey: string;
  stop(): Promise<void>;
}

const ACCESS_KEY = 'interopkey';
const SECRET_KEY = 'interopsecret';

interface Layout {
  readonly folder: string;
  readonly fsid: string;
  readonly gatewayPort: number;
  /** Where the monitor listens, as Ceph writes it. */
  readonly monitor: string;
}

/** Without authentication inside Ceph its messages must still be checksummed, or the gateway hangs at its start. */
function configOf({ folder, fsid, gatewayPort, monitor }: Layout): string {
  const settings: Record<string, Record<string, string | number | boolean>> = {
    global: {
      fsid,
      'mon host': monitor,
      'auth cluster required': 'none',
      'auth service required': 'none',
      'auth client required': 'none',
      'ms mon client mode': 'crc',
      'ms mon service mode': 'crc',
      'ms client mode': 'crc',
      'osd pool default size': 1,
      'osd pool default min size': 1,
      'osd pool default pg num': 4,
      'osd pool default pgp num': 4,
      'osd pool default pg autoscale mode': 'off',
      'osd crush chooseleaf type': 0,
      'osd objectstore': 'memstore',
      'memstore device bytes': 4 * 2 ** 30,
      'mon allow pool size one': true,
      'mon data avail crit': 1,
      'mon data avail warn': 2,
      'run dir': folder,
      'admin socket': `${folder}/$name.asok`,
      'log file': `${folder}/$name.log`,
    },
    'mon.a': { 'mon data': join(folder, 'mon') },
    'osd.0': { 'osd data': join(folder, 'osd') },
    'client.rgw.a': {
      'rgw data': join(folder, 'rgw'),
      'rgw frontends': `beast endpoint=127.0.0.1:${gatewayPort}`,
      'rgw thread pool size': 64,
    },
  };
  const lines = Object.entries(settings).flatMap(([section, entries]) => [
    `[${section}]`,
    ...Object.entries(entries).map(([key, value]) => `${key} = ${value}`),
  ]);
  return `${lines.join('\n')}\n`;
}

/**
 * Starts Ceph's S3 gateway with one monitor and one storage daemon that keeps everything in memory. Takes about ten
 * seconds.
 * @throws when a program is missing (with what to install) or does not start (with the end of its log)
 */
export async function startS3Server(): Promise<S3Server> {
  requirePrograms(['ceph', 'ceph-mon', 'ceph-osd', 'monmaptool', 'radosgw', 'radosgw-admin']);
  const folder = await mkdtemp(join(tmpdir(), 'sluice-s3-'));
  const [gatewayPort = 0, v2 = 0, v1 = 0] = await freePorts(3);
  const monitor = `[v2:127.0.0.1:${v2},v1:127.0.0.1:${v1}]`;
  const layout: Layout = { folder, fsid: randomUUID(), gatewayPort, monitor };
  const daemons = new Daemons();
  const stop = async (): Promise<void> => {
    await daemons.stop();
    await rm(folder, { recursive: true, force: true });
  };
  try {
    await startCeph(layout, daemons);
    return { endpoint: `http://127.0.0.1:${gatewayPort}`, accessKey: ACCESS_KEY, secretKey: SECRET_KEY, stop };
  } catch (thrown) {
    const log = await readFile(join(folder, 'output.log'), 'utf8').catch(() => '');
    await stop();
    throw new Error(`The S3 server did not start; its last words:\n${log.slice(-2000)}`, { cause: thrown });
  }
}

async function startCeph(layout: Layout, daemons: Daemons): Promise<void> {
  const { folder, fsid, monitor } = layout;
  const file = (name: string): string => join(folder, name);
  for (const name of ['mon', 'osd', 'rgw']) await mkdir(file(name));
  await writeFile(file('ceph.conf'), configOf(layout));
  const base = ['-c', file('ceph.conf')];
  const log = file('output.log');

  await run('monmaptool', ['--create', '--addv', 'a', monitor, '--fsid', fsid, file('monmap')]);
  await run('ceph-mon', [...base, '-i', 'a', '--mkfs', '--monmap', file('monmap')]);
  daemons.start('ceph-mon', [...base, '-f', '-i', 'a'], log);

  const osd = randomUUID();
  await run('ceph', [...base, '--connect-timeout', '30', 'osd', 'new', osd]);
  await run('ceph-osd', [...base, '-i', '0', '--mkfs', '--osd-uuid', osd]);
  daemons.start('ceph-osd', [...base, '-f', '-i', '0'], log);
  const user = ['--uid=interop', '--display-name=interop', `--access-key=${ACCESS_KEY}`, `--secret-key=${SECRET_KEY}`];
  await run('radosgw-admin', [...base, '-n', 'client.rgw.a', 'user', 'create', ...user]);
  daemons.start('radosgw', [...base, '-f', '-n', 'client.rgw.a'], log);
  await untilAnswering(`http://127.0.0.1:${layout.gatewayPort}`, daemons);
}

/** Resolves when the server speaks HTTP. */
async function untilAnswering(url: string, daemons: Daemons): Promise<void> {
  const patience = AbortSignal.timeout(60_000);
  for (;;) {
    const answer = await fetch(url, { signal: patience }).catch(() => undefined);
    if (answer !== undefined) return void (await answer.arrayBuffer());
    patience.throwIfAborted();
    const ended = daemons.ended();
    if (ended.length > 0) throw new Error(`${ended.join(', ')} ended by itself`);
    await pause(100);
  }
}
