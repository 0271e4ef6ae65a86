import type { LogIndex, NodeId, Term } from './position.ts';
import type { RaftState } from './state.ts';

/** What must hold after each step, and between one step and the next; cheap enough to be checked always. */
export class Invariants {
  #term: Term;
  #votedFor: NodeId | undefined;
  #commit: LogIndex;
  #issued: LogIndex;
  /** The end of the log of a leader, which only grows while it leads. */
  #ledTo: LogIndex | undefined;

  constructor(state: RaftState) {
    this.#term = state.ballot.term;
    this.#votedFor = state.ballot.votedFor;
    this.#commit = state.log.commit;
    this.#issued = state.log.issued;
  }

  /** The first broken promise, or undefined. */
  firstBroken(state: RaftState): string | undefined {
    return this.#brokenHistory(state) ?? brokenOrder(state) ?? brokenPeers(state);
  }

  #brokenHistory({ ballot, log, role }: RaftState): string | undefined {
    if (ballot.term < this.#term) return `Term fell from ${this.#term} to ${ballot.term}`;
    const sameTerm = ballot.term === this.#term;
    if (sameTerm && this.#votedFor !== undefined && ballot.votedFor !== this.#votedFor) {
      return `Vote of term ${ballot.term} changed from ${this.#votedFor} to ${ballot.votedFor}`;
    }
    if (log.commit < this.#commit) return `Commit index fell from ${this.#commit} to ${log.commit}`;
    if (log.issued < this.#issued) return `Applied range fell from ${this.#issued} to ${log.issued}`;
    if (role === 'leader' && sameTerm && this.#ledTo !== undefined && log.last.index < this.#ledTo) {
      return `Leader's log shrank from ${this.#ledTo} to ${log.last.index}`;
    }
    this.#term = ballot.term;
    this.#votedFor = ballot.votedFor;
    this.#commit = log.commit;
    this.#issued = log.issued;
    this.#ledTo = role === 'leader' ? log.last.index : undefined;
    return undefined;
  }
}

function brokenOrder({ ballot, log, role, leader, options, intake }: RaftState): string | undefined {
  if (log.base.index > log.applied) return `The log begins at ${log.base.index}, behind the applied ${log.applied}`;
  if (log.commit > log.last.index) return `Commit index ${log.commit} is beyond the log (${log.last.index})`;
  if (log.durable > log.last.index) return `Durable index ${log.durable} is beyond the log (${log.last.index})`;
  if (log.issued > Math.min(log.commit, log.durable)) return `Index ${log.issued} was applied too early`;
  if (log.applied > log.issued) return `Applied index ${log.applied} was never handed out`;
  if (ballot.term < log.last.term) return `Term ${ballot.term} is behind the log's (${log.last.term})`;
  if ((role === 'leader') !== (leader === options.id)) return `Role ${role} does not fit leader ${leader}`;
  if (role !== 'follower' && intake?.stage === 'installing') return `A ${role} installs a snapshot`;
  if (role === 'candidate' && ballot.votedFor !== options.id) return `Candidate voted for ${ballot.votedFor}`;
  return undefined;
}

function brokenPeers({ peers, log, options }: RaftState): string | undefined {
  for (const [peer, { match, next, window }] of peers) {
    if (match >= next) return `Next index ${next} of ${peer} is not above its match ${match}`;
    if (match > log.last.index || next > log.last.index + 1)
      return `Progress of ${peer} (${match}, ${next}) is beyond the log`;
    if (window.frames > options.maxInFlightFrames) return `${window.frames} frames are in flight to ${peer}`;
  }
  return undefined;
}
