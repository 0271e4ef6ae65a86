import { randomInt } from '../../src/base/random.ts';
import type { NodeId } from '../../src/raft/position.ts';
import { exponential, TICK } from './faults.ts';
import type { Member } from './member.ts';
import type { World } from './world.ts';

const ELECTION_TIMEOUT = 10 * TICK;

/** Draws, once a tick, what goes wrong with nodes and paths. */
export class Trouble {
  readonly #world: World;
  #over = false;
  #stormUntil = 0;

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
    this.#transfers();
    this.#world.agenda.after(TICK, () => this.begin());
  }

  /** From now on nothing happens any more, nor does what was planned. */
  end(): void {
    this.#over = true;
  }

  /** The process dies, and comes back some time later. */
  crash(member: Member): void {
    const { faults, random, agenda, trace } = this.#world;
    if (this.#over || !member.alive) return;
    member.crash();
    agenda.after(exponential(random, faults.downMean), () => {
      if (member.alive || this.#over) return;
      trace.add(`${member.id} starts`);
      member.start();
      this.tellOthers(member.id, 'peerReachable');
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
    if (random.next() < faults.missedTicks) {
      coverage.fault('missedTicks');
      member.stopClock(randomInt(random, TICK, 3 * ELECTION_TIMEOUT));
    }
  }

  #partition(): void {
    const { ids, members, network, random, faults, trace, agenda } = this.#world;
    trace.add('partition');
    if (faults.rings && random.next() < 0.3) network.ring(ids);
    else {
      const leaders = ids.filter((id) => members.get(id)?.status()?.role === 'leader');
      const some = ids.filter(() => random.next() < 0.4);
      network.partition(ids, random.next() < 0.5 ? leaders : some);
    }
    this.#tellCut('peerUnreachable');
    agenda.after(exponential(random, faults.partitionMean), () => {
      this.#tellCut('peerReachable');
      network.heal();
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
    const to = stormy && random.next() < 0.7 ? this.#laggard() : this.#anyone();
    for (const member of members.values()) member.give({ kind: 'transferLeadership', to });
  }

  #anyone(): NodeId {
    const { ids, random } = this.#world;
    return ids[randomInt(random, 0, ids.length - 1)]!;
  }

  /** Who holds the shortest log; the dead hold none. */
  #laggard(): NodeId {
    const [first, ...rest] = this.#world.members.values();
    return rest.reduce((least, member) => (member.log.length < least.log.length ? member : least), first!).id;
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
