import { systemClock } from '../../../host/system-clock.ts';
import type { CommandSpec } from '../../command-spec.ts';
import { remotePath, statIfExists } from '../../remote-path.ts';
import { WRITE_TYPE_OPTION, writeTypeOf } from '../../write-type.ts';

/** `sluice fs touch`. */
export const touchCommand: CommandSpec<{ readonly writeType?: string }> = {
  name: 'touch',
  summary: 'make empty files, or set the time of existing ones to now',
  arguments: [['<path...>', 'files to touch']],
  options: [WRITE_TYPE_OPTION],
  async run(context, args, options) {
    const writeType = writeTypeOf(options.writeType);
    const files = await context.files();
    for (const text of args) {
      const path = remotePath(text);
      const now = systemClock.wallMs();
      const there = await statIfExists(files, path);
      const status = await (there === undefined
        ? files.writeFile(path, '', writeType === undefined ? {} : { writeType })
        : files.setAttributes(path, { modifiedMs: now, accessedMs: now }));
      if (context.json) await context.out.json(status);
    }
    return 0;
  },
};
