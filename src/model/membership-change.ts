/** A master that shall be taken into the cluster. */
export interface AddMember {
  readonly name: string;
  /** Where the other masters reach it, `host:port`. */
  readonly address: string;
}

/** How far the taking in of a master is. */
export interface AddProgress {
  /**
   * `waiting`: it, or the membership, is not ready for the next step yet; `learning`: it receives the journal and has
   * no vote; `done`: it votes.
   */
  readonly phase: 'waiting' | 'learning' | 'done';
  /** What is waited for; empty when nothing is. */
  readonly reason: string;
  /** Id of the master. */
  readonly identity: string;
  /** What it holds of the journal, and where that ends at the leader. */
  readonly matchIndex: number;
  readonly lastIndex: number;
}

export interface RemoveMember {
  readonly name: string;
  /** Also when the masters that stay cannot serve because too few of them are up. */
  readonly force: boolean;
}
