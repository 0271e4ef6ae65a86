import { parseArgs } from 'node:util';
import { benchMaster } from './master.ts';
import { Printer } from './measure.ts';
import { benchRestart } from './restart.ts';
import { benchWorker } from './worker.ts';

const USAGE = `usage: npm run bench -- master|worker|restart [--json]
  --seconds N     per case (default 5)
  --protocol P    stream or unary (default both)
  --in-flight N   operations at a time (default 1 and 512)
  --case NAME     print only this case (may be repeated)
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
  case 'worker':
    await benchWorker({ printer, seconds: positive(values.seconds) });
    break;
  case 'restart':
    await benchRestart(printer, positive(values.files));
    break;
  default:
    wrongUsage();
}
