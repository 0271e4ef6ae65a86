import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { percentile } from '../../bench/measure.ts';
import { pairs } from '../../src/cli/pairs.ts';
import { canPreload } from '../support/preloaded-library.ts';
import { SmallDisks } from '../support/small-disks.ts';
import { CLOCK_JUMPS } from './clock-faults.ts';
import { FAILING_SYNCS, FULL_DISKS, POWER_FAILURES, STALLED_DISKS } from './disk-faults.ts';
import { type Fault, runDrill } from './drill.ts';
import { MEMBERSHIP } from './membership-faults.ts';
import { PARTITIONS, PARTITIONS_KEPT } from './network-faults.ts';
import { BACKUP, BLOCK, CALM, KILL, KILL_ALL, RESTART, ROLL, STOP, TRANSFER } from './process-faults.ts';
import { runRealTree } from './real-tree.ts';
import { SNAPSHOTS } from './snapshot-faults.ts';
import { runSteady } from './steady.ts';

const DRILLS: Readonly<Record<string, readonly Fault[]>> = {
  failover: [KILL],
  hang: [STOP],
  block: [BLOCK],
  restart: [RESTART],
  transfer: [TRANSFER],
  calm: [CALM],
  backup: [BACKUP],
  blackout: [KILL_ALL],
  mixed: [KILL, STOP, RESTART, TRANSFER, KILL_ALL],
  'rolling-restart': [ROLL],
  partition: PARTITIONS,
  'partition-kept': PARTITIONS_KEPT,
  'disk-full': FULL_DISKS,
  'disk-stall': STALLED_DISKS,
  'fsync-error': FAILING_SYNCS,
  'power-failure': POWER_FAILURES,
  'clock-jump': CLOCK_JUMPS,
  snapshot: SNAPSHOTS,
  membership: MEMBERSHIP,
};

// The first error to arrive would stop this process, and every writer in it, until its stack is translated.
process.setSourceMapsEnabled(false);

/** Clients at work have connections to all masters by then. */
const SETTLE_MS = 20_000;

const USAGE = `usage: npm run drill -- NAME [--rounds N] [--fault FAULT] [--masters N] [--empty] [--set KEY=VALUE]... [--json]
       npm run drill -- tree [--folder FOLDER] [--json]
       npm run drill -- steady [--minutes N] [--in-flight N] [--set KEY=VALUE]... [--json]

${Object.entries(DRILLS)
  .map(([drill, faults]) => `${drill.padEnd(17)}${faults.map((fault) => fault.name).join(', ')}\n`)
  .join('')}`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: 'string', default: '20' },
    fault: { type: 'string' },
    masters: { type: 'string', default: '3' },
    empty: { type: 'boolean', default: false },
    set: { type: 'string', multiple: true, default: [] },
    folder: { type: 'string', default: 'node_modules' },
    minutes: { type: 'string', default: '30' },
    'in-flight': { type: 'string', default: '256' },
    json: { type: 'boolean', default: false },
  },
});
const name = positionals[0] ?? '';
const faults = DRILLS[name]?.filter((fault) => values.fault === undefined || fault.name === values.fault);
const rounds = Number(values.rounds);
const settings = pairs(values.set);
const masters = Number(values.masters);
const minutes = Number(values.minutes);
const inFlight = Number(values['in-flight']);
if (name === 'tree') await drillTree(values.folder);
else if (name === 'steady' && minutes > 0 && Number.isInteger(inFlight) && inFlight > 0) await drillSteady();
else if (faults !== undefined && faults.length > 0 && [rounds, masters].every(isCount)) await drillFaults(faults);
else {
  process.stderr.write(USAGE);
  process.exitCode = 2;
}

function isCount(value: number): boolean {
  return Number.isInteger(value) && value > 0;
}

