import { parseArgs } from 'node:util';
import { percentile } from '../../bench/measure.ts';
import { type Fault, runFailover } from './failover.ts';

const DRILLS: Readonly<Record<string, readonly Fault[]>> = {
  failover: ['kill'],
  hang: ['stop'],
  restart: ['restart'],
  mixed: ['kill', 'stop', 'restart'],
};

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { rounds: { type: 'string', default: '20' }, json: { type: 'boolean', default: false } },
});
const name = positionals[0] ?? '';
const faults = DRILLS[name];
const rounds = Number(values.rounds);
if (faults === undefined || !Number.isInteger(rounds) || rounds < 1) {
  process.stderr.write(`usage: npm run drill -- ${Object.keys(DRILLS).join('|')} [--rounds N] [--json]\n`);
  process.exit(2);
}

const result = await runFailover({
  rounds,
  faults,
  writers: 4,
  onRound: (round, fault, ms) => {
    if (!values.json) process.stdout.write(`round ${round + 1}: ${fault}, next create after ${ms.toFixed(0)} ms\n`);
  },
});
const sorted = Float64Array.from(result.gapsMs).sort();
const summary = {
  drill: name,
  rounds,
  p50Ms: Math.round(percentile(sorted, 0.5)),
  p99Ms: Math.round(percentile(sorted, 0.99)),
  maxMs: Math.round(sorted.at(-1) ?? 0),
  acknowledged: result.acknowledged,
  lost: result.lost,
  duplicated: result.duplicated,
  wrongBytes: result.wrongBytes,
};
if (values.json) process.stdout.write(`${JSON.stringify(summary)}\n`);
else for (const [key, value] of Object.entries(summary)) process.stdout.write(`${key.padEnd(14)}${value}\n`);
for (const surprise of result.surprises.slice(0, 10)) process.stderr.write(`${surprise}\n`);
process.exitCode = result.lost + result.duplicated + result.wrongBytes === 0 ? 0 : 1;
