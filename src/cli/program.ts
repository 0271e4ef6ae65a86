import { Command, type Option } from 'commander';
import type { CommandGroup, CommandSpec } from './command-spec.ts';
import { adminGroup } from './commands/admin.ts';
import { completionCommand } from './commands/completion.ts';
import { configGroup } from './commands/config.ts';
import { fsGroup } from './commands/fs.ts';
import { journalGroup } from './commands/journal.ts';
import { localCommand } from './commands/local.ts';
import { masterCommand } from './commands/master.ts';
import { workerCommand } from './commands/worker.ts';
import type { GlobalFlags } from './configuration.ts';
import { programVersion } from './version.ts';

/** Runs a command that was chosen. */
export type Execute = (spec: CommandSpec, args: readonly string[], flags: GlobalFlags) => Promise<void>;

/** Every command of the program. */
const COMMANDS: readonly (CommandSpec | CommandGroup)[] = [
  localCommand,
  masterCommand,
  workerCommand,
  fsGroup,
  adminGroup,
  journalGroup,
  configGroup,
  completionCommand(() => COMMANDS),
];

const GLOBAL_OPTIONS: readonly (readonly [string, string])[] = [
  ['--master <addresses>', 'masters, host:port separated by commas'],
  ['--user <name>', 'act under this name'],
  ['--config <file>', 'configuration file, sluice.yaml when there is one'],
  ['--set <key=value...>', 'set an option, see: sluice config list'],
  ['--json', 'print JSON, one object per line'],
];

/** The command line as commander parses it. Nothing is printed, and the process does not end, on wrong usage. */
export function buildProgram(execute: Execute, print: (text: string) => void): Command {
  const program = new Command('sluice');
  program.description('One namespace over many storage systems, with hot data cached beside the compute.');
  program.configureHelp({ showGlobalOptions: true });
  program.configureOutput({ writeOut: print, writeErr: () => undefined, outputError: () => undefined });
  program.version(programVersion(), '-V, --version', 'show the version');
  program.exitOverride();
  addGlobalOptions(program);
  for (const entry of COMMANDS) add(program, entry, execute);
  return program;
}

function add(parent: Command, entry: CommandSpec | CommandGroup, execute: Execute): void {
  const command = parent.command(entry.name).description(entry.summary);
  if ('commands' in entry) {
    for (const child of entry.commands) add(command, child, execute);
    return;
  }
  for (const [syntax, doc] of entry.arguments ?? []) command.argument(syntax, doc);
  for (const [flags, doc] of entry.options ?? []) command.addOption(optionOf(command, flags, doc));
  if (entry.options?.some(([flags]) => flags.startsWith('-h,')) === true) command.helpOption('--help', 'show help');
  addGlobalOptions(command, true);
  const examples = (entry.examples ?? []).map((line) => `  $ ${line}\n`).join('');
  if (examples !== '') command.addHelpText('after', `\nExamples:\n${examples}`);
  command.action(async () => {
    const args = command.processedArgs.flat().filter((arg) => arg !== undefined);
    await execute(entry, args, optionsOf(command));
  });
}

/** They may stand anywhere on the line, so each command has them; help shows them once, as the program's. */
function addGlobalOptions(command: Command, hidden = false): void {
  for (const [flags, doc] of GLOBAL_OPTIONS) {
    const option = optionOf(command, flags, doc);
    if (hidden) option.hideHelp();
    command.addOption(option);
  }
}

/** `<value...>` may be given several times, one value at a time: it must not swallow the arguments that follow. */
function optionOf(command: Command, flags: string, doc: string): Option {
  const option = command.createOption(flags.replace('...>', '>'), doc);
  if (flags.endsWith('...>')) option.argParser((value: string, before: readonly string[] = []) => [...before, value]);
  return option;
}

/** Options of the command and of all above it; what is nearer to the command wins, lists are joined. */
function optionsOf(command: Command): Record<string, unknown> {
  const outer = command.parent === null ? {} : optionsOf(command.parent);
  const merged = { ...outer };
  for (const [name, value] of Object.entries(command.opts())) {
    const before = merged[name];
    merged[name] = Array.isArray(before) && Array.isArray(value) ? [...before, ...value] : value;
  }
  return merged;
}
