import type { Timers } from '../base/clock.ts';
import type { Logger } from '../host/logger.ts';
import { SluiceError } from '../model/errors.ts';
import type { AddMember, AddProgress, RemoveMember } from '../model/membership-change.ts';
import { isJoint, type MemberInfo, type MembershipTarget, memberName } from '../raft/membership.ts';
import type { RaftLimits } from '../raft/options.ts';
import type { LogIndex, NodeId } from '../raft/position.ts';
import type { RaftStatus } from '../raft/raft.ts';
import type { Greeting } from '../wire/greeting.ts';
import type { LeaderGate } from './leader-gate.ts';

/** The journal, as far as its members are concerned. */
export interface MembershipControl {
  status(): RaftStatus;
  /** See `JournalMembership`. */
  changeMembership(target: MembershipTarget, basedOn: LogIndex): Promise<void>;
}

export interface MembershipServiceParts {
  readonly journal: MembershipControl;
  readonly gate: LeaderGate;
  /** Name and id of the cluster. */
  readonly cluster: string;
  readonly clusterId: string;
  readonly limits: RaftLimits;
  readonly tickMs: number;
  readonly timers: Timers;
  readonly log: Logger;
  /** Asks the master at an address who it is. @throws SluiceError when it does not answer */
  hello(address: string): Promise<Greeting>;
}

/** How many entries a learner may lack before its promotion is tried; the core decides by bytes. */
const NEARLY = 10_000;

/**
 * Changes of the members that operators ask for, on the leader. Nothing is remembered here: each call does the next
 * step from where the membership is, so that a step may be asked for again, at the next leader too.
 */
export class MembershipService {
  readonly #parts: MembershipServiceParts;

  constructor(parts: MembershipServiceParts) {
    this.#parts = parts;
  }

