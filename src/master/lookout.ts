import type { CancelTimer, Timers } from '../base/clock.ts';
import type { Logger } from '../host/logger.ts';
import type { NodeId } from '../raft/position.ts';
import type { CommittedMembership, Greeting } from '../wire/greeting.ts';
import type { MemberPlaces } from './member-places.ts';
import type { Leadership } from './replicated-state.ts';
import { isStray } from './stray-check.ts';

export interface LookoutParts {
  readonly id: NodeId;
  readonly clusterId: string;
  readonly journal: { readonly committed: CommittedMembership; leadership(): Leadership };
  readonly places: Pick<MemberPlaces, 'takeClaims' | 'heard'>;
  readonly timers: Timers;
  readonly log: Logger;
  /** Where other masters may be: as the membership has them, and as this master was told. */
  addresses(): readonly string[];
  /** @throws SluiceError when nobody answers */
  hello(address: string): Promise<Greeting>;
  /** The cluster goes on without this master. Called once. */
  left(): void;
}

const LOOK_MS = 2_000;

/**
 * While a master knows no leader, it asks around: it may have been removed while it was away, or others may be where
 * the membership does not have them. It asks also when a member claims to be elsewhere.
 */
export class Lookout {
  readonly #parts: LookoutParts;
  readonly #cancel: CancelTimer;
  #lost = 0;
  #asking = false;

  constructor(parts: LookoutParts) {
    this.#parts = parts;
    this.#cancel = parts.timers.every(LOOK_MS, () => this.#look());
  }

  close(): void {
    this.#cancel();
  }

  #look(): void {
    const { journal, places } = this.#parts;
    this.#lost = journal.leadership().leader === undefined ? this.#lost + 1 : 0;
    if (this.#asking) return;
    const claims = places.takeClaims();
    if (this.#lost < 2 && claims.length === 0) return;
    this.#asking = true;
    void this.#ask(claims).finally(() => {
      this.#asking = false;
    });
  }

  async #ask(claims: readonly string[]): Promise<void> {
    const { id, clusterId, journal, places, log, addresses, left } = this.#parts;
    const answers = new Map<string, Greeting>();
    await this.#hear([...addresses(), ...claims], answers);
    // Who was found by another name of its address is asked where it says that it is.
    await this.#hear(
      [...answers.values()].filter((each) => each.clusterId === clusterId).map(({ address }) => address),
      answers,
    );
    places.heard(answers);
    const stray = [...answers.values()].find((greeting) => isStray(id, clusterId, journal.committed, greeting));
    if (stray === undefined) return;
    this.#cancel();
    log.error({ by: stray.id }, 'this master was removed from the cluster while it was away');
    left();
  }

  /** Asks at those addresses that have not answered yet. */
  async #hear(addresses: readonly string[], answers: Map<string, Greeting>): Promise<void> {
    const { hello, log } = this.#parts;
    const unheard = [...new Set(addresses)].filter((address) => !answers.has(address));
    const asked = unheard.map((address) =>
      hello(address).then(
        (greeting) => void answers.set(address, greeting),
        (err: unknown) => log.debug({ err, address }, 'no hello'),
      ),
    );
    await Promise.all(asked);
  }
}
