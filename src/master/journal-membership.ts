import { assert } from '../base/assert.ts';
import type { CancelTimer } from '../base/clock.ts';
import { SluiceError } from '../model/errors.ts';
import type { Effect } from '../raft/effect.ts';
import type { Entry } from '../raft/entry.ts';
import type { ChangeId, Event } from '../raft/event.ts';
import { allMembers, isJoint, type Membership, type MembershipTarget } from '../raft/membership.ts';
import { decodeMembership } from '../raft/membership-codec.ts';
import type { LogIndex, NodeId } from '../raft/position.ts';
import { unknownFate } from './journal-errors.ts';
import type { JournalParts } from './journal-parts.ts';
import { addressesIn } from './journal-quorum.ts';

export interface JournalMembershipParts
  extends Pick<JournalParts, 'id' | 'limits' | 'tickMs' | 'timers' | 'logger' | 'onRemoved'> {
  arrive(event: Event): void;
  /** These are to be connected with. */
  connect(addresses: ReadonlyMap<NodeId, string>): void;
}

/** So many election timeouts pass between the end of its membership and that of a master: others can take over. */
const GRACE = 2;

/** Somebody who waits for a change of the membership. */
interface Waiting {
  readonly id: ChangeId;
  /** Where it begins; undefined until it is accepted. */
  at: LogIndex | undefined;
  resolve(): void;
  reject(error: SluiceError): void;
}

type Settled = Extract<Effect, { kind: 'membershipSettled' }>;

/** The journal's side of the membership: who waits for its changes, and what they mean to this master. */
export class JournalMembership {
  readonly #parts: JournalMembershipParts;
  #current: Membership;
  #waiting: Waiting[] = [];
  #lastId: ChangeId = 0;
  /** This master has been a member as of what is applied. */
  #joined: boolean;
  #cancelEnd: CancelTimer | undefined;

  /** @param current in force at the start; @param applied as of what is applied then */
  constructor(parts: JournalMembershipParts, current: Membership, applied: Membership) {
    this.#parts = parts;
    this.#current = current;
    this.#joined = allMembers(applied).includes(parts.id);
  }

  /** What is in force, committed or not. */
  get current(): Membership {
    return this.#current;
  }

  /**
   * Makes the membership `target`, if it is still that of the entry `basedOn`. Resolves when that is committed and
   * applied here, at its end.
   * @throws SluiceError UNAVAILABLE with details `passing: true` when it cannot be done now and nothing was, with
   * `fate: 'unknown'` when leadership is lost meanwhile; INVALID_ARGUMENT; NOT_LEADER
   */
  change(target: MembershipTarget, basedOn: LogIndex): Promise<void> {
    this.#lastId += 1;
    const id = this.#lastId;
    return new Promise((resolve, reject) => {
      this.#waiting.push({ id, at: undefined, resolve, reject });
      this.#parts.arrive({ kind: 'changeMembership', id, target, basedOn });
    });
  }

  /** Effect `membershipChanged`. */
  changed(membership: Membership, at: LogIndex): void {
    this.#current = membership;
    const { voters, outgoing, learners } = membership;
    this.#parts.logger.info({ at, voters, outgoing, learners }, 'the members of the cluster change');
    this.#parts.connect(addressesIn(membership));
  }

  /** Effect `membershipSettled`. @param notLeader who leads instead, as an error */
  settled(effect: Settled, notLeader: () => SluiceError): void {
    const waiting = this.#waiting.find(({ id }) => id === effect.id);
    assert(waiting !== undefined, 'Somebody waits for each change of the membership');
    if (effect.fate === 'accepted') {
      waiting.at = effect.at.index;
      return;
    }
    this.#waiting = this.#waiting.filter((each) => each !== waiting);
    waiting.reject(effect.reason === 'notLeader' ? notLeader() : refusal(effect.reason, effect.why));
  }

  /** An entry was applied. */
  applied(entry: Entry): void {
    if (entry.kind !== 'config') return;
    const membership = decodeMembership(entry.bytes);
    assert(membership !== undefined, `Entry ${entry.index} holds a membership`);
    if (!isJoint(membership)) this.#resolve(entry.index);
    this.restored(membership);
  }

  /** The state is one in which this is the membership. */
  restored(membership: Membership): void {
    const { id, timers, logger, limits, tickMs, onRemoved } = this.#parts;
    if (allMembers(membership).includes(id)) this.#joined = true;
    else if (this.#joined && this.#cancelEnd === undefined) {
      logger.error({ voters: membership.voters }, 'this master is no member of the cluster any more');
      this.#cancelEnd = timers.after(GRACE * limits.electionTicks * tickMs, onRemoved);
    }
  }

  /** Nobody can tell whether what was accepted will be committed. */
  lost(why: string): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const each of waiting) each.reject(unknownFate(why));
  }

  stop(why: string): void {
    this.#cancelEnd?.();
    this.lost(why);
  }

  #resolve(index: LogIndex): void {
    const done = this.#waiting.filter(({ at }) => at !== undefined && at <= index);
    this.#waiting = this.#waiting.filter((each) => !done.includes(each));
    for (const each of done) each.resolve();
  }
}

function refusal(reason: string, why: string): SluiceError {
  const message = `The members of the cluster were not changed: ${why}`;
  if (reason === 'invalid') return new SluiceError('INVALID_ARGUMENT', message);
  return new SluiceError('UNAVAILABLE', message, { details: { passing: true, reason } });
}
