import { SluiceError } from '../model/errors.ts';
import type { ReplicatedState } from './replicated-state.ts';

/** Lets operations in on the leader only, and tells everybody else where it is. */
export class LeaderGate {
  readonly #state: ReplicatedState;
  readonly #addressOf: (member: string) => string | undefined;

  /** `addressOf`: where clients reach a member; undefined when it is not known. */
  constructor(state: ReplicatedState, addressOf: (member: string) => string | undefined) {
    this.#state = state;
    this.#addressOf = addressOf;
  }

  /** @throws SluiceError NOT_LEADER with `details.leader`, the address for clients, when it is known. */
  check(): void {
    if (!this.#state.leadership().leading) throw this.notLeader();
  }

  notLeader(): SluiceError {
    const { leader, leading } = this.#state.leadership();
    const address = leader === undefined || leading ? undefined : this.#addressOf(leader);
    if (address === undefined) {
      return new SluiceError('NOT_LEADER', 'This master does not lead, and no leader is known yet: try the others');
    }
    const message = `This master does not lead: ask ${address}`;
    return new SluiceError('NOT_LEADER', message, { details: { leader: address } });
  }

  /** What was thrown behind the gate; when leadership was lost meanwhile, a refusal that says where the leader is. */
  redirected(thrown: unknown): unknown {
    return thrown instanceof SluiceError && thrown.code === 'NOT_LEADER' ? this.notLeader() : thrown;
  }

  /** Runs `task` behind the gate. */
  async guarded<R>(task: () => Promise<R>): Promise<R> {
    this.check();
    try {
      return await task();
    } catch (thrown) {
      throw this.redirected(thrown);
    }
  }
}
