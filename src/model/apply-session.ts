import { type ApplyContext, DONE, type Result } from './apply-context.ts';
import type { CommandOf, Outcome } from './command.ts';
import type { Refusal } from './errors.ts';
import type { RequestId } from './operations.ts';
import { refuse } from './refusal.ts';
import type { SessionRow, StateReader } from './state-store.ts';

/** How far a client's sequences may run ahead of the answers that it has acknowledged. */
const SESSION_WINDOW = 4096;

/** Clients in one expireSessions command at most. */
export const MAX_EXPIRED_SESSIONS = 1000;

const CLIENT = /^[0-9A-Za-z._-]{1,64}$/;

/** What the session table says of a request: answered before, not to be run, or to be run in this session. */
export type Admission =
  | { readonly kind: 'remembered'; readonly outcome: Outcome }
  | { readonly kind: 'refused'; readonly refusal: Refusal }
  | { readonly kind: 'run'; readonly session: SessionRow | undefined };

/**
 * Decides whether a request runs. Sequence 1 opens the session, so clients wait for its answer before they send others;
 * after that, sequences may arrive in any order, and each runs once. A client that is silent for longer than sessions
 * live must not send an unanswered request again under its old name: it would open a new session.
 */
export function admit(store: StateReader, id: RequestId): Admission {
  const { client, sequence, acknowledgedBelow } = id;
  const session = store.get('session', client);
  const malformed = checkRequestId(id, session !== undefined);
  if (malformed !== undefined) return { kind: 'refused', refusal: malformed };
  if (session === undefined) {
    if (sequence === 1) return { kind: 'run', session: undefined };
    const message =
      `Session ${client} is unknown, so whether request ${sequence} took effect before cannot be told: ` +
      'look at what is there, and start a new session';
    return { kind: 'refused', refusal: refuse('SESSION_EXPIRED', message) };
  }
  const reply = sequence > session.lastSequence ? undefined : store.reply(client, sequence);
  if (reply !== undefined) return { kind: 'remembered', outcome: reply.outcome };
  if (sequence < session.acknowledgedBelow) {
    const message =
      `Request ${sequence} of session ${client} was acknowledged, and its answer is forgotten: look at ` +
      'what is there';
    return { kind: 'refused', refusal: refuse('STALE', message) };
  }
  if (sequence - Math.max(session.acknowledgedBelow, acknowledgedBelow) >= SESSION_WINDOW) {
    const message =
      `Request ${sequence} of session ${client} is ${SESSION_WINDOW} or more ahead of the oldest that it has not ` +
      'acknowledged: acknowledge answers, then send it again';
    return { kind: 'refused', refusal: refuse('EXHAUSTED', message) };
  }
  return { kind: 'run', session };
}

/** Stores the answer of a request that has run, and forgets those that the client has acknowledged. */
export function remember(context: ApplyContext, id: RequestId, before: SessionRow | undefined, outcome: Outcome): void {
  const { client, sequence } = id;
  const acknowledgedBelow = Math.max(before?.acknowledgedBelow ?? 1, id.acknowledgedBelow);
  const lastSequence = Math.max(before?.lastSequence ?? 0, sequence);
  if (before !== undefined) forget(context, before, acknowledgedBelow);
  context.store.put('session', client, { client, acknowledgedBelow, lastSequence, lastSeenMs: context.nowMs });
  context.store.insertReply(client, sequence, { outcome });
}

/** Applies `expireSessions`; what is over the bound of answers in one command stays for the next. */
export function applyExpireSessions(context: ApplyContext, command: CommandOf<'expireSessions'>): Result {
  if (command.clients.length > MAX_EXPIRED_SESSIONS) {
    const message = `Expiring ${command.clients.length} sessions at once exceeds ${MAX_EXPIRED_SESSIONS}: split them`;
    return refuse('INVALID_ARGUMENT', message);
  }
  let room = 2 * SESSION_WINDOW;
  for (const client of command.clients) {
    const session = context.store.get('session', client);
    if (session === undefined || session.lastSeenMs >= command.idleSinceMs) continue;
    room -= forget(context, session, session.lastSequence + 1);
    context.store.delete('session', client);
    if (room <= 0) break;
  }
  return DONE;
}

function forget(context: ApplyContext, session: SessionRow, below: number): number {
  const end = Math.min(below, session.lastSequence + 1);
  context.store.deleteReplies(session.client, session.acknowledgedBelow, end);
  return Math.max(0, end - session.acknowledgedBelow);
}

function checkRequestId(
  { client, sequence, acknowledgedBelow }: RequestId,
  clientIsKnown: boolean,
): Refusal | undefined {
  if (!clientIsKnown && !CLIENT.test(client)) {
    return refuse(
      'INVALID_ARGUMENT',
      'A session is named by 1 to 64 letters, digits, dots, dashes and underscores: use a UUID',
    );
  }
  const counts = Number.isSafeInteger(sequence) && sequence >= 1 && Number.isSafeInteger(acknowledgedBelow);
  if (counts && acknowledgedBelow <= sequence) return undefined;
  const message =
    `Request ${sequence} of session ${client} acknowledges below ${acknowledgedBelow}: count from 1, ` +
    'acknowledge what was sent';
  return refuse('INVALID_ARGUMENT', message);
}
