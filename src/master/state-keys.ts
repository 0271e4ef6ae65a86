import { TABLE_NAMES, type TableName } from '../model/state-store.ts';

/** The letter of a table is the first character of its keys in LevelDB, for ever. */
export const TABLE_LETTERS: Readonly<Record<TableName, string>> = {
  inode: 'i',
  place: 'p',
  mount: 'm',
  session: 's',
  reply: 'r',
  worker: 'w',
  trash: 't',
  mountIndex: 'n',
  cluster: 'c',
  counters: 'k',
};

/** All tables in the order of their keys. */
export const TABLES_BY_LETTER: readonly TableName[] = [...TABLE_NAMES].sort((a, b) =>
  TABLE_LETTERS[a] < TABLE_LETTERS[b] ? -1 : 1,
);

/** Key of the applied position. What begins with `!` is each master's own; all other keys are replicated rows. */
export const APPLIED_KEY = '!applied';

/** Key of the reason why this state must not be used any more. */
export const CONDEMNED_KEY = '!condemned';

/** Key of the membership as of that position; absent until a journal entry has changed it. */
export const MEMBERSHIP_KEY = '!membership';

/** Key of the note how far a snapshot has been received; there until it is complete. */
export const RECEIPT_KEY = '!receipt';
