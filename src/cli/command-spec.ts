import type { CommandContext } from './context.ts';

/** A command as the command line, its help and its completion see it. */
export interface CommandSpec<O = never> {
  readonly name: string;
  /** What it does, in one line. */
  readonly summary: string;
  /** Syntax as commander has it (`<path>`, `[path...]`) and what it means. */
  readonly arguments?: readonly (readonly [syntax: string, doc: string])[];
  /** `-l, --long`, `-n, --lines <count>`, and what it means. */
  readonly options?: readonly (readonly [flags: string, doc: string])[];
  /** Whole command lines. */
  readonly examples?: readonly string[];
  /** @returns the exit code; nothing is 0. @throws SluiceError */
  run(context: CommandContext, args: readonly string[], options: O): Promise<number | undefined>;
}

/** Commands under one word. */
export interface CommandGroup {
  readonly name: string;
  readonly summary: string;
  readonly commands: readonly (CommandSpec | CommandGroup)[];
}
