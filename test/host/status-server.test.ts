import { expect, test } from 'vitest';
import { COUNT_BUCKETS, Metrics } from '../../src/host/metrics.ts';
import { type Readiness, StatusServer } from '../../src/host/status-server.ts';

test('serves metrics, health and readiness', async () => {
  const metrics = new Metrics();
  metrics.counter('sluice_test_things_total', 'Things', { kind: 'a' }).add(2);
  metrics.counter('sluice_test_things_total', 'Things', { kind: 'a' }).add(1);
  metrics.gauge('sluice_test_depth_entries', 'Depth').set(7);
  metrics.gaugeOf('sluice_test_sampled_entries', 'Sampled', () => 5);
  metrics.histogram('sluice_test_batch_entries', 'Batch', COUNT_BUCKETS).observe(3);
  let readiness: Readiness = { ready: false, reason: 'no leader is known' };
  const server = await StatusServer.open({
    host: '127.0.0.1',
    port: 0,
    token: '',
    metrics,
    readiness: () => readiness,
  });
  const get = async (path: string, method = 'GET') => {
    const response = await fetch(`http://127.0.0.1:${server.port}${path}`, { method });
    return [response.status, await response.text()] as const;
  };
  const [, exposed] = await get('/metrics');
  expect(exposed).toContain('sluice_test_things_total{kind="a"} 3');
  expect(exposed).toContain('sluice_test_depth_entries 7');
  expect(exposed).toContain('sluice_test_sampled_entries 5');
  expect(exposed).toContain('sluice_test_batch_entries_bucket{le="4"} 1');
  expect(await get('/healthz')).toEqual([200, 'ok\n']);
  expect(await get('/readyz')).toEqual([503, 'no leader is known\n']);
  readiness = { ready: true };
  expect((await get('/readyz'))[0]).toBe(200);
  expect((await get('/other'))[0]).toBe(404);
  expect((await get('/metrics', 'POST'))[0]).toBe(405);
  await expect(
    StatusServer.open({ host: '127.0.0.1', port: server.port, token: '', metrics, readiness: () => readiness }),
  ).rejects.toThrow(/choose another port/);
  await server.close();
  await server.close();
});

test('refuses a name outside the scheme and one metric of two types', () => {
  const metrics = new Metrics();
  expect(() => metrics.counter('things', 'Things')).toThrow(/must be named/);
  metrics.counter('sluice_test_things_total', 'Things');
  expect(() => metrics.gauge('sluice_test_things_total', 'Things', { a: 'b' })).toThrow(/declared twice/);
});

test('asks for the token when there is one, and for one beyond loopback', async () => {
  const metrics = new Metrics();
  const readiness = (): Readiness => ({ ready: true });
  const server = await StatusServer.open({ host: '127.0.0.1', port: 0, token: 'secret', metrics, readiness });
  const url = `http://127.0.0.1:${server.port}/metrics`;
  expect((await fetch(url)).status).toBe(401);
  expect((await fetch(url, { headers: { authorization: 'Bearer guess' } })).status).toBe(401);
  expect((await fetch(url, { headers: { authorization: 'Bearer secret' } })).status).toBe(200);
  await server.close();
  await expect(StatusServer.open({ host: '0.0.0.0', port: 0, token: '', metrics, readiness })).rejects.toMatchObject({
    code: 'INVALID_ARGUMENT',
    message: expect.stringContaining('security.token'),
  });
});
