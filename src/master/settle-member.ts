import type { DataFolder } from '../host/data-folder.ts';
import { AwaitedBirth, type BirthParts } from './await-birth.ts';
import { type BornBinding, writeBinding } from './folder-binding.ts';
import { claimFolder } from './member-folder.ts';

export interface SettleParts extends Omit<BirthParts, 'binding'> {
  readonly folder: DataFolder;
  /** Gives up waiting. */
  readonly signal: AbortSignal;
  /** The folder is empty: from now on this says hello. */
  begins(birth: AwaitedBirth): void;
}

/**
 * Which member of which cluster this master is. With an empty folder it says hello to the others, until that is known;
 * then the folder is bound to it.
 * @throws SluiceError as `claimFolder`; CANCELLED
 */
export async function settleMember(parts: SettleParts): Promise<BornBinding> {
  const { folder, place, signal } = parts;
  const bound = await claimFolder(folder, place);
  if (bound.state !== 'unborn') return bound;
  const birth = new AwaitedBirth({ ...parts, binding: bound });
  const giveUp = () => birth.giveUp();
  signal.addEventListener('abort', giveUp);
  if (signal.aborted) giveUp();
  parts.begins(birth);
  try {
    const born = await birth.settled;
    await writeBinding(folder, born);
    return born;
  } finally {
    signal.removeEventListener('abort', giveUp);
  }
}
