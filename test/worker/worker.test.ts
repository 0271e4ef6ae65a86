import fs from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { seededRandom } from '../../src/base/random.ts';
import type { OptionSet, ValuesOf } from '../../src/host/config/option.ts';
import { createLogger } from '../../src/host/logger.ts';
import { Metrics } from '../../src/host/metrics.ts';
import { nodeTimers } from '../../src/host/node-timers.ts';
import { systemClock } from '../../src/host/system-clock.ts';
import { workerOptions } from '../../src/worker/options.ts';
import { Worker } from '../../src/worker/worker.ts';
import { temporaryFolder } from '../cache/disk-store-fixture.ts';
import { ScriptedUfs } from './scripted-ufs.ts';

type Options = ValuesOf<typeof workerOptions>;

async function start(dataFolder: string, changes: Partial<Options> = {}, token = ''): Promise<Worker> {
  const defaults = Object.fromEntries(
    Object.entries(workerOptions as OptionSet).map(([name, option]) => [name, option.parse(option.fallback)]),
  ) as Options;
  const worker = await Worker.start({
    options: { ...defaults, dataFolder, masters: ['127.0.0.1:1'], port: 0, ...changes },
    token,
    openUfs: () => new ScriptedUfs(),
    clock: systemClock,
    timers: nodeTimers,
    random: seededRandom(1),
    logger: createLogger('silent', {}),
    metrics: new Metrics(),
  });
  onTestFinished(() => worker.close());
  return worker;
}

async function ask(worker: Worker, path: string, init?: RequestInit): Promise<Response> {
  return fetch(`http://${worker.address}${path}`, init);
}

test('serves, keeps its identity and what it protects over a restart, without any master', async () => {
  const folder = await temporaryFolder();
  const first = await start(folder);
  const put = await ask(first, '/v1/blocks/7/0?version=c:7&offset=0&protect=true', { method: 'PUT', body: 'precious' });
  expect(put.status).toBe(204);
  expect(first.registered).toBe(false);
  await first.close();
  const second = await start(folder);
  expect(second.id).toBe(first.id);
  const read = await ask(second, '/v1/blocks/7/0?version=c:7&blockLength=8&offsetInFile=0');
  expect(await read.text()).toBe('precious');
  const status = (await (await ask(second, '/v1/status')).json()) as Record<string, unknown>;
  expect(status).toMatchObject({ workerId: first.id, pageCount: 1, pageSizeBytes: 2 ** 20 });
  expect(await (await ask(second, '/metrics')).text()).toMatch(/sluice_worker_registered 0/);
});

test('a folder in use, a port in use and an open address without token are refused with the way out', async () => {
  const folder = await temporaryFolder();
  await start(folder);
  await expect(start(folder)).rejects.toMatchObject({ code: 'UNAVAILABLE', message: expect.stringMatching(/in use/) });
  const other = await temporaryFolder();
  const taken = createServer();
  await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void taken.close());
  const { port } = taken.address() as { port: number };
  await expect(start(other, { port })).rejects.toMatchObject({
    code: 'UNAVAILABLE',
    message: `Cannot listen on 127.0.0.1:${port}: another process uses it; stop it, or set worker.port and worker.host`,
  });
  await expect(start(other, { host: '0.0.0.0' })).rejects.toMatchObject({
    code: 'INVALID_ARGUMENT',
    message: expect.stringMatching(/set security\.token/),
  });
  const open = await start(other, { host: '0.0.0.0', advertisedHost: '127.0.0.1' }, 'secret');
  expect((await ask(open, '/v1/status')).status).toBe(401);
});

test('a cache folder of its own is used, and is locked', async () => {
  const cacheFolder = await temporaryFolder();
  const worker = await start(await temporaryFolder(), { cacheFolder });
  await ask(worker, '/v1/blocks/7/0?version=v&offset=0&protect=false', { method: 'PUT', body: 'x' });
  expect(await fs.readdir(join(cacheFolder, 'cache', 'pages'))).toEqual(['07']);
  await expect(start(await temporaryFolder(), { cacheFolder })).rejects.toMatchObject({ code: 'UNAVAILABLE' });
});
