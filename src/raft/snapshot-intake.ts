import { acknowledge, echo } from './append.ts';
import type { Message } from './message.ts';
import type { NodeId } from './position.ts';
import { becomeFollower, enterTerm } from './role.ts';
import type { SnapshotMeta } from './snapshot-meta.ts';
import { adoptMembership, emit, halt, type RaftState } from './state.ts';

/** Follower: the leader of this term no longer has the entries that it believes to be missing here. */
export function handleSnapshotOffer(
  state: RaftState,
  from: NodeId,
  message: Extract<Message, { kind: 'snapshotOffer' }>,
): void {
  const { log } = state;
  const { base, readPosition } = message;
  echo(state, from, readPosition);
  if (state.intake !== undefined) return;
  // What is committed is the same everywhere; and who agrees on one position agrees on all before it.
  if (base.index <= log.commit || log.termAt(base.index) === base.term) {
    acknowledge(state, from, base.index, readPosition, false);
    return;
  }
  state.intake = { stage: 'fetching', meta: undefined };
  emit(state, { kind: 'fetchSnapshot', from });
}

/** The snapshot is here. It takes the place of the log as soon as nothing is being written. */
export function handleSnapshotFetched(state: RaftState, meta: SnapshotMeta): void {
  if (state.intake?.stage !== 'fetching' || state.role === 'leader' || meta.position.index <= state.log.commit) {
    if (state.intake?.stage === 'fetching') state.intake = undefined;
    emit(state, { kind: 'discardSnapshot' });
    return;
  }
  if (meta.term > state.ballot.term) enterTerm(state, meta.term);
  else if (state.role !== 'follower') becomeFollower(state, undefined);
  state.intake = { stage: 'waiting', meta };
}

export function handleSnapshotFailed(state: RaftState): void {
  if (state.intake?.stage === 'fetching') state.intake = undefined;
}

/** Begins to install once the old log is wholly on disk, with the ballot. */
export function pursueIntake(state: RaftState): void {
  const { intake, log, writes, ballot } = state;
  if (intake?.stage !== 'waiting' || intake.meta === undefined) return;
  if (writes.inFlight !== undefined || writes.hasPending || ballot.changed) return;
  if (intake.meta.position.index <= log.commit) {
    state.intake = undefined;
    emit(state, { kind: 'discardSnapshot' });
    return;
  }
  intake.stage = 'installing';
  emit(state, { kind: 'installSnapshot', meta: intake.meta, keepLog: continues(state, intake.meta) });
}

/** State machine and log are those of the snapshot now. */
export function handleSnapshotInstalled(state: RaftState, { position }: SnapshotMeta): void {
  const { intake, log, writes, memberships } = state;
  const meta = intake?.meta;
  if (intake?.stage !== 'installing' || meta === undefined || meta.position.index !== position.index) {
    halt(state, `A snapshot of ${position.index} was installed, which was not asked for`);
    return;
  }
  if (!continues(state, meta)) {
    writes.restart(position.index);
    memberships.reset(meta.membership, position.index);
  }
  log.restore(position);
  state.intake = undefined;
  adoptMembership(state);
  if (state.role === 'follower' && state.leader !== undefined) {
    acknowledge(state, state.leader, position.index, 0, false);
  }
}

function continues({ log }: RaftState, { position }: SnapshotMeta): boolean {
  return log.termAt(position.index) === position.term;
}
