import type { Notice } from '../model/command.ts';
import type { LogIndex } from '../raft/position.ts';
import type { Leadership, StateListener } from './replicated-state.ts';

/** Who wants to know what becomes of the replicated state. */
export class StateListeners {
  readonly #listeners = new Set<StateListener>();

  /** @returns a function that ends it. */
  add(listener: StateListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  applied(index: LogIndex, notices: readonly Notice[]): void {
    for (const listener of this.#listeners) listener.applied?.(index, notices);
  }

  replaced(index: LogIndex): void {
    for (const listener of this.#listeners) listener.stateReplaced?.(index);
  }

  /** Tells what leadership has become, if it is another than `before`. */
  leadership(before: Leadership, now: Leadership): void {
    if (now.leading === before.leading && now.term === before.term && now.leader === before.leader) return;
    for (const listener of this.#listeners) listener.leadershipChanged?.(now);
  }
}
