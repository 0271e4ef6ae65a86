import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';
import { Coverage } from './coverage.ts';
import { type Bounds, explore, SMALL_BOUNDS } from './explore.ts';
import { FAULT_KINDS } from './faults.ts';
import { attempt, minimise } from './minimise.ts';
import { SimulationFailure } from './world.ts';

const USAGE = `usage: npm run sim -- [--seed N] [--seeds N] [--ticks N] [--json]

  --seed N    the first seed; without it, a random one
  --seeds N   how many seeds, one after the other (1)
  --ticks N   length of the part with faults, in ticks (1000)
  --json      one line of JSON at the end instead of a table

       npm run sim -- --explore [--terms N] [--timeouts N] [--proposals N] [--crashes N] [--drops N] [--beats N]
                                [--fast-disks] [--states N] [--json]

  --explore   tries everything that can happen to three members within such bounds (1 term, 1 timeout, 1 proposal)
`;

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: String(randomInt(2 ** 31)) },
    seeds: { type: 'string', default: '1' },
    ticks: { type: 'string', default: '1000' },
    json: { type: 'boolean', default: false },
    explore: { type: 'boolean', default: false },
    'fast-disks': { type: 'boolean', default: false },
    terms: { type: 'string' },
    timeouts: { type: 'string' },
    proposals: { type: 'string' },
    crashes: { type: 'string' },
    drops: { type: 'string' },
    beats: { type: 'string' },
    states: { type: 'string' },
  },
});
const first = Number(values.seed);
const seeds = Number(values.seeds);
const ticks = Number(values.ticks);
const { terms, timeouts, proposals, crashes, drops, beats, states } = values;
const given = Object.entries({ terms, timeouts, proposals, crashes, drops, beats, states })
  .filter(([, value]) => value !== undefined)
  .map(([key, value]): [string, number] => [key, Number(value)]);
const valid =
  Number.isSafeInteger(first) &&
  [seeds, ticks].every((n) => Number.isSafeInteger(n) && n > 0) &&
  given.every(([, n]) => Number.isSafeInteger(n) && n >= 0);
if (valid && values.explore) exploreAll();
else if (valid) await run();
else {
  process.stderr.write(USAGE);
  process.exitCode = 2;
}

/** Not a drawn run, but all runs that are short. */
function exploreAll(): void {
  const bounds: Bounds = { ...SMALL_BOUNDS, ...Object.fromEntries(given), slowDisks: !values['fast-disks'] };
  const { path, broken, ...counts } = explore(bounds);
  if (broken !== undefined) process.exitCode = 1;
  if (values.json) {
    process.stdout.write(`${JSON.stringify({ passed: broken === undefined, bounds, ...counts, broken, path })}\n`);
    return;
  }
  print('bounds', { ...bounds });
  print('explored', counts);
  if (broken !== undefined) process.stderr.write(`${path.join('\n')}\n${broken}\n`);
}

async function run(): Promise<void> {
  const coverage = new Coverage();
  const sums = { seeds: 0, ticks: 0, steps: 0, elections: 0, committed: 0, reads: 0, calls: 0, majoritiesLost: 0 };
  for (let seed = first; seed < first + seeds; seed += 1) {
    if (process.stderr.isTTY) process.stderr.write(`\rseed ${seed} (${sums.seeds} of ${seeds})`);
    const result = await attempt({ seed, ticks });
    if (result instanceof SimulationFailure) {
      if (process.stderr.isTTY) process.stderr.write('\n');
      await fail(result);
      return;
    }
    sums.seeds += 1;
    sums.ticks += ticks;
    sums.steps += result.coverage.steps;
    sums.elections += result.elections;
    sums.committed += result.commit;
    sums.reads += result.reads;
    sums.calls += result.calls;
    sums.majoritiesLost += result.majorityLost ? 1 : 0;
    coverage.add(result.coverage);
  }
  if (process.stderr.isTTY) process.stderr.write('\n');
  const { faults, handlers, effects, disks } = coverage;
  const never = coverage.missing();
  if (values.json) {
    const passed = true;
    process.stdout.write(`${JSON.stringify({ passed, first, ...sums, faults, handlers, effects, disks, never })}\n`);
    return;
  }
  print(`${seeds} seeds from ${first}`, sums);
  print('faults', faults);
  print('messages, by the role of the receiver', handlers);
  print('effects', effects);
  print('disks', disks);
  process.stdout.write(`never: ${never.join(', ') || 'nothing'}\n`);
}

/** Says what broke, where to find it, and the smallest run that still breaks it. */
async function fail(failure: SimulationFailure): Promise<void> {
  process.exitCode = 1;
  // At once: the smallest run is looked for by running it again and again, which may take many times as long.
  process.stderr.write(`${failure.message}\n\nMinimising it. `);
  process.stderr.write(`Again: npm run sim -- --seed ${failure.options.seed} --ticks ${ticks}\n`);
  const least = await minimise(failure);
  const off = least.options.without ?? [];
  const on = FAULT_KINDS.filter((kind) => !off.includes(kind));
  if (values.json) {
    const { promise, tail, options } = failure;
    const minimised = {
      ticks: least.options.ticks,
      faults: on,
      without: off,
      promise: least.promise,
      tail: least.tail,
    };
    process.stdout.write(`${JSON.stringify({ passed: false, seed: options.seed, ticks, promise, tail, minimised })}\n`);
    return;
  }
  process.stderr.write(`\nMinimised, with ${on.join(', ') || 'no fault at all'}:\n${least.message}\n`);
  process.stderr.write(`Small: simulate(${JSON.stringify(least.options)})\n`);
}

function print(title: string, counts: Readonly<Record<string, number | boolean>>): void {
  process.stdout.write(`${title}\n`);
  for (const [name, times] of Object.entries(counts)) process.stdout.write(`  ${name.padEnd(32)}${times}\n`);
}
