import type { Command } from '../model/command.ts';
import type { RequestId } from '../model/operations.ts';
import type { Caller } from '../model/principal.ts';
import { encodeJournalEntry } from '../wire/codec/command.ts';

/** A command as an entry of the journal: with who asked for it and when. */
export function stampedCommand(
  command: Command,
  by: { readonly principal: Caller; readonly requestId?: RequestId },
  atMs: number,
): Uint8Array {
  const { user, groups, superuser } = by.principal;
  const { requestId } = by;
  const stamped = {
    atMs,
    principal: { user, groups, superuser },
    ...(requestId === undefined ? {} : { requestId }),
    command,
  };
  return encodeJournalEntry({ kind: 'command', stamped });
}