  /**
   * Does the next step of taking a master in: as a learner first, then, when it holds nearly the whole journal, as a
   * voter. One that had its name before, with a disk that is lost, leaves by the same change.
   * @throws SluiceError NOT_LEADER; UNAVAILABLE when it does not answer; INVALID_ARGUMENT when it is not what was
   * meant; ALREADY_EXISTS when another one with its name lives
   */
  readonly add: (asked: AddMember) => Promise<AddProgress> = (asked) =>
    this.#parts.gate.guarded(async () => {
      const greeting = await this.#greet(asked);
      return this.#add(asked, greeting);
    });

  /**
   * Goes on without a master. @returns the names of the voters that stay
   * @throws SluiceError NOT_LEADER; NOT_FOUND; INVALID_ARGUMENT for the last voter; UNAVAILABLE when too few would be
   * up
   */
  readonly remove: (asked: RemoveMember) => Promise<readonly string[]> = (asked) =>
    this.#parts.gate.guarded(() => this.#remove(asked));

  /**
   * Makes a master lead whenever it is up and holds the journal; undefined leaves it to chance.
   * @throws SluiceError NOT_LEADER; NOT_FOUND
   */
  readonly prefer: (name: string | undefined) => Promise<void> = (name) =>
    this.#parts.gate.guarded(() => this.#prefer(name));

  async #greet({ name, address }: AddMember): Promise<Greeting> {
    const { cluster, clusterId } = this.#parts;
    const greeting = await this.#parts.hello(address).catch((thrown: unknown) => {
      const error = SluiceError.from(thrown);
      const message =
        `No master answers at ${address} (${error.message}): start it there with master.name=${name}, an empty ` +
        'folder, and masters of this cluster in master.peers';
      throw new SluiceError(error.code === 'UNAUTHENTICATED' ? error.code : 'UNAVAILABLE', message, { cause: thrown });
    });
    const found = memberName(greeting.id);
    const wrong =
      found !== name
        ? `is ${found}, not ${name}: correct the name or the address`
        : greeting.cluster !== cluster
          ? `belongs to a cluster named ${greeting.cluster}, this one is ${cluster}: correct its master.cluster`
          : greeting.clusterId !== '' && greeting.clusterId !== clusterId
            ? `belongs to cluster ${greeting.clusterId}, this one is ${clusterId}: start it with an empty folder`
            : greeting.removed
              ? 'was removed from this cluster: start it with an empty folder'
              : undefined;
    if (wrong !== undefined) throw new SluiceError('INVALID_ARGUMENT', `The master at ${address} ${wrong}`);
    return greeting;
  }

  async #add({ name, address }: AddMember, { id, clusterId, clientAddress }: Greeting): Promise<AddProgress> {
    const { journal, gate, log } = this.#parts;
    const status = journal.status();
    if (status.role !== 'leader') throw gate.notLeader();
    const { membership, last, peers } = status;
    const matchIndex = id === status.id ? status.durable : (peers.get(id)?.match ?? 0);
    const progress = { reason: '', identity: id, matchIndex, lastIndex: last.index };
    const waiting = (reason: string): AddProgress => ({ ...progress, phase: 'waiting', reason });
    if (isChanging(status)) return waiting('another change of the members is under way');
    const { voters, learners, members } = membership;
    const known = members.find((each) => each.id === id);
    const info: MemberInfo = { id, address, clientAddress, priority: known?.priority ?? 0 };
    if (voters.includes(id)) {
      if (known?.address !== address)
        await this.#change(status, { voters, learners, members: withInfo(members, info) });
      return { ...progress, phase: 'done' };
    }
    if (clusterId === '') return waiting(`${name} has not found this cluster yet: it looks at its master.peers`);
    const former = voters.find((each) => memberName(each) === name);
    if (former !== undefined && this.#lives(status, former, this.#parts.limits.electionTicks)) {
      // A new leader takes everybody for up until it has had time to miss them.
      await this.#heartbeats();
      const now = journal.status();
      if (now.role !== 'leader') throw gate.notLeader();
      if (!this.#lives(now, former, 2 * this.#parts.limits.heartbeatTicks))
        return waiting(`${former}, which had this name, has just fallen silent`);
      const message = `${former} votes already and is up, so ${name} is taken: choose another name, or stop it first`;
      throw new SluiceError('ALREADY_EXISTS', message);
    }
    const others = learners.filter((each) => memberName(each) !== name);
    if (!learners.includes(id)) {
      const staying = members.filter((each) => voters.includes(each.id) || others.includes(each.id));
      log.info({ member: id, address }, 'a master is taken in as a learner');
      const target = { voters, learners: [...others, id], members: withInfo(staying, info) };
      return (await this.#change(status, target)) ? { ...progress, phase: 'learning' } : waiting('the leader is busy');
    }
    if (peers.get(id)?.state !== 'replicate' || last.index - matchIndex > NEARLY)
      return { ...progress, phase: 'learning' };
    const inherited = { ...info, priority: members.find((each) => each.id === former)?.priority ?? info.priority };
    const target = {
      voters: [...voters.filter((each) => each !== former), id],
      learners: others,
      members: withInfo(
        members.filter((each) => each.id !== former),
        inherited,
      ),
    };
    log.info({ member: id, replaces: former }, 'a master that holds the journal becomes a voter');
    return { ...progress, phase: (await this.#change(status, target)) ? 'done' : 'learning' };
  }

  async #remove({ name, force }: RemoveMember): Promise<readonly string[]> {
    const { limits } = this.#parts;
    const status = await this.#heardStatus();
    const { voters, learners, members } = status.membership;
    const leaving = [...voters, ...learners].filter((id) => memberName(id) === name);
    if (leaving.length === 0) throw unknownMember(name, status);
    const staying = voters.filter((id) => !leaving.includes(id));
    if (staying.length === 0)
      throw new SluiceError('INVALID_ARGUMENT', `${name} is the last master that votes: add another one first`);
    const up = staying.filter((id) => this.#lives(status, id, 2 * limits.heartbeatTicks)).length;
    const needed = Math.floor(staying.length / 2) + 1;
    if (up < needed && !force) {
      const message =
        `Without ${name}, ${staying.length} masters vote and ${needed} must be up, but only ${up} are: start the ` +
        'others first; with --force the cluster stops until they are back';
      throw new SluiceError('UNAVAILABLE', message);
    }
    const target = {
      voters: staying,
      learners: learners.filter((id) => !leaving.includes(id)),
      members: members.filter(({ id }) => !leaving.includes(id)),
    };
    this.#parts.log.info({ leaving, staying }, 'a master is removed');
    await this.#parts.journal.changeMembership(target, status.membershipAt);
    return staying.map(memberName);
  }

  async #prefer(name: string | undefined): Promise<void> {
    const status = this.#settledStatus();
    const { voters, learners, members } = status.membership;
    if (name !== undefined && !voters.some((id) => memberName(id) === name)) throw unknownMember(name, status);
    const infoOf = (id: NodeId) => members.find((each) => each.id === id) ?? { id, address: '', clientAddress: '' };
    const preferred = [...voters, ...learners].map((id): MemberInfo => {
      return { ...infoOf(id), priority: voters.includes(id) && memberName(id) === name ? 1 : 0 };
    });
    const same = preferred.every(({ id, priority }) => members.find((each) => each.id === id)?.priority === priority);
    if (same) return;
    await this.#parts.journal.changeMembership({ voters, learners, members: preferred }, status.membershipAt);
  }

  /** @returns whether it was done; it may be tried again later otherwise. */
  async #change(status: RaftStatus, target: MembershipTarget): Promise<boolean> {
    try {
      await this.#parts.journal.changeMembership(target, status.membershipAt);
      return true;
    } catch (thrown) {
      if (thrown instanceof SluiceError && thrown.details['passing'] === true) return false;
      throw thrown;
    }
  }

  #lives({ id: self, peers }: RaftStatus, id: NodeId, maxSilentTicks: number): boolean {
    const silentTicks = id === self ? 0 : peers.get(id)?.silentTicks;
    return silentTicks !== undefined && silentTicks <= maxSilentTicks;
  }

  /** The status after heartbeats that all who live have answered since it was asked for. */
  async #heardStatus(): Promise<RaftStatus> {
    this.#settledStatus();
    await this.#heartbeats();
    return this.#settledStatus();
  }

  /** Resolves when all who live have had time to answer. */
  #heartbeats(): Promise<void> {
    const { timers, limits, tickMs } = this.#parts;
    return new Promise((resolve) => timers.after(3 * limits.heartbeatTicks * tickMs, resolve));
  }

  #settledStatus(): RaftStatus {
    const status = this.#parts.journal.status();
    if (status.role !== 'leader') throw this.#parts.gate.notLeader();
    if (!isChanging(status)) return status;
    const message = 'Another change of the members is under way: see sluice admin quorum info, and try again';
    throw new SluiceError('UNAVAILABLE', message, { details: { passing: true } });
  }
}

function isChanging({ membership, membershipCommitted }: RaftStatus): boolean {
  return isJoint(membership) || !membershipCommitted;
}

function withInfo(members: readonly MemberInfo[], info: MemberInfo): MemberInfo[] {
  return [...members.filter(({ id }) => id !== info.id), info];
}

function unknownMember(name: string, { membership }: RaftStatus): SluiceError {
  const names = [...membership.voters, ...membership.learners].map(memberName).join(', ');
  return new SluiceError('NOT_FOUND', `${name} is no master of this cluster: choose one of ${names}`);
}
