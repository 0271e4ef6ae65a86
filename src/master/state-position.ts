import { SluiceError } from '../model/errors.ts';
import type { StoredLog } from '../raft/log-store.ts';
import type { Position } from '../raft/position.ts';
import { WAY_OUT } from './level-log-scan.ts';

/**
 * Whether a journal and a state belong together: what was applied is a committed entry, so the journal has it, or
 * begins right behind it, and with the same term.
 * @param folder data folder of the master, for the message.
 * @throws SluiceError CORRUPT
 */
export function checkStatePosition(
  folder: string,
  applied: Position,
  { base, last, runs }: Pick<StoredLog, 'base' | 'last' | 'runs'>,
): void {
  const { index, term } = applied;
  if (index > last.index || index < base.index)
    throw new SluiceError(
      'CORRUPT',
      `The journal in ${folder} has entries ${base.index + 1} to ${last.index}, its state is at ${index}: ${WAY_OUT}`,
    );
  const known = index === base.index ? base.term : runs.findLast(({ first }) => first <= index)?.term;
  if (known !== term)
    throw new SluiceError(
      'CORRUPT',
      `The journal in ${folder} has entry ${index} of term ${known}, its state has one of term ${term}: ${WAY_OUT}`,
    );
}
