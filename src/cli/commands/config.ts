import type { CommandGroup, CommandSpec } from '../command-spec.ts';

const listCommand: CommandSpec = {
  name: 'list',
  summary: 'show every option with its value and its source',
  examples: ['sluice config list', 'sluice config list --json --set client.user=alice'],
  async run(context) {
    const entries = context.config().entries();
    if (context.json) await context.out.json(...entries);
    else
      await context.out.table([
        ['key', 'value', 'source', 'meaning'],
        ...entries.map(({ key, value, source, doc }) => [key, value === '' ? '-' : value, source, doc]),
      ]);
    return 0;
  },
};

/** `sluice config`. */
export const configGroup: CommandGroup = {
  name: 'config',
  summary: 'look at the configuration',
  commands: [listCommand],
};
