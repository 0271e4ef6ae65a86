import { unreachable } from '../base/assert.ts';
import type { Message } from './message.ts';
import type { NodeId } from './position.ts';
import { enterTerm, hearLeader } from './role.ts';
import { halt, hearsLeader, type RaftState, send } from './state.ts';

/**
 * Compares a message's term with the own one, before any handler sees the message: later terms are entered, earlier
 * ones answered so that their sender catches up. @returns whether the message shall be handled.
 */
export function passTerm(state: RaftState, from: NodeId, message: Message): boolean {
  const { term } = state.ballot;
  switch (message.kind) {
    case 'preVote':
      return true;
    case 'preVoteReply':
      if (!message.granted && message.term > term) enterTerm(state, message.term);
      return true;
    case 'vote':
      if (message.term < term) {
        send(state, from, { kind: 'voteReply', term, granted: false, commit: state.log.commit });
        return false;
      }
      // Whoever hears a leader does not help to replace it, nor lets itself be raised to a later term.
      if (message.term > term && !message.transfer && hearsLeader(state)) return false;
      break;
    case 'append':
    case 'heartbeat':
    case 'snapshotOffer':
      if (message.term < term) {
        send(state, from, { kind: 'heartbeatReply', term, readPosition: 0 });
        return false;
      }
      return passLeader(state, from, message.term);
    case 'voteReply':
    case 'appendReply':
    case 'appendReject':
    case 'heartbeatReply':
    case 'readIndex':
    case 'readIndexReply':
    case 'timeoutNow':
      if (message.term < term) return false;
      break;
    default:
      unreachable(message);
  }
  if (message.term > term) enterTerm(state, message.term);
  return true;
}

/** Only the leader of a term sends appends and heartbeats in it. */
function passLeader(state: RaftState, from: NodeId, term: number): boolean {
  if (term > state.ballot.term) enterTerm(state, term);
  else if (state.role === 'leader' || (state.leader !== undefined && state.leader !== from)) {
    halt(state, `Two leaders in term ${term}: ${state.leader} and ${from}`);
    return false;
  }
  hearLeader(state, from);
  return true;
}
