import { isJoint, memberName } from '../raft/membership.ts';
import type { RaftLimits } from '../raft/options.ts';
import type { NodeId } from '../raft/position.ts';
import type { RaftStatus } from '../raft/raft.ts';

/** So long a master must be fit without a break before leadership goes to it. */
const STABLE_MS = 10_000;
/** After a hand-over the next one waits, twice as long each time; that is forgotten after two of the longest waits. */
const WAIT_FIRST_MS = 60_000;
const WAIT_MAX_MS = 3_600_000;
/** How many entries a fit master may lack: handing over waits for them, and writes wait meanwhile. */
const BEHIND_MAX = 1_000;

/**
 * Decides when a leader hands over to a voter of a higher priority: not while that is silent or behind, and less and
 * less often, so that a master that comes and goes does not take leadership with it each time.
 */
export class Placement {
  readonly #limits: RaftLimits;
  #fit: { readonly id: NodeId; readonly sinceMs: number } | undefined;
  #lastMs = Number.NEGATIVE_INFINITY;
  #waitMs = 0;

  constructor(limits: RaftLimits) {
    this.#limits = limits;
  }

  /** Leadership, or what was observed in it, is over. */
  reset(): void {
    this.#fit = undefined;
  }

  /** Asked again and again while this master leads. @returns the name of who shall lead now instead */
  next(status: RaftStatus, nowMs: number): string | undefined {
    const id = this.#fittest(status);
    if (id === undefined) {
      this.#fit = undefined;
      return undefined;
    }
    if (this.#fit?.id !== id) this.#fit = { id, sinceMs: nowMs };
    if (nowMs - this.#fit.sinceMs < STABLE_MS || nowMs - this.#lastMs < this.#waitMs) return undefined;
    const calm = nowMs - this.#lastMs >= 2 * WAIT_MAX_MS;
    this.#waitMs = calm ? WAIT_FIRST_MS : Math.min(2 * this.#waitMs, WAIT_MAX_MS);
    this.#lastMs = nowMs;
    this.#fit = undefined;
    return memberName(id);
  }

  #fittest({ id, membership, membershipCommitted, transferringTo, peers, last }: RaftStatus): NodeId | undefined {
    if (isJoint(membership) || !membershipCommitted || transferringTo !== undefined) return undefined;
    const priorities = new Map(membership.members.map((member) => [member.id, member.priority]));
    const priorityOf = (each: NodeId) => priorities.get(each) ?? 0;
    const fit = membership.voters.filter((voter) => {
      const peer = peers.get(voter);
      if (peer === undefined || priorityOf(voter) <= priorityOf(id)) return false;
      const heard = peer.silentTicks <= 2 * this.#limits.heartbeatTicks;
      return heard && peer.state === 'replicate' && last.index - peer.match <= BEHIND_MAX;
    });
    return fit.sort((a, b) => priorityOf(b) - priorityOf(a))[0];
  }
}
