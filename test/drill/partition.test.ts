import { expect, test } from 'vitest';
import { type DrillResult, runDrill } from './drill.ts';
import { PARTITIONS, PARTITIONS_KEPT } from './network-faults.ts';

function expectNoHarm(result: DrillResult): void {
  const { surprises, notLinearizable, unanswered, lost, duplicated, wrongBytes } = result;
  expect({ surprises, notLinearizable, unanswered, lost, duplicated, wrongBytes }).toEqual({
    surprises: [],
    notLinearizable: [],
    unanswered: [],
    lost: 0,
    duplicated: 0,
    wrongBytes: 0,
  });
  expect(result.judged).toBeGreaterThan(0);
}

test('a leader that is cut off, deaf, mute or away is replaced, and nothing is lost, done twice or read stale', async () => {
  const result = await runDrill({ rounds: PARTITIONS.length, faults: PARTITIONS, writers: 4 });
  expectNoHarm(result);
  expect(result.standbyReads).toBeGreaterThan(0);
}, 120_000);

test('a lonely follower, a broken link and slow links cost nothing that was promised', async () => {
  expectNoHarm(await runDrill({ rounds: PARTITIONS_KEPT.length, faults: PARTITIONS_KEPT, writers: 4 }));
}, 120_000);
