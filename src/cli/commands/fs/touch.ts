import { systemClock } from '../../../host/system-clock.ts';
import type { CommandSpec } from '../../command-spec.ts';
import { remotePath, statIfExists } from '../../remote-path.ts';

/** `sluice fs touch`. */
export const touchCommand: CommandSpec = {
  name: 'touch',
  summary: 'make empty files, or set the time of existing ones to now',
  arguments: [['<path...>', 'files to touch']],
  async run(context, args) {
    const files = await context.files();
    for (const text of args) {
      const path = remotePath(text);
      const now = systemClock.wallMs();
      const there = await statIfExists(files, path);
      const status = await (there === undefined
        ? files.writeFile(path, '')
        : files.setAttributes(path, { modifiedMs: now, accessedMs: now }));
      if (context.json) await context.out.json(status);
    }
    return 0;
  },
};
