import { assert } from '../base/assert.ts';
import type { Entry } from './entry.ts';
import type { Membership } from './membership.ts';
import { decodeMembership } from './membership-codec.ts';
import type { LogIndex, NodeId } from './position.ts';

interface Configuration {
  /** Where the entry stands that says so; 0, or an applied index, for what was there at the start. */
  readonly at: LogIndex;
  readonly membership: Membership;
}

/**
 * The configurations in the log, the last of which is in force as soon as it is appended (Raft §6). Before the one that
 * is committed none is remembered: the log is never cut there.
 */
export class MembershipLog {
  #known: Configuration[];

  /**
   * @param membership as of `applied`
   * @param configs entries of kind `config` of the log; those up to `applied` are passed over
   */
  constructor(membership: Membership, applied: LogIndex, configs: readonly Entry[]) {
    this.#known = [{ at: 0, membership }];
    for (const entry of configs) if (entry.index > applied) this.append(entry);
  }

  get current(): Membership {
    return this.#last.membership;
  }

  /** Where the entry stands that made `current`. */
  get at(): LogIndex {
    return this.#last.at;
  }

  /**
   * Whether the node votes in the configuration in force, or did in the one before that may yet be: its log may be the
   * longest, and nobody without it can be elected, until its removal is committed (thesis §4.2.2).
   */
  mayCampaign(node: NodeId): boolean {
    return this.#known.some(({ membership: { voters, outgoing } }) => voters.includes(node) || outgoing.includes(node));
  }

  /** @throws AssertionError when the entry holds no membership. */
  append(entry: Entry): void {
    const membership = decodeMembership(entry.bytes);
    assert(membership !== undefined, `Entry ${entry.index} should change the membership, but cannot be read`);
    this.#known.push({ at: entry.index, membership });
  }

  /** @returns whether another configuration is in force now. */
  truncate(from: LogIndex): boolean {
    const before = this.#known.length;
    while (this.#last.at >= from && this.#known.length > 1) this.#known.pop();
    return this.#known.length < before;
  }

  /** Forgets what can never be in force again. */
  committed(index: LogIndex): void {
    const last = this.#known.findLastIndex(({ at }) => at <= index);
    if (last > 0) this.#known = this.#known.slice(last);
  }

  /** The log begins anew behind a snapshot. */
  reset(membership: Membership, at: LogIndex): void {
    this.#known = [{ at, membership }];
  }

  get #last(): Configuration {
    const last = this.#known.at(-1);
    assert(last !== undefined, 'There is always a configuration');
    return last;
  }
}
