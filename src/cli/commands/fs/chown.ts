import { SluiceError } from '../../../model/errors.ts';
import { changeAttributes } from '../../attributes.ts';
import type { CommandSpec } from '../../command-spec.ts';

/** `sluice fs chown`. */
export const chownCommand: CommandSpec<{ readonly recursive?: boolean }> = {
  name: 'chown',
  summary: 'change owner and group',
  arguments: [
    ['<owner>', 'owner, owner:group or :group'],
    ['<path...>', 'what to change'],
  ],
  options: [['-R, --recursive', 'with everything below']],
  async run(context, [who = '', ...paths], { recursive = false }) {
    const match = /^([^:]*)(?::([^:]+))?$/.exec(who);
    const [, owner = '', group = ''] = match ?? [];
    if (owner === '' && group === '')
      throw new SluiceError('INVALID_ARGUMENT', `${JSON.stringify(who)} must be owner, owner:group or :group`);
    const changes = { ...(owner === '' ? {} : { owner }), ...(group === '' ? {} : { group }) };
    await changeAttributes(context, paths, recursive, () => changes);
    return 0;
  },
};
