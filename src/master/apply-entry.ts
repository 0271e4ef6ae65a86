import { must } from '../base/assert.ts';
import { apply } from '../model/apply.ts';
import type { Applied } from '../model/command.ts';
import type { Entry } from '../raft/entry.ts';
import { decodeMembership } from '../raft/membership-codec.ts';
import { decodeJournalEntry } from '../wire/codec/command.ts';
import type { LevelStateStore } from './level-state-store.ts';

/**
 * Applies the entry that follows what `state` has applied. @returns what came of its command; undefined without one.
 * @throws SluiceError CORRUPT, UNSUPPORTED; AssertionError
 */
export function applyEntry(state: LevelStateStore, { kind, index, term, bytes }: Entry): Applied | undefined {
  if (kind === 'config') state.putMembership(must(decodeMembership(bytes), `Entry ${index} holds a membership`));
  const said = kind === 'command' ? decodeJournalEntry(bytes) : undefined;
  const applied = said?.kind === 'command' ? apply(state, said.stamped) : undefined;
  state.finishEntry({ term, index });
  return applied;
}
