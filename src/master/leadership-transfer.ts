import type { Logger } from '../host/logger.ts';
import { SluiceError } from '../model/errors.ts';
import { memberName } from '../raft/membership.ts';
import type { NodeId } from '../raft/position.ts';
import type { RaftStatus } from '../raft/raft.ts';
import type { JournalParts } from './journal-parts.ts';
import type { ReplicatedState, StateListener } from './replicated-state.ts';

/** A peer that was silent for longer than `limits.electionTicks` is not asked to take over. */
export interface TransferParts extends Pick<JournalParts, 'limits' | 'tickMs' | 'timers'> {
  status(): RaftStatus;
  subscribe(listener: StateListener): () => void;
  /** Lets the core begin. */
  begin(to: NodeId): void;
}

/**
 * Hands leadership to the voter named `to`, or to the most advanced of those that are up, and waits until somebody else
 * leads. Does nothing when `to` leads already.
 * @returns the name of who leads now
 * @throws SluiceError NOT_FOUND when `to` is no member, INVALID_ARGUMENT when it is a learner, UNAVAILABLE when it, or
 * every other, is silent, TIMED_OUT when it did not take over: this master leads on
 */
export async function transferLeadership(parts: TransferParts, to: string | undefined): Promise<string> {
  const status = parts.status();
  if (to === memberName(status.id)) return to;
  const successor = successorOf(status, to, parts.limits.electionTicks);
  // The core gives up after one election timeout; the winner's first heartbeat may take as long again.
  const patienceMs = 2 * parts.limits.electionTicks * parts.tickMs;
  return new Promise((resolve, reject) => {
    const cancel = parts.timers.after(patienceMs, () => {
      end();
      const message =
        `Master ${memberName(successor)} did not take over from ${memberName(status.id)} within ${patienceMs} ms: ` +
        'look at its log and at `sluice admin quorum info`, then try again';
      reject(new SluiceError('TIMED_OUT', message));
    });
    const end = parts.subscribe({
      leadershipChanged: ({ leader, term }) => {
        // In the present term it is only who was asked to.
        if (leader === undefined || leader === status.id || term === status.term) return;
        cancel();
        end();
        resolve(memberName(leader));
      },
    });
    parts.begin(successor);
  });
}

/** Lets another master lead, if this one does, so that nobody has to miss it first. Tried once; never throws. */
export async function handOver(
  journal: Pick<ReplicatedState, 'transferLeadership'> & Pick<TransferParts, 'status'>,
  logger: Logger,
): Promise<void> {
  const { role, membership } = journal.status();
  if (role !== 'leader' || membership.voters.length === 1) return;
  await journal.transferLeadership(undefined).catch((error: unknown) => {
    logger.warn({ err: error }, 'leadership was not handed over');
  });
}

function successorOf({ id, peers, membership }: RaftStatus, to: string | undefined, maxSilentTicks: number): NodeId {
  const { voters, learners } = membership;
  if (to !== undefined && !voters.some((voter) => memberName(voter) === to)) {
    const names = voters.map(memberName).join(', ');
    if (learners.some((learner) => memberName(learner) === to))
      throw new SluiceError('INVALID_ARGUMENT', `${to} has no vote yet: choose one of ${names}`);
    throw new SluiceError('NOT_FOUND', `${to} is no master of this cluster: choose one of ${names}`);
  }
  const name = memberName(id);
  const others = voters.filter((voter) => voter !== id);
  if (others.length === 0)
    throw new SluiceError(
      'UNAVAILABLE',
      `${name} is the only master of this cluster: there is nobody who could take over`,
    );
  const up = others.flatMap((voter) => {
    const peer = peers.get(voter);
    if (peer === undefined || peer.silentTicks > maxSilentTicks) return [];
    return to === undefined || memberName(voter) === to ? [{ voter, match: peer.match }] : [];
  });
  const [best] = up.sort((a, b) => b.match - a.match);
  if (best !== undefined) return best.voter;
  const who = to === undefined ? 'No other master answers' : `Master ${to} does not answer`;
  throw new SluiceError('UNAVAILABLE', `${who}, so ${name} leads on: start it, then try again`);
}
