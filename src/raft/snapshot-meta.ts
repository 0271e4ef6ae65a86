import type { Membership } from './membership.ts';
import type { Position, Term } from './position.ts';

/** What the core must know of a snapshot: the state after applying everything up to `position`. */
export interface SnapshotMeta {
  readonly position: Position;
  /**
   * The term that its maker was in. Whoever takes the snapshot enters it: then no leader of an earlier term, to whom
   * what was committed since is unknown, can count on it.
   */
  readonly term: Term;
  /** As of `position`. */
  readonly membership: Membership;
}
