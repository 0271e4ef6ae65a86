import type { Command, Notice, Outcome } from '../model/command.ts';
import type { RequestId } from '../model/operations.ts';
import type { Caller } from '../model/principal.ts';
import type { QuorumInfo } from '../model/report.ts';
import type { StateReader, StateScanner } from '../model/state-store.ts';

/** Who leads, as this master knows it. */
export interface Leadership {
  /** This master leads, and has applied everything that was committed before its term: it may serve. */
  readonly leading: boolean;
  readonly term: number;
  /** Member that leads; undefined when unknown. */
  readonly leader: string | undefined;
}

export interface StateListener {
  /** Called in the order of the journal, right after an entry was applied, on every master. Must not throw or block. */
  applied?(index: number, notices: readonly Notice[]): void;
  leadershipChanged?(leadership: Leadership): void;
  /**
   * Another master's state took the place of this one's, as of `index`; the entries up to it are not told one by one.
   * Whatever was derived from the state is to be looked up anew. Must not throw or block.
   */
  stateReplaced?(index: number): void;
}

/** The journal and the state it leads to, as the services of a master see them. */
export interface ReplicatedState {
  /** This master's applied state. Reads after `barrier` are linearizable, on every master. */
  readonly state: StateReader & StateScanner;
  /**
   * Replicates a command and applies it. Resolves with its outcome (a refusal is an outcome) once committed and
   * applied here.
   * @throws SluiceError NOT_LEADER (never entered the journal), UNAVAILABLE with details `fate: 'unknown'`
   * (leadership was lost: it may still
   * take effect), EXHAUSTED (queue full).
   */
  propose(command: Command, by: { readonly principal: Caller; readonly requestId?: RequestId }): Promise<Outcome>;
  /**
   * Resolves when `state` has everything that was acknowledged before the call (ReadIndex). @throws NOT_LEADER,
   * UNAVAILABLE
   */
  barrier(): Promise<void>;
  leadership(): Leadership;
  quorum(): QuorumInfo;
  /**
   * Hands leadership to the master `to`, or to the most advanced one; see `transferLeadership`.
   * @returns who leads then. @throws SluiceError NOT_LEADER, INVALID_ARGUMENT, UNAVAILABLE, TIMED_OUT
   */
  transferLeadership(to: string | undefined): Promise<string>;
  /** @returns a function that ends the subscription. */
  subscribe(listener: StateListener): () => void;
}
