import { readdir } from 'node:fs/promises';
import { SluiceError } from '../model/errors.ts';

/** What keeps the journal's entries: a LevelDB, or segment files of our own. */
export const JOURNAL_STORES = ['level', 'segments'] as const;
export type JournalStoreKind = (typeof JOURNAL_STORES)[number];

/** Names of the files in the folder of a journal; none when there is no folder. */
export async function journalFiles(folder: string): Promise<readonly string[]> {
  return readdir(folder).catch((thrown: NodeJS.ErrnoException) => {
    if (thrown.code === 'ENOENT') return [];
    throw SluiceError.from(thrown, 'PERMISSION_DENIED', `Journal ${folder} cannot be read`);
  });
}

/** The store that files of these names were made by; undefined when there is none yet. */
export function storeKindOf(names: readonly string[]): JournalStoreKind | undefined {
  // LevelDB makes CURRENT last: its manifest may be all that a crash left.
  if (names.some((name) => name === 'CURRENT' || name.startsWith('MANIFEST-'))) return 'level';
  return names.some((name) => name.startsWith('meta-') || name.endsWith('.segment')) ? 'segments' : undefined;
}

/** @throws SluiceError INVALID_ARGUMENT when another store made the journal in `folder`, which has these files */
export function checkStoreKind(folder: string, names: readonly string[], wanted: JournalStoreKind): void {
  const found = storeKindOf(names);
  if (found === undefined || found === wanted) return;
  throw new SluiceError(
    'INVALID_ARGUMENT',
    `Journal ${folder} was made with master.journal.store ${found}, not ${wanted}: set it to ${found} again. ` +
      'A journal is not converted: to change the store, remove this master with sluice admin quorum remove, and ' +
      'start it with an empty data folder to be taken in with sluice admin quorum add',
  );
}
