import { CommanderError } from 'commander';
import { ERROR_TABLE, SluiceError } from '../model/errors.ts';
import type { CommandSpec } from './command-spec.ts';
import type { GlobalFlags } from './configuration.ts';
import { Output } from './output.ts';
import { buildProgram } from './program.ts';
import type { World } from './world.ts';

/** Exit code after Ctrl-C, as shells have it. */
const INTERRUPTED = 130;
const WRONG_USAGE = 2;

/**
 * Runs one command line.
 * @param args without the names of interpreter and program.
 * @returns the exit code: 0 done, 1 refused, 2 wrong usage, 70 defect or damage, 75 try again later, 130 interrupted.
 */
export async function run(args: readonly string[], world: World): Promise<number> {
  let code = 0;
  let help = '';
  const execute = async (spec: CommandSpec, given: readonly string[], flags: GlobalFlags) => {
    code = await executeIn(world, spec, given, flags);
  };
  const program = buildProgram(execute, (text) => {
    help += text;
  });
  const json = args.includes('--json');
  try {
    await program.parseAsync(args, { from: 'user' });
  } catch (thrown) {
    if (thrown instanceof CommanderError) {
      if (thrown.exitCode === 0) await new Output(world.stdout, world.signal).write(help);
      else code = await wrongUsage(world, thrown, json, args);
    } else code = await report(world, thrown, json);
  }
  return code;
}

async function executeIn(
  world: World,
  spec: CommandSpec,
  args: readonly string[],
  flags: GlobalFlags,
): Promise<number> {
  // Reading configuration takes longer than showing help: that is done without it.
  const { CommandContext } = await import('./context.ts');
  const context = new CommandContext(world, flags);
  try {
    // The options are those that the spec itself declares.
    return (await spec.run(context, args, flags as never)) ?? 0;
  } finally {
    await context.close();
  }
}

async function wrongUsage(
  world: World,
  thrown: CommanderError,
  json: boolean,
  args: readonly string[],
): Promise<number> {
  const words = args.filter((arg) => !arg.startsWith('-'));
  const said = thrown.message.replace(/^error: /, '').replaceAll(/\s*\n\s*/g, ' ');
  const missing = thrown.code === 'commander.help';
  const message = missing ? `Which command of sluice ${words.join(' ')}`.trimEnd() : said;
  const hint = missing ? `${message}? Add --help to see them` : message;
  await report(world, new SluiceError('INVALID_ARGUMENT', hint), json);
  return WRONG_USAGE;
}

/** Says what went wrong. @returns the exit code. */
async function report(world: World, thrown: unknown, json: boolean): Promise<number> {
  const interrupted = world.signal.aborted;
  const error = SluiceError.from(thrown);
  // The signal that ended the command must not keep its last words back.
  const err = new Output(world.stderr, new AbortController().signal);
  if (interrupted && (error.code === 'CANCELLED' || isAbort(thrown))) return INTERRUPTED;
  const { code, message, details } = error;
  if (json) await err.json({ code, message, details });
  else await err.lines([`sluice: ${code}: ${message}`]);
  if (!(thrown instanceof SluiceError) && thrown instanceof Error && thrown.stack !== undefined && !json)
    await err.lines(thrown.stack.split('\n'));
  return ERROR_TABLE[code].exit;
}

function isAbort(thrown: unknown): boolean {
  return thrown instanceof Error && thrown.name === 'AbortError';
}
