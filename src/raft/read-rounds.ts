import type { ReadToken } from './event.ts';
import type { LogIndex, NodeId } from './position.ts';

/** A read as the leader sees it: its own (`from` undefined), or that of a follower. */
export interface LeaderRead {
  readonly from: NodeId | undefined;
  readonly token: ReadToken;
  readonly since: number;
}

export interface ReadRound {
  /** The leader's own count of rounds in this leadership; what peers echo. */
  readonly position: number;
  /** What was committed when the round began. */
  readonly index: LogIndex;
  readonly reads: readonly LeaderRead[];
  readonly since: number;
}

/** The leader's reads: one round in flight, everything that arrives meanwhile waits for the next one. */
export class ReadRounds {
  readonly #limit: number;
  #waiting: LeaderRead[] = [];
  #round: ReadRound | undefined;
  #position = 0;
  #begun = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** The position of the newest round; rides on every message to a follower. */
  get position(): number {
    return this.#position;
  }

  /** Rounds in the life of this node. */
  get begun(): number {
    return this.#begun;
  }

  /** Reads that no round has answered. */
  get pending(): number {
    return this.#waiting.length + (this.#round?.reads.length ?? 0);
  }

  get round(): ReadRound | undefined {
    return this.#round;
  }

  /** @returns false when there is no room. */
  add(read: LeaderRead): boolean {
    if (this.#waiting.length >= this.#limit) return false;
    this.#waiting.push(read);
    return true;
  }

  /** Begins another position, for which nobody waits. @returns it */
  advance(): number {
    this.#position += 1;
    return this.#position;
  }

  /** Begins a round for all who wait, unless one is in flight or nobody waits. */
  begin(index: LogIndex, now: number): boolean {
    if (this.#round !== undefined || this.#waiting.length === 0) return false;
    this.#begun += 1;
    this.#round = { position: this.advance(), index, reads: this.#waiting, since: now };
    this.#waiting = [];
    return true;
  }

  /** Ends the round in flight when `confirmed` has reached its position. */
  finish(confirmed: number): ReadRound | undefined {
    const round = this.#round;
    if (round === undefined || confirmed < round.position) return undefined;
    this.#round = undefined;
    return round;
  }

  /** Takes out what began before tick `before`. */
  expire(before: number): readonly LeaderRead[] {
    const expired: LeaderRead[] = [];
    if (this.#round !== undefined && this.#round.since < before) {
      expired.push(...this.#round.reads);
      this.#round = undefined;
    }
    const alive = this.#waiting.findIndex((read) => read.since >= before);
    return expired.concat(this.#waiting.splice(0, alive === -1 ? this.#waiting.length : alive));
  }

  /** Ends a leadership: takes out everything and counts from the beginning. */
  clear(): readonly LeaderRead[] {
    const all = this.expire(Number.POSITIVE_INFINITY);
    this.#position = 0;
    return all;
  }
}
