import type { CancelTimer, Clock, Timers } from '../base/clock.ts';
import type { Logger } from '../host/logger.ts';
import type { RaftLimits } from '../raft/options.ts';
import type { RaftStatus } from '../raft/raft.ts';
import { whileLeading } from './leader-service.ts';
import { Placement } from './placement.ts';
import type { ReplicatedState } from './replicated-state.ts';

export interface LeaderPlacementParts {
  readonly state: ReplicatedState;
  readonly journal: { status(): RaftStatus };
  readonly limits: RaftLimits;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly log: Logger;
}

const LOOK_MS = 1_000;

/** While this master leads, hands over to the one that operators prefer, once that is fit: see `Placement`. */
export class LeaderPlacement {
  readonly #parts: LeaderPlacementParts;
  readonly #placement: Placement;
  readonly #stop: () => void;
  #cancel: CancelTimer | undefined;

  constructor(parts: LeaderPlacementParts) {
    this.#parts = parts;
    this.#placement = new Placement(parts.limits);
    this.#stop = whileLeading(parts.state, {
      began: () => {
        this.#placement.reset();
        this.#cancel = parts.timers.every(LOOK_MS, () => this.#look());
      },
      ended: () => this.#cancel?.(),
    });
  }

  close(): void {
    this.#stop();
  }

  #look(): void {
    const { journal, state, clock, log } = this.#parts;
    const to = this.#placement.next(journal.status(), clock.monotonicMs());
    if (to === undefined) return;
    log.info({ to }, 'leadership goes to the master that is preferred');
    state.transferLeadership(to).catch((err: unknown) => log.warn({ err, to }, 'leadership was not handed over'));
  }
}
