import type { CommandSpec } from '../../command-spec.ts';
import { remotePath } from '../../remote-path.ts';

/** `sluice fs unmount`. */
export const unmountCommand: CommandSpec = {
  name: 'unmount',
  summary: 'detach a UFS; nothing is deleted there',
  arguments: [['<path>', 'mount point']],
  async run(context, [path = '']) {
    await (await context.files()).unmount(remotePath(path));
    if (context.json) await context.out.json({ path: remotePath(path) });
    return 0;
  },
};
