import { assert } from '../base/assert.ts';
import type { Ballot } from './effect.ts';
import type { NodeId, Term } from './position.ts';

/** The only writer of term and vote. A term never falls; a vote, once given, stands for the rest of its term. */
export class BallotBox {
  #ballot: Ballot;
  #changed = false;

  constructor(stored: Ballot) {
    this.#ballot = stored;
  }

  get term(): Term {
    return this.#ballot.term;
  }

  get votedFor(): NodeId | undefined {
    return this.#ballot.votedFor;
  }

  /** Whether term or vote changed since the last `take`. */
  get changed(): boolean {
    return this.#changed;
  }

  /** Enters a later term, with the vote still free. */
  adopt(term: Term): void {
    assert(term > this.#ballot.term, `Term would fall from ${this.#ballot.term} to ${term}`);
    this.#ballot = { term, votedFor: undefined };
    this.#changed = true;
  }

  /** Whether the vote of this term is free or already the candidate's. */
  mayGrant(candidate: NodeId): boolean {
    return this.#ballot.votedFor === undefined || this.#ballot.votedFor === candidate;
  }

  grant(candidate: NodeId): void {
    assert(
      this.mayGrant(candidate),
      `Second vote in term ${this.#ballot.term}: ${this.#ballot.votedFor}, ${candidate}`,
    );
    if (this.#ballot.votedFor === candidate) return;
    this.#ballot = { term: this.#ballot.term, votedFor: candidate };
    this.#changed = true;
  }

  /** What the next write must contain, or undefined when it is stored or on its way already. */
  take(): Ballot | undefined {
    if (!this.#changed) return undefined;
    this.#changed = false;
    return this.#ballot;
  }
}
