import type { CancelTimer, Timers } from '../base/clock.ts';
import type { Logger } from '../host/logger.ts';
import { allMembers } from '../raft/membership.ts';
import type { NodeId } from '../raft/position.ts';
import type { CommittedMembership, Greeting } from '../wire/greeting.ts';
import type { Leadership } from './replicated-state.ts';

export interface StrayCheckParts {
  readonly id: NodeId;
  readonly clusterId: string;
  readonly journal: { readonly committed: CommittedMembership; leadership(): Leadership };
  readonly timers: Timers;
  readonly log: Logger;
  /** Where other masters may be. */
  addresses(): readonly string[];
  /** @throws SluiceError when nobody answers */
  hello(address: string): Promise<Greeting>;
  /** The cluster goes on without this master. Called once. */
  left(): void;
}

const LOOK_MS = 2_000;

/** Whether who says hello knows that the cluster goes on without a member that knows only `own`. */
export function isStray(
  id: NodeId,
  clusterId: string,
  own: CommittedMembership,
  { clusterId: theirs, committed }: Greeting,
) {
  if (theirs !== clusterId || committed === undefined || committed.applied < own.applied) return false;
  const members = allMembers(committed.membership);
  return members.length > 0 && !members.includes(id) && allMembers(own.membership).includes(id);
}

/** A master that was away when it was removed hears from nobody. So while it knows no leader, it asks. */
export class StrayCheck {
  readonly #parts: StrayCheckParts;
  readonly #cancel: CancelTimer;
  #lost = 0;
  #asking = false;

  constructor(parts: StrayCheckParts) {
    this.#parts = parts;
    this.#cancel = parts.timers.every(LOOK_MS, () => this.#look());
  }

  close(): void {
    this.#cancel();
  }

  #look(): void {
    this.#lost = this.#parts.journal.leadership().leader === undefined ? this.#lost + 1 : 0;
    if (this.#lost < 2 || this.#asking) return;
    this.#asking = true;
    void this.#ask().finally(() => {
      this.#asking = false;
    });
  }

  async #ask(): Promise<void> {
    const { id, clusterId, journal, log, addresses, hello, left } = this.#parts;
    const asked = addresses().map((address) =>
      hello(address).catch((err: unknown) => void log.debug({ err }, 'no hello')),
    );
    const stray = (await Promise.all(asked)).find(
      (greeting) => greeting !== undefined && isStray(id, clusterId, journal.committed, greeting),
    );
    if (stray === undefined) return;
    this.#cancel();
    log.error({ by: stray.id }, 'this master was removed from the cluster while it was away');
    left();
  }
}
