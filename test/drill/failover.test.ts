import { expect, test } from 'vitest';
import { runDrill } from './drill.ts';
import { BLOCK, KILL, KILL_ALL, RESTART, ROLL, STOP, TRANSFER } from './process-faults.ts';

test('handovers by request, and restarts of all masters in turn, cost no operation its answer', async () => {
  const result = await runDrill({ rounds: 6, faults: [TRANSFER, TRANSFER, ROLL], writers: 4 });
  const { surprises, unanswered, lost, duplicated, wrongBytes, notLinearizable } = result;
  expect({ surprises, unanswered, lost, duplicated, wrongBytes, notLinearizable }).toEqual({
    surprises: [],
    notLinearizable: [],
    unanswered: [],
    lost: 0,
    duplicated: 0,
    wrongBytes: 0,
  });
}, 120_000);

const FAULTS = [KILL, STOP, RESTART, KILL_ALL];

test('masters are killed, stopped and restarted 20 times under writers: nothing is lost or done twice', async () => {
  const result = await runDrill({ rounds: 20, faults: FAULTS, writers: 4 });
  expect(result.surprises).toEqual([]);
  expect(result.notLinearizable).toEqual([]);
  expect(result.judged).toBeGreaterThan(100);
  expect(result.standbyReads).toBeGreaterThan(0);
  expect({ lost: result.lost, duplicated: result.duplicated, wrongBytes: result.wrongBytes }).toEqual({
    lost: 0,
    duplicated: 0,
    wrongBytes: 0,
  });
  expect(result.acknowledged).toBeGreaterThan(100);
}, 300_000);

test('a leader whose main thread is blocked is replaced, and follows when it is back', async () => {
  const result = await runDrill({ rounds: 1, faults: [BLOCK], writers: 4 });
  const { surprises, notLinearizable, unanswered, lost, falseElections } = result;
  expect({ surprises, notLinearizable, unanswered, lost, falseElections }).toEqual({
    surprises: [],
    notLinearizable: [],
    unanswered: [],
    lost: 0,
    falseElections: 0,
  });
}, 120_000);
