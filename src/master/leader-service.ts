import type { Notice } from '../model/command.ts';
import type { ReplicatedState } from './replicated-state.ts';

/** What a service does while its master leads. */
export interface LeaderWork {
  /** This master leads now and has applied all that was committed before. */
  began(): void;
  /** It does so no longer. */
  ended(): void;
  /** An entry was applied while it leads. */
  noticed?(notices: readonly Notice[]): void;
}

/**
 * Calls `work` at each begin and end of this master's leadership. @returns a function that ends the subscription, and
 * the work if it runs
 */
export function whileLeading(state: ReplicatedState, work: LeaderWork): () => void {
  let leading = false;
  const change = (now: boolean) => {
    if (now === leading) return;
    leading = now;
    if (now) work.began();
    else work.ended();
  };
  const unsubscribe = state.subscribe({
    leadershipChanged: (leadership) => change(leadership.leading),
    applied: (_, notices) => {
      if (leading && notices.length > 0) work.noticed?.(notices);
    },
  });
  change(state.leadership().leading);
  return () => {
    unsubscribe();
    change(false);
  };
}
