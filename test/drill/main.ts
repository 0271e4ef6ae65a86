import { parseArgs } from 'node:util';
import { percentile } from '../../bench/measure.ts';
import { type Fault, runFailover } from './failover.ts';
import { runRealTree } from './real-tree.ts';

const DRILLS: Readonly<Record<string, readonly Fault[]>> = {
  failover: ['kill'],
  hang: ['stop'],
  restart: ['restart'],
  transfer: ['transfer'],
  blackout: ['killAll'],
  mixed: ['kill', 'stop', 'restart', 'transfer', 'killAll'],
};

const USAGE = `usage: npm run drill -- ${Object.keys(DRILLS).join('|')} [--rounds N] [--json]
       npm run drill -- tree [--folder FOLDER] [--json]
`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: 'string', default: '20' },
    folder: { type: 'string', default: 'node_modules' },
    json: { type: 'boolean', default: false },
  },
});
const name = positionals[0] ?? '';
const faults = DRILLS[name];
const rounds = Number(values.rounds);
if (name === 'tree') await drillTree(values.folder);
else if (faults !== undefined && Number.isInteger(rounds) && rounds > 0) await drillFailover(faults);
else {
  process.stderr.write(USAGE);
  process.exitCode = 2;
}

async function drillFailover(chosen: readonly Fault[]): Promise<void> {
  const result = await runFailover({
    rounds,
    faults: chosen,
    writers: 4,
    onRound: (round, fault, ms) => {
      if (!values.json) process.stdout.write(`round ${round + 1}: ${fault}, next create after ${ms.toFixed(0)} ms\n`);
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
    unanswered: result.unanswered,
    lost: result.lost,
    duplicated: result.duplicated,
    wrongBytes: result.wrongBytes,
  });
  const wrong = result.notLinearizable.map((folder) => `${folder}: its history is not linearizable`);
  end([...result.surprises, ...wrong], result.lost + result.duplicated + result.wrongBytes + wrong.length === 0);
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
