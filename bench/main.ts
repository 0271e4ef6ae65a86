import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { benchAppend } from './append.ts';
import { benchJournal } from './journal.ts';
import { benchMaster } from './master.ts';
import { Printer } from './measure.ts';
import { benchRestart } from './restart.ts';
import { benchWorker } from './worker.ts';

const USAGE = `usage: npm run bench -- master|journal|append|worker|restart [--json]
  --seconds N     per case (default 5)
  --protocol P    stream or unary (default both)
  --in-flight N   operations at a time (default 1 and 512, in the journal suite also 64 and 4096)
  --case NAME     print only this case (may be repeated)
  --rounds N      in the journal suite: how often every case is run, in turns (default 1)
  --profiles DIR  in the journal suite: where members leave CPU profiles
  --files N       files to make in the restart suite (default 1000000)
`;

function wrongUsage(): never {
  process.stderr.write(USAGE);
  process.exit(2);
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    json: { type: 'boolean', default: false },
    seconds: { type: 'string', default: '5' },
    protocol: { type: 'string' },
    'in-flight': { type: 'string' },
    case: { type: 'string', multiple: true },
    files: { type: 'string', default: '1000000' },
    rounds: { type: 'string', default: '1' },
    profiles: { type: 'string' },
  },
});

function positive(text: string): number {
  const value = Number(text);
  if (!Number.isFinite(value) || value <= 0) wrongUsage();
  return value;
}

const printer = new Printer(values.json);
const { protocol } = values;
if (protocol !== undefined && protocol !== 'stream' && protocol !== 'unary') wrongUsage();
switch (positionals[0]) {
  case 'master':
    await benchMaster({
      printer,
      seconds: positive(values.seconds),
      protocols: protocol === undefined ? ['stream', 'unary'] : [protocol],
      inFlight: values['in-flight'] === undefined ? [1, 512] : [positive(values['in-flight'])],
      cases: values.case,
    });
    break;
  case 'journal':
    await benchJournal({
      printer,
      seconds: positive(values.seconds),
      inFlight: values['in-flight'] === undefined ? [1, 64, 512, 4096] : [positive(values['in-flight'])],
      cases: values.case,
      rounds: positive(values.rounds),
      profiles: values.profiles === undefined ? undefined : resolve(values.profiles),
    });
    break;
  case 'append':
    await benchAppend({ printer, seconds: positive(values.seconds) });
    break;
  case 'worker':
    await benchWorker({ printer, seconds: positive(values.seconds) });
    break;
  case 'restart':
    await benchRestart(printer, positive(values.files));
    break;
  default:
    wrongUsage();
}
