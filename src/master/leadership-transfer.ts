import type { Timers } from '../base/clock.ts';
import { SluiceError } from '../model/errors.ts';
import type { NodeId } from '../raft/position.ts';
import type { RaftStatus } from '../raft/raft.ts';
import type { StateListener } from './replicated-state.ts';

export interface TransferParts {
  /** A peer that was silent for longer is not asked to take over. */
  readonly electionTicks: number;
  readonly tickMs: number;
  readonly timers: Timers;
  status(): RaftStatus;
  subscribe(listener: StateListener): () => void;
  /** Lets the core begin. */
  begin(to: NodeId): void;
}

/**
 * Hands leadership to `to`, or to the most advanced of the masters that are up, and waits until somebody else leads.
 * Does nothing when `to` leads already.
 * @returns who leads now
 * @throws SluiceError INVALID_ARGUMENT when `to` is no other master, UNAVAILABLE when it, or every other, is silent,
 * TIMED_OUT when it did not take over: this master leads on
 */
export async function transferLeadership(parts: TransferParts, to: NodeId | undefined): Promise<NodeId> {
  const status = parts.status();
  if (to === status.id) return to;
  const successor = successorOf(status, to, parts.electionTicks);
  // The core gives up after one election timeout; the winner's first heartbeat may take as long again.
  const patienceMs = 2 * parts.electionTicks * parts.tickMs;
  return new Promise((resolve, reject) => {
    const cancel = parts.timers.after(patienceMs, () => {
      end();
      const message =
        `Master ${successor} did not take over from ${status.id} within ${patienceMs} ms: look at its log and at ` +
        '`sluice admin quorum info`, then try again';
      reject(new SluiceError('TIMED_OUT', message));
    });
    const end = parts.subscribe({
      leadershipChanged: ({ leader }) => {
        if (leader === undefined || leader === status.id) return;
        cancel();
        end();
        resolve(leader);
      },
    });
    parts.begin(successor);
  });
}

function successorOf({ id, peers }: RaftStatus, to: NodeId | undefined, maxSilentTicks: number): NodeId {
  if (to !== undefined && !peers.has(to)) {
    const message = `${to} is no master of this cluster: choose one of ${[id, ...peers.keys()].sort().join(', ')}`;
    throw new SluiceError('INVALID_ARGUMENT', message);
  }
  if (peers.size === 0)
    throw new SluiceError(
      'UNAVAILABLE',
      `${id} is the only master of this cluster: there is nobody who could take over`,
    );
  const up = [...peers].filter(([peer, { silentTicks }]) => (to ?? peer) === peer && silentTicks <= maxSilentTicks);
  const [best] = up.sort(([, a], [, b]) => b.match - a.match);
  if (best !== undefined) return best[0];
  const who = to === undefined ? 'No other master answers' : `Master ${to} does not answer`;
  throw new SluiceError('UNAVAILABLE', `${who}, so ${id} leads on: start it, then try again`);
}
