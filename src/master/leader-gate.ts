import type { Timers } from '../base/clock.ts';
import { type ErrorCode, SluiceError } from '../model/errors.ts';
import { memberName } from '../raft/membership.ts';
import type { Leadership, ReplicatedState } from './replicated-state.ts';

export interface LeaderGateParts {
  readonly state: ReplicatedState;
  readonly timers: Timers;
  /** How long an operation waits for a leader to become known, before the client has to look for it. */
  readonly patienceMs: number;
  /** Where clients reach a member; undefined when it is not known. */
  addressOf(member: string): string | undefined;
  /** Where clients reach the masters, as far as it is known. */
  masters?(): readonly string[];
}

/** What keeps a standby from answering, and not the leader. */
const LEADER_MAY_DO: ReadonlySet<ErrorCode> = new Set([
  'NOT_LEADER',
  'UNAVAILABLE',
  'TIMED_OUT',
  'EXHAUSTED',
  'CORRUPT',
  'INTERNAL',
]);

/**
 * Lets operations in on the leader only, and tells everybody else where it is. While leadership changes hands, it lets
 * them wait a moment: a client that is sent away by everybody searches for longer than an election takes. Reads of who
 * takes the answer of any master are let in everywhere, and sent to the leader at once when they fail here.
 */
export class LeaderGate {
  readonly #parts: LeaderGateParts;
  /** Operations of one moment wait together. */
  #waiting: Promise<void> | undefined;

  constructor(parts: LeaderGateParts) {
    this.#parts = parts;
  }

  /** Whether this master may serve everything. */
  get leading(): boolean {
    return this.#parts.state.leadership().leading;
  }

  /** @throws SluiceError NOT_LEADER with `details.leader`, the address for clients, when it is known. */
  check(): void {
    if (!this.leading) throw this.notLeader();
  }

  /** Resolves when this master may serve, or knows who does, or has waited long enough; undefined when it is so now. */
  settling(): Promise<void> | undefined {
    if (this.#isSettled(this.#parts.state.leadership())) return undefined;
    this.#waiting ??= this.#change((leadership) => this.#isSettled(leadership));
    return this.#waiting;
  }

  /** @param cause why the question came up, if anything went wrong */
  notLeader(cause?: SluiceError): SluiceError {
    const { leader } = this.#parts.state.leadership();
    const address = leader === undefined || this.#isSelf(leader) ? undefined : this.#parts.addressOf(leader);
    const known = this.#parts.masters?.() ?? [];
    const masters = known.length === 0 ? {} : { masters: known.join() };
    if (address === undefined) {
      const message = 'This master does not lead, and no leader is known yet: try the others';
      return new SluiceError('NOT_LEADER', message, { details: masters, cause });
    }
    const message = `This master does not lead: ask ${address}`;
    return new SluiceError('NOT_LEADER', message, { details: { leader: address, ...masters }, cause });
  }

  /** What was thrown behind the gate; when leadership was lost meanwhile, a refusal that says where the leader is. */
  async redirected(thrown: unknown): Promise<unknown> {
    if (!(thrown instanceof SluiceError && thrown.code === 'NOT_LEADER')) return thrown;
    // A leader that refuses hands over at this moment.
    if (this.leading) {
      this.#waiting ??= this.#change((leadership) => !leadership.leading && this.#isSettled(leadership));
      await this.#waiting;
    } else await this.settling();
    return this.notLeader();
  }

  /**
   * Runs a read where another master leads. It fails at once when no leader confirms that this master knows everything:
   * whoever asks has the leader to go to.
   * @throws SluiceError what the namespace refuses; NOT_LEADER as `check`
   */
  async standing<R>(read: () => Promise<R>): Promise<R> {
    try {
      return await read();
    } catch (thrown) {
      if (!(thrown instanceof SluiceError && LEADER_MAY_DO.has(thrown.code))) throw thrown;
      throw this.notLeader(thrown);
    }
  }

  /** Runs `task` behind the gate. */
  async guarded<R>(task: () => Promise<R>): Promise<R> {
    await this.settling();
    this.check();
    try {
      return await task();
    } catch (thrown) {
      throw await this.redirected(thrown);
    }
  }

  /** A new leader is none before it has applied what came before its term. */
  #isSettled({ leading, leader }: Leadership): boolean {
    return leading || (leader !== undefined && !this.#isSelf(leader));
  }

  #isSelf(leader: string): boolean {
    return memberName(leader) === this.#parts.state.quorum().self;
  }

  #change(until: (leadership: Leadership) => boolean): Promise<void> {
    const { state, timers, patienceMs } = this.#parts;
    return new Promise((resolve) => {
      const end = (): void => {
        cancel();
        unsubscribe();
        this.#waiting = undefined;
        resolve();
      };
      const cancel = timers.after(patienceMs, end);
      const unsubscribe = state.subscribe({
        leadershipChanged: (leadership) => {
          if (until(leadership)) end();
        },
      });
    });
  }
}
