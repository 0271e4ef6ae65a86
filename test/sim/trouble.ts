import { randomInt } from '../../src/base/random.ts';
import type { Membership, MembershipTarget } from '../../src/raft/membership.ts';
import type { NodeId, Term } from '../../src/raft/position.ts';
import { hasQuorum } from './checker.ts';
import { exponential, TICK } from './faults.ts';
import type { Member } from './member.ts';
import type { World } from './world.ts';

/** So that a run stays quick. */
const MEMBERS_MAX = 10;
const ELECTION_TIMEOUT = 10 * TICK;

/** Draws, once a tick, what goes wrong with nodes and paths. */
export class Trouble {
  readonly #world: World;
  #over = false;
  #stormUntil = 0;
  #changes = 0;
  #term: Term = 0;
  /** Who leads in this term, and who led before it. */
  #newest: NodeId | undefined;
  #former: NodeId | undefined;

  constructor(world: World) {
    this.#world = world;
  }

  begin(): void {
    if (this.#over) return;
    const { faults, random, members } = this.#world;
    if (random.next() < faults.partition) this.#partition();
    if (random.next() < faults.clog) this.#clog();
    if (random.next() < faults.crashAll) {
      this.#world.coverage.fault('crashAll');
      for (const member of members.values()) this.crash(member);
    }
    for (const member of members.values()) this.#disturb(member);
    this.#lookForLeaders();
    if (random.next() < faults.temptation) this.#tempt();
    this.#transfers();
    if (random.next() < faults.churn * members.size) this.churn();
    if (random.next() < faults.wipe) this.#wipe();
    if (this.#world.diskRandom.next() < faults.damage) this.#damage();
    this.#world.agenda.after(TICK, () => this.begin());
  }

  /** From now on nothing happens any more, nor does what was planned. */
  end(): void {
    this.#over = true;
  }

  /** The process dies, and comes back some time later. */
  crash(member: Member): void {
    const { faults, random, agenda, trace, coverage } = this.#world;
    if (this.#over || !member.alive) return;
    member.crash();
    agenda.after(exponential(random, faults.downMean), () => {
      if (member.alive || member.gone || this.#over) return;
      trace.add(`${member.id} starts`);
      member.start();
      this.tellOthers(member.id, 'peerReachable');
      if (random.next() >= faults.crashYoung) return;
      coverage.fault('crashYoung');
      agenda.after(randomInt(random, 1, 2 * ELECTION_TIMEOUT), () => this.crash(member));
    });
  }

  /** Connections with a node break, or come back. */
  tellOthers(node: NodeId, kind: 'peerUnreachable' | 'peerReachable'): void {
    const { faults, members, agenda, random } = this.#world;
    if (!faults.breaksNoticed) return;
    for (const member of members.values()) {
      if (member.id === node || !member.alive) continue;
      agenda.after(exponential(random, 3), () => member.give({ kind, peer: node }));
    }
  }

  #disturb(member: Member): void {
    const { faults, random, coverage } = this.#world;
    if (random.next() < faults.crash && member.alive) {
      coverage.fault('crash');
      this.crash(member);
    }
    if (random.next() < faults.pause) {
      coverage.fault('pause');
      member.pause(exponential(random, faults.pauseMean));
    }
    if (random.next() < faults.longPause) {
      coverage.fault('longPause');
      member.pause(randomInt(random, 1, 60) * ELECTION_TIMEOUT);
    }
    if (random.next() < faults.missedTicks) this.#stopClock(member);
  }

  #stopClock(member: Member): void {
    const { coverage, random } = this.#world;
    coverage.fault('missedTicks');
    member.stopClock(randomInt(random, TICK, 3 * ELECTION_TIMEOUT));
  }

  #partition(): void {
    const { ids, network, random, faults, trace, agenda } = this.#world;
    trace.add('partition');
    if (faults.rings && random.next() < 0.3) network.ring(ids);
    else {
      network.partition(ids, random.next() < 0.5 ? this.#minorityWithLeader() : ids.filter(() => random.next() < 0.4));
    }
    this.#tellCut('peerUnreachable');
    agenda.after(exponential(random, faults.partitionMean), () => {
      this.#tellCut('peerReachable');
      network.heal();
    });
  }

  /**
   * While nobody writes, somebody misses a leader that all others hear; then these lose it too, or are started again. All
   * have logs that may lead, and those who promised not to help must wait.
   */
  #tempt(): void {
    const { ids, members, network, random, coverage, agenda } = this.#world;
    const leader = [...members.values()].find(({ holdsLease }) => holdsLease);
    if (leader === undefined) return;
    const missing = randomInt(random, 0, 6) * ELECTION_TIMEOUT;
    this.#world.quietUntil = agenda.now + missing + 6 * ELECTION_TIMEOUT;
    const lonely = this.#anyone();
    agenda.after(ELECTION_TIMEOUT, () => {
      if (!this.#over) network.partition([leader.id, lonely], [leader.id]);
    });
    agenda.after(ELECTION_TIMEOUT + missing, () => {
      if (this.#over || !leader.holdsLease) return;
      coverage.fault('temptation');
      if (random.next() < 0.5) this.#silence(leader.id);
      else network.partition(ids, [leader.id]);
      for (const member of members.values()) {
        if (member === leader || member.id === lonely || !member.alive) continue;
        if (random.next() < 0.5) agenda.after(randomInt(random, 0, 3), () => this.#restart(member));
        else agenda.after(randomInt(random, 0, 3), () => member.give({ kind: 'peerUnreachable', peer: leader.id }));
      }
      agenda.after(randomInt(random, 2, 5) * ELECTION_TIMEOUT, () => network.heal());
    });
  }

  /** It hears answers to what it said, late, when those who gave them may be free of their promises. */
  #silence(leader: NodeId): void {
    const { ids, network, random, agenda } = this.#world;
    const late = randomInt(random, ELECTION_TIMEOUT, 2 * ELECTION_TIMEOUT);
    for (const id of ids) if (id !== leader) network.clog(id, leader, late);
    agenda.after(3 * TICK, () => {
      if (!this.#over) network.mute(leader, ids);
    });
  }

  #restart(member: Member): void {
    if (this.#over || !member.alive) return;
    member.crash();
    this.#world.agenda.after(1, () => {
      if (!this.#over && !member.alive && !member.gone) member.start();
    });
  }

  #clog(): void {
    const { network, random } = this.#world;
    network.clog(this.#anyone(), this.#anyone(), exponential(random, 2 * ELECTION_TIMEOUT));
  }

  #transfers(): void {
    const { faults, random, members, agenda, coverage } = this.#world;
    if (random.next() < faults.transferStorm) this.#stormUntil = agenda.now + randomInt(random, 5, 50) * TICK;
    const stormy = agenda.now < this.#stormUntil;
    if (!stormy && random.next() >= faults.transfer * members.size) return;
    coverage.fault(stormy ? 'transferStorm' : 'transfer');
    const to = this.#successor();
    for (const member of members.values()) member.give({ kind: 'transferLeadership', to });
  }

  /** Somebody asks every member for the same change; the leader may obey. */
  churn(): void {
    const { random, members, coverage, agenda } = this.#world;
    const leaders = [...members.values()].filter((member) => member.role === 'leader');
    const leader = leaders[randomInt(random, 0, Math.max(0, leaders.length - 1))];
    const status = leader?.status();
    if (status === undefined) return;
    coverage.fault('churn');
    const target = this.#target(status.membership);
    const alive = (voter: NodeId): boolean => members.get(voter)?.gone === false;
    if (!hasQuorum({ ...target, outgoing: [] }, alive)) return;
    const basedOn = random.next() < 0.5 ? { basedOn: status.membershipAt } : {};
    for (const member of members.values()) {
      if (member !== leader && random.next() < 0.7) continue;
      agenda.after(exponential(random, 3), () => {
        if (this.#over || !member.alive) return;
        this.#changes += 1;
        member.give({ kind: 'changeMembership', id: this.#changes, target, ...basedOn });
      });
    }
  }

  /** What an operator may want, wise or not. Nobody is to vote who was not asked to, so nobody comes back to life. */
  #target({ voters, learners }: Membership): MembershipTarget {
    const { random, members } = this.#world;
    const some = (ids: readonly NodeId[]): NodeId | undefined => ids[randomInt(random, 0, Math.max(0, ids.length - 1))];
    const dead = voters.filter((id) => members.get(id)?.gone !== false);
    const voter = some(dead.length > 0 ? dead : voters);
    const learner = some(learners);
    const target = (v: readonly (NodeId | undefined)[], l: readonly (NodeId | undefined)[]): MembershipTarget => ({
      voters: [...new Set(v.filter((id) => id !== undefined))],
      learners: [...new Set(l.filter((id) => id !== undefined))],
      members: [],
    });
    const without = (ids: readonly NodeId[], id: NodeId | undefined): NodeId[] => ids.filter((other) => other !== id);
    const kind = random.next();
    if (kind < 0.35 && members.size < MEMBERS_MAX) return target(voters, [...learners, this.#newcomer()]);
    if (kind < 0.6) return target([...voters, learner], without(learners, learner));
    if (kind < 0.75) return target([...without(voters, voter), learner], without(learners, learner));
    if (kind < 0.85) return target(without(voters, voter), learners);
    if (kind < 0.9) return target(without(voters, voter), [...learners, voter]);
    if (kind < 0.95) return target(voters, without(learners, learner));
    const known = [...members.values()].filter(({ alive }) => alive).map(({ id }) => id);
    const rest = without(known, some(known));
    return target(rest.slice(0, 3), rest.slice(3));
  }

  /** A machine with an empty disk, started to be taken in. */
  #newcomer(): NodeId {
    const member = this.#world.join();
    this.#world.trace.add(`${member.id} comes`);
    member.start();
    return member.id;
  }

  /** A disk is lost for ever, where all configurations still have a majority without it. */
  #wipe(): void {
    const { members, coverage, trace } = this.#world;
    const victim = this.#anyone();
    if (!this.#mayLose(victim)) return;
    coverage.fault('wipe');
    trace.add(`${victim} is lost`);
    members.get(victim)?.leave();
  }

  /** A disk is damaged, where all configurations still have a majority without it: it may be lost. */
  #damage(): void {
    const { members, ids, diskRandom } = this.#world;
    const victim = members.get(ids[randomInt(diskRandom, 0, ids.length - 1)]!)!;
    if (!this.#mayLose(victim.id)) return;
    this.crash(victim);
    victim.damage();
  }

  #mayLose(victim: NodeId): boolean {
    const { members } = this.#world;
    const alive = (id: NodeId): boolean => id !== victim && members.get(id)?.gone === false;
    const configurations = [
      this.#world.checker.membership,
      ...[...members.values()].map(({ membership }) => membership),
    ];
    const bearable = configurations.every((membership) => {
      const concerned = membership.voters.includes(victim) || membership.outgoing.includes(victim);
      return !concerned || hasQuorum(membership, alive);
    });
    return bearable && members.get(victim)?.gone === false;
  }

  /** Anyone, or somebody who is a bad choice: who lacks most, or who led not long ago and may not know that it was replaced. */
  #successor(): NodeId {
    const { random } = this.#world;
    const drawn = random.next();
    if (drawn < 0.3) return this.#anyone();
    return drawn < 0.6 ? this.#laggard() : (this.#former ?? this.#anyone());
  }

  #lookForLeaders(): void {
    const { members, network, random, faults } = this.#world;
    for (const id of this.#leaders()) {
      const { term } = members.get(id)!.status()!;
      if (term <= this.#term) continue;
      this.#term = term;
      if (this.#newest !== id) this.#former = this.#newest;
      this.#newest = id;
      if (random.next() < faults.echo) network.echo(id, term);
    }
  }

  #leaders(): NodeId[] {
    const { ids, members } = this.#world;
    return ids.filter((id) => members.get(id)?.role === 'leader');
  }

  #anyone(): NodeId {
    const { ids, random } = this.#world;
    return ids[randomInt(random, 0, ids.length - 1)]!;
  }

  /**
   * A leader, alone or with some who still hear it: what these acknowledge the others will replace. Where clocks fail,
   * its own may stand still, so that it leads on without a quorum.
   */
  #minorityWithLeader(): NodeId[] {
    const { ids, members, faults, random } = this.#world;
    const chosen = this.#leaders();
    if (faults.missedTicks > 0 && random.next() < 0.5) for (const id of chosen) this.#stopClock(members.get(id)!);
    const most = Math.floor((ids.length - 1) / 2);
    while (chosen.length < most && random.next() < 0.5) chosen.push(this.#anyone());
    return chosen;
  }

  /** Who holds the shortest log; the dead hold none. */
  #laggard(): NodeId {
    const [first, ...rest] = this.#world.members.values();
    return rest.reduce((least, member) => (member.last.index < least.last.index ? member : least), first!).id;
  }

  /** Connections through the cut break, or, when it is about to heal, come back. */
  #tellCut(kind: 'peerUnreachable' | 'peerReachable'): void {
    const { faults, members, ids, network, agenda, random } = this.#world;
    if (!faults.breaksNoticed) return;
    for (const member of members.values()) {
      for (const peer of ids) {
        if (!network.isCut(peer, member.id)) continue;
        agenda.after(exponential(random, 3), () => member.give({ kind, peer }));
      }
    }
  }
}
