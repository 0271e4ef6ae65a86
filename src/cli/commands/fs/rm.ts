import type { CommandSpec } from '../../command-spec.ts';
import { remotePath, statIfExists } from '../../remote-path.ts';

interface RmOptions {
  readonly recursive?: boolean;
  readonly force?: boolean;
  readonly keepUfs?: boolean;
}

/** `sluice fs rm`. */
export const rmCommand: CommandSpec<RmOptions> = {
  name: 'rm',
  summary: 'delete files and directories',
  arguments: [['<path...>', 'what to delete']],
  options: [
    ['-r, --recursive', 'directories with all that is below them'],
    ['-f, --force', 'what does not exist is no error'],
    ['--keep-ufs', 'forget it here but leave it in the UFS'],
  ],
  examples: ['sluice fs rm -r /tmp/run-17'],
  async run(context, args, { recursive = false, force = false, keepUfs = false }) {
    const files = await context.files();
    for (const text of args) {
      const path = remotePath(text);
      if (force && (await statIfExists(files, path)) === undefined) continue;
      await files.delete(path, { recursive, keepUfs });
      if (context.json) await context.out.json({ path });
    }
    return 0;
  },
};
