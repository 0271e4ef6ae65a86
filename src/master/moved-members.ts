import type { CancelTimer, Timers } from '../base/clock.ts';
import type { Logger } from '../host/logger.ts';
import { isJoint } from '../raft/membership.ts';
import type { NodeId } from '../raft/position.ts';
import { whileLeading } from './leader-service.ts';
import type { FoundPlace } from './member-places.ts';
import type { MembershipControl } from './membership-service.ts';
import type { ReplicatedState } from './replicated-state.ts';

export interface MovedMembersParts {
  readonly state: ReplicatedState;
  readonly journal: MembershipControl;
  readonly timers: Timers;
  readonly log: Logger;
  /** Members that are not where the membership has them: see `MemberPlaces`. */
  moved(): ReadonlyMap<NodeId, FoundPlace>;
}

const LOOK_MS = 1_000;

/** While this master leads, puts into the membership where members are now, one after the other. */
export class MovedMembers {
  readonly #parts: MovedMembersParts;
  readonly #stop: () => void;
  #cancel: CancelTimer | undefined;

  constructor(parts: MovedMembersParts) {
    this.#parts = parts;
    this.#stop = whileLeading(parts.state, {
      began: () => {
        this.#cancel = parts.timers.every(LOOK_MS, () => this.#look());
      },
      ended: () => this.#cancel?.(),
    });
  }

  close(): void {
    this.#stop();
  }

  #look(): void {
    const { journal, log, moved } = this.#parts;
    const { membership, membershipAt, membershipCommitted } = journal.status();
    if (isJoint(membership) || !membershipCommitted) return;
    const { voters, learners, members } = membership;
    const places = moved();
    const known = members.find(({ id, address }) => (places.get(id)?.address ?? address) !== address);
    const place = known && places.get(known.id);
    if (known === undefined || place === undefined) return;
    const { address } = place;
    const info = { ...known, address, clientAddress: place.clientAddress || known.clientAddress };
    log.info({ member: known.id, address, before: known.address }, 'the membership gets the new address of a member');
    const target = { voters, learners, members: members.map((each) => (each === known ? info : each)) };
    journal
      .changeMembership(target, membershipAt)
      .catch((err: unknown) => log.warn({ err, member: known.id }, 'the new address is tried again later'));
  }
}
