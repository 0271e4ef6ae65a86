import type { CancelTimer, Clock, Timers } from '../base/clock.ts';
import type { Readiness } from '../host/status-server.ts';
import { SluiceError } from '../model/errors.ts';
import type { StateReader } from '../model/state-store.ts';
import { memberName } from '../raft/membership.ts';
import type { LogIndex, NodeId } from '../raft/position.ts';
import type { ReplicatedState } from './replicated-state.ts';

export interface ReadinessParts {
  readonly journal: Pick<ReplicatedState, 'quorum' | 'leadership' | 'state' | 'subscribe'> & {
    /** Resolves when this master has everything that was acknowledged before; `named` hears up to where that is. */
    patientBarrier(named: (index: LogIndex) => void): Promise<void>;
  };
  /** What other masters say that will not hear this one. */
  refusals(): ReadonlyMap<NodeId, string>;
  /** What a new cluster mounts at `/`; empty when nothing. */
  readonly rootUfs: string;
  readonly clock: Clock;
  readonly timers: Timers;
}

/** Who gets what the leader had within this time is as close behind it as a standby can be. */
const CURRENT_MS = 1_000;
const RETRY_MS = 200;

/**
 * Whether a master can take part in serving clients, from its start on: not before it knows a leader and has what that
 * one had a moment ago, and not while the namespace is not there. Whoever restarts masters one after the other waits
 * for this: one that is far behind makes no majority with another one.
 */
export class MasterReadiness {
  readonly #parts: ReadinessParts;
  readonly #catchUp: CatchUp;

  constructor(parts: ReadinessParts) {
    this.#parts = parts;
    this.#catchUp = new CatchUp(parts);
  }

  get now(): Readiness {
    const { led, done, progress } = this.#catchUp;
    if (!led) return { ready: false, reason: `No leader is known: a majority must be up${progress}${this.#refused()}` };
    if (!done) return { ready: false, reason: `Catching up with the leader${progress}` };
    const reason = missing(this.#parts.journal.state, this.#parts.rootUfs);
    return reason === undefined ? { ready: true } : { ready: false, reason };
  }

  /** Who refuses this master, and why, as the end of a sentence. */
  #refused(): string {
    return [...this.#parts.refusals()].map(([id, why]) => `; ${memberName(id)} refuses this master: ${why}`).join('');
  }

  close(): void {
    this.#catchUp.close();
  }
}

/**
 * Finds out, each time that a leader becomes known, whether this master keeps up with it: in rounds, each of which
 * takes over what was written during the one before, until one is short (Ongaro's thesis, 4.2.1, has them for new
 * servers).
 */
class CatchUp {
  readonly #parts: ReadinessParts;
  readonly #from: LogIndex;
  readonly #unsubscribe: () => void;
  #leader: string | undefined;
  /** What the leader had when the round began. */
  #goal: LogIndex | undefined;
  #done = false;
  /** Counts leaders; what is heard of an earlier one is worth nothing. */
  #reign = 0;
  #failure = '';
  #cancelRetry: CancelTimer | undefined;

  constructor(parts: ReadinessParts) {
    this.#parts = parts;
    this.#from = parts.journal.quorum().appliedIndex;
    this.#unsubscribe = parts.journal.subscribe({ leadershipChanged: () => this.#look() });
    this.#look();
  }

  /** Whether a leader is known. */
  get led(): boolean {
    return this.#leader !== undefined;
  }

  get done(): boolean {
    return this.#done;
  }

  /** How far it is, as the end of a sentence. */
  get progress(): string {
    if (this.#done) return '';
    const { appliedIndex, commitIndex } = this.#parts.journal.quorum();
    return progressOf(appliedIndex - this.#from, (this.#goal ?? commitIndex) - this.#from) + this.#failure;
  }

  close(): void {
    this.#unsubscribe();
    this.#reign += 1;
    this.#cancelRetry?.();
  }

  #look(): void {
    const { leader } = this.#parts.journal.leadership();
    if (leader === this.#leader) return;
    this.#leader = leader;
    this.#reign += 1;
    this.#done = false;
    this.#goal = undefined;
    this.#failure = '';
    this.#cancelRetry?.();
    if (leader !== undefined) this.#begin(this.#reign);
  }

  #begin(reign: number): void {
    const { journal, clock, timers } = this.#parts;
    const begunMs = clock.monotonicMs();
    const named = (index: LogIndex): void => {
      if (reign === this.#reign) this.#goal = index;
    };
    journal.patientBarrier(named).then(
      () => {
        if (reign !== this.#reign) return;
        this.#failure = '';
        this.#done = clock.monotonicMs() - begunMs <= CURRENT_MS;
        if (!this.#done) this.#begin(reign);
      },
      () => {
        if (reign !== this.#reign) return;
        this.#failure = '; it did not say how far it is';
        this.#cancelRetry = timers.after(RETRY_MS, () => this.#begin(reign));
      },
    );
  }
}

/** What the namespace lacks. */
function missing(state: StateReader, rootUfs: string): string | undefined {
  try {
    if (state.get('cluster', '') === undefined)
      return 'The namespace is not formatted yet, or not known here: the leader sees to it';
    if (rootUfs !== '' && state.get('counters', '')?.nextMountId === 1)
      return `${rootUfs} is not mounted at / yet: the log of the leader says why`;
    return undefined;
  } catch (thrown) {
    // Another state is taking the place of this one.
    return SluiceError.from(thrown).message;
  }
}

function progressOf(applied: number, of: number): string {
  if (of <= 0) return '';
  return `; ${applied} of ${of} entries of the journal applied (${Math.floor((100 * applied) / of)} %)`;
}
