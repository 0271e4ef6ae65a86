import type { CommandSpec } from '../../command-spec.ts';

/** `sluice fs cat`. */
export const catCommand: CommandSpec = {
  name: 'cat',
  summary: 'print the content of files',
  arguments: [['<path...>', 'files to print, one after the other']],
  examples: ['sluice fs cat /data/part-0 | wc -l'],
  async run(context, args) {
    const files = await context.files();
    for (const path of args) {
      const reader = await files.open(path, { signal: context.signal });
      for await (const bytes of reader.stream({ signal: context.signal })) await context.out.write(bytes);
    }
    return 0;
  },
};
