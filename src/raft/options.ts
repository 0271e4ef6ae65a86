import { assert } from '../base/assert.ts';
import type { Random } from '../base/random.ts';
import type { StoredLog } from './log-store.ts';
import type { Membership } from './membership.ts';
import type { LogIndex, NodeId } from './position.ts';
import { SIZE_HISTORY } from './size-history.ts';

/** Time, in ticks, and bounds of everything that the core keeps or lets fly. */
export interface RaftLimits {
  /** A leader unheard for this long is doubted; timeouts are drawn from one to two times this. */
  readonly electionTicks: number;
  readonly heartbeatTicks: number;
  /** A leader whose one log write takes longer than this, while others finish theirs, gives up leadership. */
  readonly stalledWriteTicks: number;
  /** Entries of one append message, with their overhead; a single larger entry still travels, alone. */
  readonly maxFrameBytes: number;
  /** Append messages on their way to one peer. */
  readonly maxInFlightFrames: number;
  readonly maxInFlightBytes: number;
  /** Entries that a leader accepts ahead of the commit index. */
  readonly maxPendingProposals: number;
  readonly maxPendingBytes: number;
  /** Reads waiting for a position, in each of the places where they can wait. */
  readonly maxPendingReads: number;
  /**
   * For so long, in whole ms of whatever clock, a node that heard a leader does not help to replace it: less than what
   * `electionTicks` of its own take when these run fast. A leader serves reads without asking while a majority has
   * promised that. 0 promises nothing, and asks for each round of reads.
   */
  readonly leaseMs: number;
}

export interface RaftOptions extends RaftLimits {
  readonly id: NodeId;
  /** The members as of `applied`; what `stored.configs` says behind that comes after it. */
  readonly membership: Membership;
  readonly stored: StoredLog;
  /** The state machine holds everything up to here; the first `apply` begins behind it. */
  readonly applied: LogIndex;
  readonly random: Random;
}

export const DEFAULT_RAFT_LIMITS: RaftLimits = Object.freeze({
  electionTicks: 10,
  heartbeatTicks: 2,
  stalledWriteTicks: 20,
  maxFrameBytes: 1024 * 1024,
  maxInFlightFrames: 64,
  maxInFlightBytes: 16 * 1024 * 1024,
  maxPendingProposals: 16_384,
  maxPendingBytes: 64 * 1024 * 1024,
  maxPendingReads: 65_536,
  leaseMs: 0,
});

/** @throws AssertionError when options contradict each other or the stored log. */
export function checkOptions(options: RaftOptions): void {
  const { electionTicks, heartbeatTicks, stored, applied } = options;
  assert(Number.isInteger(heartbeatTicks) && heartbeatTicks >= 1, 'heartbeatTicks must be a whole number from 1');
  assert(
    Number.isInteger(electionTicks) && electionTicks >= 3 * heartbeatTicks,
    'electionTicks must be at least 3 heartbeats',
  );
  assert(options.stalledWriteTicks >= electionTicks, 'stalledWriteTicks must be at least electionTicks');
  assert(options.maxFrameBytes > 0 && options.maxInFlightFrames > 0, 'frame limits must be positive');
  assert(options.maxInFlightBytes >= options.maxFrameBytes, 'maxInFlightBytes must hold one frame');
  assert(options.maxPendingProposals > 0 && options.maxPendingBytes > 0, 'limits of proposals must be positive');
  assert(options.maxPendingProposals <= SIZE_HISTORY, `maxPendingProposals must be at most ${SIZE_HISTORY}`);
  assert(options.maxPendingReads > 0, 'maxPendingReads must be positive');
  assert(Number.isSafeInteger(options.leaseMs) && options.leaseMs >= 0, 'leaseMs must be a whole number from 0');
  assert(stored.commit <= stored.last.index, 'the stored log ends before its commit index');
  assert(applied <= stored.last.index, `the state machine is ahead of the log: ${applied} > ${stored.last.index}`);
  assert(applied >= stored.base.index, `the log begins at ${stored.base.index}, behind the applied index ${applied}`);
}
