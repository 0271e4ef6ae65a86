import type { NodeId } from './position.ts';

/**
 * Who votes. `outgoing` is not empty only in a joint configuration (Raft §6): then both sets must agree. Learners
 * receive the log and do not vote.
 */
export interface Membership {
  readonly voters: readonly NodeId[];
  readonly outgoing: readonly NodeId[];
  readonly learners: readonly NodeId[];
}

export function membershipOf(voters: readonly NodeId[]): Membership {
  return { voters: [...voters].sort(), outgoing: [], learners: [] };
}
