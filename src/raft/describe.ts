import { unreachable } from '../base/assert.ts';
import type { Effect } from './effect.ts';
import type { Entry } from './entry.ts';
import type { Event } from './event.ts';
import type { Membership } from './membership.ts';
import type { Message } from './message.ts';
import type { Position } from './position.ts';
import type { RaftState } from './state.ts';

function describeMessage(message: Message): string {
  const head = `${message.kind} t${message.term}`;
  switch (message.kind) {
    case 'preVote':
      return `${head} last ${at(message.last)}`;
    case 'vote':
      return `${head} last ${at(message.last)}${message.transfer ? ' transfer' : ''}`;
    case 'preVoteReply':
    case 'voteReply':
      return `${head} ${message.granted ? 'granted' : 'refused'} commit ${message.commit}`;
    case 'append':
      return `${head} ${at(message.previous)}..${message.last} commit ${message.commit}${read(message)}`;
    case 'appendReply':
      return `${head} match ${message.match}${read(message)}`;
    case 'appendReject':
      return `${head} rejected ${message.rejected} hint ${at(message.hint)}${read(message)}`;
    case 'heartbeat':
      return `${head} commit ${message.commit}${read(message)}`;
    case 'heartbeatReply':
      return `${head}${read(message)}`;
    case 'snapshotOffer':
      return `${head} base ${at(message.base)}${read(message)}`;
    case 'readIndex':
      return `${head} token ${message.token}`;
    case 'readIndexReply':
      return `${head} token ${message.token} ${message.ok ? `index ${message.index}` : 'failed'}`;
    case 'timeoutNow':
      return head;
    default:
      return unreachable(message);
  }
}

/** One canonical line for an event, for logs, transcripts and traces. Positions read `term/index`. */
export function describeEvent(event: Event): string {
  switch (event.kind) {
    case 'tick':
      return event.kind;
    case 'receive':
      return `${event.from}> ${describeMessage(event.message)}`;
    case 'propose':
      return `propose ${event.proposals.map(({ id }) => id).join(' ')}`;
    case 'read':
      return `read ${event.token}`;
    case 'transferLeadership':
      return `transferLeadership ${event.to}`;
    case 'persisted':
      return `persisted w${event.write}`;
    case 'applied':
      return `applied ${event.index}`;
    case 'changeMembership':
      return `changeMembership ${event.id}: ${members({ ...event.target, outgoing: [] })}`;
    case 'compacted':
      return `compacted ${at(event.base)}`;
    case 'snapshotFetched':
    case 'snapshotInstalled':
      return `${event.kind} ${at(event.meta.position)} ${members(event.meta.membership)}`;
    case 'snapshotFailed':
      return event.kind;
    case 'peerUnreachable':
    case 'peerReachable':
      return `${event.kind} ${event.peer}`;
    default:
      return unreachable(event);
  }
}

/** One canonical line for an effect. */
export function describeEffect(effect: Effect): string {
  switch (effect.kind) {
    case 'stage':
      return `stage${cut(effect)}${range(effect.entries)}`;
    case 'write': {
      const { ballot } = effect;
      const vote = ballot === undefined ? '' : ` t${ballot.term} vote ${ballot.votedFor ?? '-'}`;
      return `write w${effect.id}${vote}${cut(effect)}${range(effect.entries)} commit ${effect.commit}`;
    }
    case 'send':
      return `>${effect.to} ${describeMessage(effect.message)}${after(effect)}`;
    case 'apply':
      return `apply ${effect.from}..${effect.to}`;
    case 'readReady':
      return `readReady ${effect.token} index ${effect.index}`;
    case 'readFailed':
      return `readFailed ${effect.token} leader ${effect.leader ?? '-'}`;
    case 'settle': {
      const fate = effect.fate === 'accepted' ? at(effect.at) : `${effect.reason} leader ${effect.leader ?? '-'}`;
      return `settle ${effect.proposal} ${effect.fate} ${fate}`;
    }
    case 'membershipSettled': {
      const fate = effect.fate === 'accepted' ? at(effect.at) : `${effect.reason} leader ${effect.leader ?? '-'}`;
      return `change ${effect.id} ${effect.fate} ${fate}`;
    }
    case 'membershipChanged':
      return `members ${effect.at}: ${members(effect.membership)}`;
    case 'fetchSnapshot':
      return `fetchSnapshot ${effect.from}`;
    case 'installSnapshot':
      return `installSnapshot ${at(effect.meta.position)}${effect.keepLog ? ' keep log' : ''}`;
    case 'handingOver':
      return `handingOver ${effect.to ?? '-'}`;
    case 'discardSnapshot':
      return effect.kind;
    case 'roleChanged':
      return `${effect.role} t${effect.term} leader ${effect.leader ?? '-'}`;
    case 'halt':
      return `halt: ${effect.reason}`;
    default:
      return unreachable(effect);
  }
}

/** Who this is, what it was and where its log stands. */
export function describeState({ options, role, leader, ballot, log }: RaftState): string {
  const vote = `t${ballot.term} vote ${ballot.votedFor ?? '-'}`;
  const ends = `last ${at(log.last)} durable ${log.durable} commit ${log.commit} issued ${log.issued}`;
  return `${options.id} ${role} ${vote} leader ${leader ?? '-'} ${ends}`;
}

/** Voters, in a joint configuration `& outgoing voters`, and `+ learners`. */
function members({ voters, outgoing, learners }: Membership): string {
  const joint = outgoing.length === 0 ? '' : ` & ${outgoing.join(' ')}`;
  return `${voters.join(' ')}${joint}${learners.length === 0 ? '' : ` + ${learners.join(' ')}`}`;
}

function at({ term, index }: Position): string {
  return `${term}/${index}`;
}

function read({ readPosition }: { readonly readPosition: number }): string {
  return readPosition === 0 ? '' : ` read ${readPosition}`;
}

function after({ after }: { readonly after?: number }): string {
  return after === undefined ? '' : ` after w${after}`;
}

function cut({ truncateFrom }: { readonly truncateFrom?: number }): string {
  return truncateFrom === undefined ? '' : ` cut ${truncateFrom}`;
}

function range(entries: readonly Entry[]): string {
  const first = entries[0];
  const last = entries.at(-1);
  return first === undefined || last === undefined ? '' : ` ${at(first)}..${at(last)}`;
}