async function drillFaults(chosen: readonly Fault[]): Promise<void> {
  const obstacle = obstacleTo(chosen);
  if (obstacle !== undefined) {
    process.stderr.write(`drill ${name} is not possible: ${obstacle}\n`);
    process.exitCode = 2;
    return;
  }
  const result = await runDrill({
    rounds,
    faults: chosen,
    writers: 4,
    settleMs: SETTLE_MS,
    empty: values.empty,
    masters,
    settings,
    onRound: (round, fault, ms) => {
      if (!values.json) process.stdout.write(`round ${round + 1}: ${fault.name}, ${ms.toFixed(0)} ms\n`);
    },
  });
  const sorted = Float64Array.from(result.gapsMs).sort();
  print({
    drill: name,
    rounds,
    p50Ms: Math.round(percentile(sorted, 0.5)),
    p99Ms: Math.round(percentile(sorted, 0.99)),
    maxMs: Math.round(sorted.at(-1) ?? 0),
    acknowledged: result.acknowledged,
    unanswered: result.unanswered.length,
    lost: result.lost,
    duplicated: result.duplicated,
    wrongBytes: result.wrongBytes,
    falseElections: result.falseElections,
    judged: result.judged,
    standbyReads: result.standbyReads,
  });
  const wrong = result.notLinearizable.map((folder) => `${folder}: its history is not linearizable`);
  end(
    [...result.surprises, ...wrong, ...result.unanswered],
    result.lost + result.duplicated + result.wrongBytes + wrong.length === 0,
  );
}

/** Why this machine cannot inflict these faults. */
function obstacleTo(chosen: readonly Fault[]): string | undefined {
  const needs = new Set(chosen.map((fault) => fault.needs));
  if ((needs.has('faulty disks') || needs.has('faulty clocks')) && !canPreload()) return 'it needs Linux and gcc';
  if (!needs.has('small disks')) return undefined;
  const scratch = mkdtempSync(join(tmpdir(), 'sluice-drill-'));
  try {
    return SmallDisks.obstacle(scratch);
  } finally {
    rmSync(scratch, { recursive: true });
  }
}

/** Full load for a long time, and elections that nobody asked for. */
async function drillSteady(): Promise<void> {
  const result = await runSteady({
    minutes,
    inFlight,
    settings,
    onProgress: (line) => {
      if (!values.json) process.stdout.write(`${line}\n`);
    },
  });
  print({
    drill: name,
    minutes,
    inFlight,
    opsPerSec: Math.round(result.acknowledged / result.seconds),
    p50Ms: result.p50Ms,
    p99Ms: result.p99Ms,
    maxMs: result.maxMs,
    acknowledged: result.acknowledged,
    unanswered: result.unansweredCount,
    lost: result.lost,
    duplicated: result.duplicated,
    falseElections: result.falseElections,
    stalls: result.stalls,
    absences: result.absences,
    snapshots: result.snapshots,
  });
  const passed = result.lost + result.duplicated + result.falseElections + result.unansweredCount === 0;
  end([...result.surprises, ...result.unanswered], passed);
}

/** Reads a folder through the workers three times: cold, warm, and while the leader is killed. */
async function drillTree(folder: string): Promise<void> {
  const { first, second, third } = await runRealTree(folder);
  const all = [first, second, third].map((pass) => pass.comparison);
  const wrong = {
    lost: all.flatMap((comparison) => comparison.missing),
    invented: all.flatMap((comparison) => comparison.invented),
    wrongBytes: all.flatMap((comparison) => comparison.different),
  };
  print({
    drill: name,
    folder,
    files: first.comparison.files,
    bytes: first.comparison.bytes,
    firstSeconds: Number(first.seconds.toFixed(1)),
    firstUfsReads: first.ufsReads,
    secondSeconds: Number(second.seconds.toFixed(1)),
    secondUfsReads: second.ufsReads,
    secondPageHits: second.pageHits,
    leaderKilledSeconds: Number(third.seconds.toFixed(1)),
    ...Object.fromEntries(Object.entries(wrong).map(([kind, paths]) => [kind, paths.length])),
  });
  const surprises = Object.entries(wrong).flatMap(([kind, paths]) => paths.map((path) => `${kind}: ${path}`));
  end(surprises, surprises.length === 0 && second.ufsReads === 0);
}

function print(summary: Readonly<Record<string, string | number>>): void {
  if (values.json) process.stdout.write(`${JSON.stringify(summary)}\n`);
  else for (const [key, value] of Object.entries(summary)) process.stdout.write(`${key.padEnd(20)}${value}\n`);
}

function end(surprises: readonly string[], passed: boolean): void {
  for (const surprise of surprises.slice(0, 10)) process.stderr.write(`${surprise}\n`);
  process.exitCode = passed ? 0 : 1;
}
