import type { CommandSpec } from '../../command-spec.ts';

/** `sluice fs mkdir`. */
export const mkdirCommand: CommandSpec<{ readonly parents?: boolean }> = {
  name: 'mkdir',
  summary: 'make directories',
  arguments: [['<path...>', 'directories to make']],
  options: [['-p, --parents', 'make missing parents; an existing directory is no error']],
  async run(context, args, { parents = false }) {
    const files = await context.files();
    for (const path of args) {
      const status = await files.mkdir(path, { recursive: parents });
      if (context.json) await context.out.json(status);
    }
    return 0;
  },
};
