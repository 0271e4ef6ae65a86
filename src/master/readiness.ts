import type { Readiness } from '../host/status-server.ts';
import { SluiceError } from '../model/errors.ts';
import type { StateReader } from '../model/state-store.ts';
import type { ReplicatedState } from './replicated-state.ts';

/**
 * Whether a master can take part in serving clients, asked again and again from its start on: not before it knows a
 * leader and has once applied everything that it knows to be committed, and not while the namespace is not there.
 * @param rootUfs what a new cluster mounts at `/`; empty when nothing
 */
export function readinessOf(journal: Pick<ReplicatedState, 'quorum' | 'leadership' | 'state'>, rootUfs: string) {
  const from = journal.quorum().appliedIndex;
  let replayed = false;
  return (): Readiness => {
    const { appliedIndex, commitIndex } = journal.quorum();
    const { leading, leader } = journal.leadership();
    const led = leading || leader !== undefined;
    replayed ||= led && appliedIndex >= commitIndex;
    const progress = replayed ? '' : progressOf(appliedIndex - from, commitIndex - from);
    if (!led) return { ready: false, reason: `No leader is known: a majority must be up${progress}` };
    if (!replayed) return { ready: false, reason: `Replaying the journal${progress}` };
    const reason = missing(journal.state, rootUfs);
    return reason === undefined ? { ready: true } : { ready: false, reason };
  };
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
