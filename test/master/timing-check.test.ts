import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { TimingCheck } from '../../src/master/timing-check.ts';
import type { Greeting } from '../../src/wire/greeting.ts';
import { MemoryLogger } from '../wire/cluster.ts';
import { PATIENCE, RealMasters, ready } from './real-masters.ts';

let real: RealMasters;

beforeEach(() => {
  real = new RealMasters();
});
afterEach(() => real.close());

const warnings = ({ lines }: MemoryLogger) =>
  lines.filter(({ level, message }) => level === 'warn' && message.includes('election-timeout'));

test('a master that times elections otherwise is told, and so are the others; alike ones hear nothing', async () => {
  const logger = new MemoryLogger();
  const three = await real.startThree({}, { logger });
  expect(warnings(logger)).toEqual([]);
  await real.close('m3');
  const settings = {
    ...three.settings,
    'master.port': three.addresses[2]?.split(':')[1] ?? '',
    'master.raft.election-timeout': '600ms',
  };
  const own = new MemoryLogger();
  await ready(await real.start('m3', settings, { logger: own }));
  await vi.waitFor(() => expect([warnings(logger).length, warnings(own).length]).toEqual([2, 2]), PATIENCE);
  expect(warnings(own)[0]?.message).toMatch(
    /^master m[12]@\w+ has master\.raft\.election-timeout 300 ms and master\.raft\.heartbeat 45 ms, this one has .* 600 ms/,
  );
  expect(warnings(logger)[0]?.message).toMatch(/^master m3@\w+ has .* 600 ms .*, this one has .* 300 ms/);
});

test('masters of other clusters, or of none yet, may have any timing', () => {
  const logger = new MemoryLogger();
  const check = new TimingCheck({ electionTimeoutMs: 300, heartbeatMs: 45 }, 'ours', logger);
  const timing = { electionTimeoutMs: 600, heartbeatMs: 45 };
  for (const clusterId of ['theirs', '']) check.compare({ id: 'm9@1', clusterId, timing } as Greeting);
  expect(warnings(logger)).toEqual([]);
  check.compare({ id: 'm9@1', clusterId: 'ours', timing } as Greeting);
  check.compare({ id: 'm9@1', clusterId: 'ours', timing } as Greeting);
  expect(warnings(logger)).toHaveLength(1);
});
