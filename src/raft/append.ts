import { alreadyHeld } from './conflict.ts';
import type { Entry } from './entry.ts';
import type { RaftLog } from './log.ts';
import { decodeMembership } from './membership-codec.ts';
import type { Message } from './message.ts';
import type { LogIndex, NodeId, Position } from './position.ts';
import { emit, extendLog, halt, isInstalling, promise, type RaftState, send } from './state.ts';

type Append = Extract<Message, { kind: 'append' }>;

/** Follower: the leader of this term sent entries. */
export function handleAppend(state: RaftState, from: NodeId, message: Append): void {
  const { log, ballot } = state;
  if (!isWellFormed(message)) return;
  if (isInstalling(state)) {
    echo(state, from, message.readPosition);
    return;
  }
  const { previous, entries, readPosition } = message;
  // What is committed here is the same everywhere, also where the log no longer begins.
  const fits = previous.index <= log.commit || log.termAt(previous.index) === previous.term;
  if (!fits) {
    const hint = log.lastAtMost(previous.index, previous.term);
    const rejected = previous.index;
    send(state, from, { kind: 'appendReject', term: ballot.term, rejected, hint, readPosition, ...promise(state) });
    return;
  }
  const fresh = entries.slice(alreadyHeld(log, entries));
  const wrong = contradiction(log, previous, fresh);
  if (wrong !== undefined) {
    halt(state, `Leader ${from} ${wrong}`);
    return;
  }
  const first = fresh[0];
  if (first !== undefined) extendLog(state, fresh, first.index <= log.last.index ? first.index : undefined);
  log.commitTo(Math.min(message.commit, message.last));
  acknowledge(state, from, message.last, readPosition, entries.length === 0);
}

/** What no leader of this term can send to who holds this log. */
function contradiction(log: RaftLog, previous: Position, fresh: readonly Entry[]): string | undefined {
  const { commit } = log;
  const known = log.termAt(previous.index);
  if (previous.index <= commit && known !== undefined && known !== previous.term)
    return `has another entry at ${previous.index}, which is committed (up to ${commit})`;
  const first = fresh[0];
  if (first === undefined) return undefined;
  if (first.index <= commit) return `would replace entry ${first.index}, which is committed (up to ${commit})`;
  const before = log.termAt(first.index - 1) ?? 0;
  if (first.term < before) return `would put entry ${first.index} of term ${first.term} behind one of term ${before}`;
  const unreadable = fresh.find(({ kind, bytes }) => kind === 'config' && decodeMembership(bytes) === undefined);
  return unreadable && `changes the membership in entry ${unreadable.index}, which cannot be read`;
}

/** Follower: the leader of this term is alive. */
export function handleHeartbeat(
  state: RaftState,
  from: NodeId,
  message: Extract<Message, { kind: 'heartbeat' }>,
): void {
  const { log } = state;
  if (isInstalling(state)) {
    echo(state, from, message.readPosition);
    return;
  }
  if (message.commit > log.last.index) {
    const held = `the log ends at ${log.last.index}`;
    halt(state, `Leader ${from} knows entry ${message.commit} to be durable here, but ${held}: the disk lost entries`);
    return;
  }
  log.commitTo(message.commit);
  // Heartbeats that only tell a commit index can be many; one answer a tick is enough to be known as alive.
  if (message.readPosition <= state.echoed && state.echoedAt === state.now) return;
  echo(state, from, message.readPosition);
}

/**
 * The acknowledgement leaves when everything up to `match`, and the term, is durable. Acknowledgements that wait for
 * the same write become one. `asked`: the leader wants a sign of life even if the disk is slow.
 */
export function acknowledge(state: RaftState, to: NodeId, match: LogIndex, readPosition: number, asked: boolean): void {
  const { log, ballot, writes } = state;
  const term = ballot.term;
  const reply: Message = { kind: 'appendReply', term, match, readPosition, ...promise(state) };
  if (!ballot.changed && match <= log.durable && !writes.inFlight?.hasBallot) {
    send(state, to, reply);
    return;
  }
  if (asked || readPosition > state.echoed) echo(state, to, readPosition);
  if (!ballot.changed && writes.covers(match) && writes.inFlight !== undefined) {
    emit(state, { kind: 'send', to, message: reply, after: writes.inFlight.id });
    return;
  }
  state.owed ??= { to, match, readPosition };
  state.owed.match = Math.max(state.owed.match, match);
  state.owed.readPosition = Math.max(state.owed.readPosition, readPosition);
}

/** Shows the leader that this node hears it. */
export function echo(state: RaftState, to: NodeId, readPosition: number): void {
  state.echoed = Math.max(state.echoed, readPosition);
  state.echoedAt = state.now;
  send(state, to, { kind: 'heartbeatReply', term: state.ballot.term, readPosition, ...promise(state) });
}

function isWellFormed({ term, previous, last, entries }: Append): boolean {
  if (last !== previous.index + entries.length || previous.index < 0) return false;
  let before = previous;
  for (const entry of entries) {
    if (entry.index !== before.index + 1 || entry.term < before.term || entry.term > term) return false;
    before = entry;
  }
  return true;
}
