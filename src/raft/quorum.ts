import type { NodeId } from './position.ts';

/** The part of a membership that counts. */
interface Voters {
  readonly voters: readonly NodeId[];
  /** The other half of a joint configuration, or nobody. */
  readonly outgoing: readonly NodeId[];
}

/** How many of `size` voters are a majority. */
export function majorityOf(size: number): number {
  return Math.floor(size / 2) + 1;
}

/**
 * The largest value that a quorum has reached, where `reached` grows monotonically per voter: an index that is held, a
 * read position that is confirmed, a tick at which a voter was heard. In a joint membership both halves must agree.
 */
export function quorumValue(membership: Voters, reached: (voter: NodeId) => number): number {
  const incoming = majorityValue(membership.voters, reached);
  return membership.outgoing.length === 0 ? incoming : Math.min(incoming, majorityValue(membership.outgoing, reached));
}

function majorityValue(voters: readonly NodeId[], reached: (voter: NodeId) => number): number {
  const values = voters.map(reached).sort((a, b) => b - a);
  return values[majorityOf(voters.length) - 1] ?? 0;
}

export type VoteOutcome = 'won' | 'lost' | 'pending';

/** Counts votes; `voteOf` is undefined for who has not answered. */
export function voteOutcome(membership: Voters, voteOf: (voter: NodeId) => boolean | undefined): VoteOutcome {
  const incoming = majorityVote(membership.voters, voteOf);
  if (membership.outgoing.length === 0) return incoming;
  const outgoing = majorityVote(membership.outgoing, voteOf);
  if (incoming === 'lost' || outgoing === 'lost') return 'lost';
  return incoming === 'won' && outgoing === 'won' ? 'won' : 'pending';
}

function majorityVote(voters: readonly NodeId[], voteOf: (voter: NodeId) => boolean | undefined): VoteOutcome {
  let granted = 0;
  let refused = 0;
  for (const voter of voters) {
    const vote = voteOf(voter);
    if (vote === true) granted += 1;
    else if (vote === false) refused += 1;
  }
  const needed = majorityOf(voters.length);
  if (granted >= needed) return 'won';
  return voters.length - refused < needed ? 'lost' : 'pending';
}
