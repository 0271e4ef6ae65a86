import type { DropReason } from './effect.ts';
import type { Entry } from './entry.ts';
import { ENTRY_OVERHEAD_BYTES } from './entry.ts';
import type { Proposal } from './event.ts';
import type { Term } from './position.ts';
import { emit, extendLog, type RaftState } from './state.ts';

/** Puts proposals into the log of the leader, as many as the limits admit, and tells each one's fate. */
export function handlePropose(state: RaftState, proposals: readonly Proposal[], expectedTerm: Term | undefined): void {
  const { ballot, log, options } = state;
  const { term } = ballot;
  const refusal = refusalOf(state, expectedTerm);
  const entries: Entry[] = [];
  let room = options.maxPendingProposals - (log.last.index - log.commit);
  let bytesHeld = log.sizes.bytesAfter(log.commit);
  for (const proposal of proposals) {
    const bytes = proposal.bytes.length + ENTRY_OVERHEAD_BYTES;
    // A single entry larger than the limit is still admitted when nothing else waits.
    const full = room <= 0 || (bytesHeld > 0 && bytesHeld + bytes > options.maxPendingBytes);
    const reason = refusal ?? (full ? 'overloaded' : undefined);
    if (reason !== undefined) {
      emit(state, { kind: 'settle', proposal: proposal.id, fate: 'dropped', reason, leader: state.leader });
      continue;
    }
    const index = log.last.index + entries.length + 1;
    entries.push({ term, index, kind: 'command', bytes: proposal.bytes });
    emit(state, { kind: 'settle', proposal: proposal.id, fate: 'accepted', at: { term, index } });
    room -= 1;
    bytesHeld += bytes;
  }
  if (entries.length > 0) extendLog(state, entries);
}

function refusalOf(state: RaftState, expectedTerm: Term | undefined): DropReason | undefined {
  if (state.role !== 'leader') return 'notLeader';
  if (expectedTerm !== undefined && expectedTerm !== state.ballot.term) return 'notLeader';
  return state.transfer === undefined ? undefined : 'transferring';
}
