import type { Readiness } from '../host/status-server.ts';
import { SluiceError } from '../model/errors.ts';
import type { StateReader } from '../model/state-store.ts';
import type { LogIndex } from '../raft/position.ts';
import type { ReplicatedState } from './replicated-state.ts';

export interface ReadinessParts extends Pick<ReplicatedState, 'quorum' | 'leadership' | 'state' | 'subscribe'> {
  /** Resolves when this master has everything that was acknowledged before; `named` hears up to where that is. */
  patientBarrier(named: (index: LogIndex) => void): Promise<void>;
}

/**
 * Whether a master can take part in serving clients, asked again and again from its start on: not before it knows a
 * leader and has everything that was acknowledged when it found it, and not while the namespace is not there. Whoever
 * restarts masters one after the other waits for this: one that is far behind makes no majority with another one.
 * @param rootUfs what a new cluster mounts at `/`; empty when nothing
 */
export function readinessOf(journal: ReadinessParts, rootUfs: string): () => Readiness {
  const catchUp = new CatchUp(journal);
  return (): Readiness => {
    const led = catchUp.look();
    if (!led) return { ready: false, reason: `No leader is known: a majority must be up${catchUp.progress}` };
    if (!catchUp.done) return { ready: false, reason: `Catching up with the leader${catchUp.progress}` };
    const reason = missing(journal.state, rootUfs);
    return reason === undefined ? { ready: true } : { ready: false, reason };
  };
}

/** Finds out, each time that a leader becomes known, whether this master has what that one has. */
class CatchUp {
  readonly #journal: ReadinessParts;
  readonly #from: LogIndex;
  /** What the leader had when it was asked. */
  #goal: LogIndex | undefined;
  #done = false;
  #asking = false;
  /** Somebody wanted to know while the leader was being asked. */
  #again = false;
  #failure = '';

  constructor(journal: ReadinessParts) {
    this.#journal = journal;
    this.#from = journal.quorum().appliedIndex;
    journal.subscribe({ leadershipChanged: () => this.look() });
  }

  get done(): boolean {
    return this.#done;
  }

  /** How far it is, as the end of a sentence. */
  get progress(): string {
    if (this.#done) return '';
    const { appliedIndex, commitIndex } = this.#journal.quorum();
    return progressOf(appliedIndex - this.#from, (this.#goal ?? commitIndex) - this.#from) + this.#failure;
  }

  /** Asks the leader, if need be. @returns whether one is known */
  look(): boolean {
    const { leading, leader } = this.#journal.leadership();
    const led = leading || leader !== undefined;
    if (!led) this.#done = false;
    else if (!this.#done) this.#ask();
    return led;
  }

  #ask(): void {
    this.#again = this.#asking;
    if (this.#asking) return;
    this.#asking = true;
    this.#goal = undefined;
    const named = (index: LogIndex): void => {
      this.#goal = index;
    };
    this.#journal.patientBarrier(named).then(
      () => this.#answered(''),
      (thrown: unknown) => this.#answered(`; ${SluiceError.from(thrown).message}`),
    );
  }

  #answered(failure: string): void {
    this.#asking = false;
    this.#failure = failure;
    this.#done = failure === '';
    if (this.#again && !this.#done) this.look();
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
