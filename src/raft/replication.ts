import { mayCommit } from './commit-rule.ts';
import type { Message } from './message.ts';
import type { NodeId } from './position.ts';
import type { Progress } from './progress.ts';
import { quorumValue } from './quorum.ts';
import { confirmReads } from './reads.ts';
import { type RaftState, send } from './state.ts';

/** What every answer of a follower tells. */
interface Answer {
  readonly readPosition: number;
  readonly promiseMs?: number;
}

/** Leader: the peer holds the log durably up to `match`. */
export function handleAppendReply(
  state: RaftState,
  from: NodeId,
  message: Extract<Message, { kind: 'appendReply' }>,
): void {
  const progress = heard(state, from, message);
  if (progress === undefined || message.match > state.log.last.index) return;
  progress.acknowledge(message.match, state.now);
  advanceCommit(state);
}

/** Leader: the logs differ at `rejected`, or the peer's ends before it. */
export function handleAppendReject(
  state: RaftState,
  from: NodeId,
  message: Extract<Message, { kind: 'appendReject' }>,
): void {
  const progress = heard(state, from, message);
  if (progress === undefined || progress.state === 'snapshot') return;
  const { rejected, hint } = message;
  // Late answers: to a frame behind what is known to match, or to another probe than the one that is out.
  if (rejected <= progress.match) return;
  if (progress.state === 'probe' ? rejected !== progress.next - 1 : rejected >= progress.next) return;
  const canMatch = state.log.lastAtMost(hint.index, hint.term).index;
  progress.probe(Math.min(canMatch, hint.index, rejected - 1) + 1);
}

/** Leader: the peer is alive; something that was sent to it may have been lost. */
export function handleHeartbeatReply(
  state: RaftState,
  from: NodeId,
  message: Extract<Message, { kind: 'heartbeatReply' }>,
): void {
  const progress = heard(state, from, message);
  if (progress === undefined) return;
  if (state.now - progress.lastProgress < state.options.heartbeatTicks) return;
  progress.lastProgress = state.now;
  if (progress.state === 'probe') progress.waiting = false;
  else if (progress.state === 'replicate' && progress.match < progress.next - 1) progress.askDue = true;
}

/** Leader: the connection to the peer broke, and what was in it may be lost. */
export function losePeer(progress: Progress): void {
  if (progress.state === 'replicate') progress.probe(progress.match + 1);
  progress.waiting = true;
}

/** Leader: there is a new connection to the peer. */
export function regainPeer(progress: Progress): void {
  progress.waiting = false;
}

/** Commits what a quorum holds durably, this node included only as far as its own disk is. */
export function advanceCommit(state: RaftState): void {
  const { log, membership, options } = state;
  const held = quorumValue(membership, (voter) =>
    voter === options.id ? log.durable : (state.peers.get(voter)?.match ?? 0),
  );
  if (held > log.commit && mayCommit(log, held, state.ballot.term)) log.commitTo(held);
}

/**
 * Sends to every peer what it lacks, as far as its window admits; at the end of a step, so that a step is one frame.
 */
export function replicate(state: RaftState): void {
  for (const [peer, progress] of state.peers) {
    sendEntries(state, peer, progress);
    if (progress.askDue) sendAppend(state, peer, progress, progress.next - 1);
    // The last acknowledgement is in and nothing more is to send: tell the commit index without waiting for a
    // heartbeat.
    const idle = progress.state === 'replicate' && progress.window.frames === 0;
    const untold = idle && Math.min(progress.match, state.log.commit) > progress.commitTold;
    if (progress.heartbeatDue || progress.readDue || untold) sendSign(state, peer, progress);
  }
}

function sendEntries(state: RaftState, peer: NodeId, progress: Progress): void {
  const { log, options } = state;
  if (progress.state === 'snapshot') return;
  if (progress.next - 1 < log.base.index) {
    progress.awaitSnapshot();
    return;
  }
  // Of old entries the sizes are not known, so nor is where the driver will cut: one at a time then.
  const sized = (): boolean => progress.next >= log.sizes.first;
  if (progress.state === 'replicate' && !sized() && progress.next <= log.last.index) {
    if (progress.window.frames > 0) return;
    progress.probe(progress.next);
  }
  if (progress.state === 'probe') {
    if (progress.waiting) return;
    progress.waiting = true;
    const last = sized() ? log.sizes.fit(progress.next, options.maxFrameBytes) : log.sizes.first - 1;
    sendAppend(state, peer, progress, Math.min(last, log.last.index));
    return;
  }
  while (progress.next <= log.last.index) {
    const last = log.sizes.fit(progress.next, options.maxFrameBytes);
    const bytes = log.sizes.bytesOf(progress.next, last);
    if (!progress.window.admits(bytes)) return;
    sendAppend(state, peer, progress, last);
    progress.sent(last, bytes);
  }
}

/** Sends entries `next … last`; with `last = next - 1` the question whether the logs agree there. */
function sendAppend(state: RaftState, peer: NodeId, progress: Progress, last: number): void {
  const { log, ballot, reads } = state;
  const index = progress.next - 1;
  const term = log.termAt(index) ?? 0;
  if (progress.window.frames === 0) progress.lastProgress = state.now;
  progress.askDue = false;
  progress.readDue = false;
  progress.commitTold = Math.max(progress.commitTold, Math.min(log.commit, last));
  send(state, peer, {
    kind: 'append',
    term: ballot.term,
    previous: { term, index },
    last,
    entries: [],
    commit: log.commit,
    readPosition: reads.position,
  });
}

/** A sign of life: a heartbeat, or, to who cannot be helped with entries, the offer of a snapshot. */
function sendSign(state: RaftState, peer: NodeId, progress: Progress): void {
  const { log, ballot, reads } = state;
  const { term } = ballot;
  const readPosition = reads.position;
  progress.heartbeatDue = false;
  progress.readDue = false;
  if (progress.state === 'snapshot') {
    send(state, peer, { kind: 'snapshotOffer', term, base: log.base, readPosition });
    return;
  }
  const commit = Math.min(progress.match, log.commit);
  progress.commitTold = Math.max(progress.commitTold, commit);
  send(state, peer, { kind: 'heartbeat', term, commit, readPosition });
}

/** Notes a sign of life; undefined when this node does not lead or does not know the sender. */
function heard(state: RaftState, from: NodeId, { readPosition, promiseMs = 0 }: Answer): Progress | undefined {
  const progress = state.peers.get(from);
  if (progress === undefined) return undefined;
  progress.lastHeard = state.now;
  if (readPosition > progress.readPosition) {
    progress.readPosition = readPosition;
    prolongPromise(state, progress, Math.min(promiseMs, state.options.leaseMs));
    confirmReads(state);
  }
  return progress;
}

/** The peer heard this leader when the newest position that it echoed was sent, or later, and is bound from then on. */
function prolongPromise({ lease }: RaftState, progress: Progress, promiseMs: number): void {
  const sentMs = promiseMs > 0 ? lease.sentMs(progress.readPosition) : undefined;
  if (sentMs !== undefined) progress.promisedUntilMs = Math.max(progress.promisedUntilMs, sentMs + promiseMs);
}
