import { changeAttributes } from '../../attributes.ts';
import type { CommandSpec } from '../../command-spec.ts';
import { parseMode } from '../../file-mode.ts';

/** `sluice fs chmod`. */
export const chmodCommand: CommandSpec<{ readonly recursive?: boolean }> = {
  name: 'chmod',
  summary: 'change permissions',
  arguments: [
    ['<mode>', 'octal such as 644, or changes such as u+x,go-w'],
    ['<path...>', 'what to change'],
  ],
  options: [['-R, --recursive', 'with everything below']],
  async run(context, [mode = '', ...paths], { recursive = false }) {
    const change = parseMode(mode);
    await changeAttributes(context, paths, recursive, (status) => ({ mode: change(status) }));
    return 0;
  },
};
