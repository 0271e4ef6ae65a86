import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { CLOCK_JUMPS } from '../drill/clock-faults.ts';
import { FAILING_SYNCS, FULL_DISKS, POWER_FAILURES, STALLED_DISKS } from '../drill/disk-faults.ts';
import { type Fault, runDrill } from '../drill/drill.ts';
import { MEMBERSHIP } from '../drill/membership-faults.ts';
import { BACKUP, KILL, STOP } from '../drill/process-faults.ts';
import { SNAPSHOTS } from '../drill/snapshot-faults.ts';
import { SmallDisks } from '../support/small-disks.ts';

async function survive(
  faults: readonly Fault[],
  times = 2,
  settings: Record<string, string> = {},
  masters = 3,
): Promise<void> {
  const result = await runDrill({ rounds: times * faults.length, faults, writers: 4, settings, masters });
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

/** Why file systems cannot be mounted here: in a container, say. */
function obstacle(): string | undefined {
  const scratch = mkdtempSync(join(tmpdir(), 'sluice-disks-'));
  try {
    return SmallDisks.obstacle(scratch);
  } finally {
    rmSync(scratch, { recursive: true });
  }
}

describe('disks of masters', () => {
  describe.each(['level', 'segments'])('with journals in %s', (store) => {
    const settings = { 'master.journal.store': store };

    test('that stand still cost their masters leadership, and nothing is lost', () =>
      survive(STALLED_DISKS, 2, settings));

    test('that fail a sync stop their masters, and nothing is lost', () => survive(FAILING_SYNCS, 2, settings));

    test('that lose what was not synced, all at once, lose nothing that was acknowledged', () =>
      survive(POWER_FAILURES, 2, settings));
  });

  test('that are full stop their masters until there is room, and nothing is lost', async ({ skip }) => {
    const reason = obstacle();
    skip(reason !== undefined, reason);
    await survive(FULL_DISKS);
  });
});

test('a standby that missed a lot gets a snapshot, whoever dies meanwhile', () => survive(SNAPSHOTS, 1), 300_000);

test('masters are replaced by empty machines, come and go, and nothing is lost', () => survive(MEMBERSHIP), 300_000);

test('five masters live through the loss of their leader', () => survive([KILL, STOP], 1, {}, 5));

test('wall clocks that jump by hours and days matter to nobody', () => survive(CLOCK_JUMPS, 1), 300_000);

test('the state is written to a file under load', () => survive([BACKUP], 3));
