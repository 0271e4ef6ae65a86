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

  /** `run` behind the gate; when leadership is lost meanwhile, the refusal says where the leader is. */
  guarded<A extends readonly unknown[], R>(run: (...args: A) => Promise<R>): (...args: A) => Promise<R> {
    return async (...args) => {
      this.check();
      try {
        return await run(...args);
      } catch (thrown) {
        if (thrown instanceof SluiceError && thrown.code === 'NOT_LEADER') throw this.notLeader();
        throw thrown;
      }
    };
  }
}
