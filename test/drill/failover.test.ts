import { expect, test } from 'vitest';
import { runFailover } from './failover.ts';

const FAULTS = ['kill', 'stop', 'restart', 'killAll'] as const;

test('masters are killed, stopped and restarted 20 times under writers: nothing is lost or done twice', async () => {
  const result = await runFailover({ rounds: 20, faults: FAULTS, writers: 4 });
  expect(result.surprises).toEqual([]);
  expect({ lost: result.lost, duplicated: result.duplicated, wrongBytes: result.wrongBytes }).toEqual({
    lost: 0,
    duplicated: 0,
    wrongBytes: 0,
  });
  expect(result.acknowledged).toBeGreaterThan(100);
}, 300_000);
