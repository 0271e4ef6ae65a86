import type { ReadToken } from './event.ts';
import { holdsLease } from './lease-reads.ts';
import type { Message } from './message.ts';
import type { LogIndex, NodeId } from './position.ts';
import { quorumValue } from './quorum.ts';
import { mayServeReads } from './read-gate.ts';
import type { LeaderRead } from './read-rounds.ts';
import { emit, type RaftState, send } from './state.ts';

/** A reader here asks for a linearizable position. */
export function handleRead(state: RaftState, token: ReadToken): void {
  if (state.role === 'leader') serveOrAdd(state, { from: undefined, token, since: state.now });
  else if (state.leader === undefined || !state.forwarded.add(token)) readFailed(state, token);
}

/** A follower asks on behalf of its readers. */
export function handleReadIndex(
  state: RaftState,
  from: NodeId,
  message: Extract<Message, { kind: 'readIndex' }>,
): void {
  const read = { from, token: message.token, since: state.now };
  if (state.role === 'leader') serveOrAdd(state, read);
  else answerRead(state, read, undefined);
}

export function handleReadIndexReply(state: RaftState, message: Extract<Message, { kind: 'readIndexReply' }>): void {
  for (const token of state.forwarded.answered(message.token)) {
    if (message.ok) emit(state, { kind: 'readReady', token, index: message.index });
    else readFailed(state, token);
  }
}

/** Begins what can begin: in the leader a round, in a follower a question to the leader. */
export function beginReads(state: RaftState): void {
  if (state.role !== 'leader') {
    if (state.leader === undefined) return;
    const token = state.forwarded.ask(state.now);
    if (token !== undefined) send(state, state.leader, { kind: 'readIndex', term: state.ballot.term, token });
    return;
  }
  if (!mayServeReads(state.log, state.ballot.term)) return;
  while (state.reads.begin(state.log.commit, state.now)) {
    state.lease.sent(state.reads.position, state.timeMs);
    for (const progress of state.peers.values()) progress.readDue = true;
    confirmReads(state);
  }
}

/** Releases the round that a quorum has confirmed. */
export function confirmReads(state: RaftState): void {
  const { reads, membership, options } = state;
  if (reads.round === undefined) return;
  const confirmed = quorumValue(membership, (voter) =>
    voter === options.id ? reads.position : (state.peers.get(voter)?.readPosition ?? 0),
  );
  const round = reads.finish(confirmed);
  for (const read of round?.reads ?? []) answerRead(state, read, round?.index);
}

/** Fails reads that waited for more than an election timeout. */
export function expireReads(state: RaftState): void {
  const before = state.now - state.options.electionTicks;
  if (state.role === 'leader') for (const read of state.reads.expire(before)) answerRead(state, read, undefined);
  for (const token of state.forwarded.expire(before)) readFailed(state, token);
}

/** Answers a read with an index, or, without one, tells that it failed. */
export function answerRead(state: RaftState, read: LeaderRead, index: LogIndex | undefined): void {
  const { from, token } = read;
  if (from !== undefined) {
    const term = state.ballot.term;
    send(state, from, { kind: 'readIndexReply', term, token, index: index ?? 0, ok: index !== undefined });
  } else if (index === undefined) readFailed(state, token);
  else emit(state, { kind: 'readReady', token, index });
}

/** The leader that was asked is not the leader any more, or cannot be reached. */
export function failForwardedReads(state: RaftState): void {
  for (const token of state.forwarded.clear()) readFailed(state, token);
}

function serveOrAdd(state: RaftState, read: LeaderRead): void {
  if (holdsLease(state)) {
    state.leaseReads += 1;
    answerRead(state, read, state.log.commit);
  } else if (!state.reads.add(read)) answerRead(state, read, undefined);
}

function readFailed(state: RaftState, token: ReadToken): void {
  emit(state, { kind: 'readFailed', token, leader: state.leader });
}
