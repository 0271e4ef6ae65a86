import type { CommandSpec } from '../../command-spec.ts';
import { remoteName, remotePath, targetPath } from '../../remote-path.ts';

/** `sluice fs mv`. */
export const mvCommand: CommandSpec<{ readonly force?: boolean }> = {
  name: 'mv',
  summary: 'rename a file or directory',
  arguments: [
    ['<source>', 'what to rename'],
    ['<target>', 'its new path, or a directory to move it into'],
  ],
  options: [['-f, --force', 'replace a file, or an empty directory, at the target']],
  async run(context, [source = '', target = ''], { force = false }) {
    const files = await context.files();
    const to = await targetPath(files, remoteName(source), target);
    await files.rename(remotePath(source), to, { overwrite: force });
    if (context.json) await context.out.json({ source: remotePath(source), target: to });
    return 0;
  },
};
