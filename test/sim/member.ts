import { seededRandom } from '../../src/base/random.ts';
import { describeEffect, describeEvent } from '../../src/raft/describe.ts';
import type { Effect } from '../../src/raft/effect.ts';
import type { Entry } from '../../src/raft/entry.ts';
import type { Event } from '../../src/raft/event.ts';
import { membershipOf } from '../../src/raft/membership.ts';
import type { Message } from '../../src/raft/message.ts';
import { DEFAULT_RAFT_LIMITS } from '../../src/raft/options.ts';
import type { LogIndex, NodeId } from '../../src/raft/position.ts';
import { Raft, type RaftStatus } from '../../src/raft/raft.ts';
import { BrokenPromise } from './checker.ts';
import { SimDisk } from './disk.ts';
import { exponential, TICK } from './faults.ts';
import type { World } from './world.ts';

type Send = Extract<Effect, { kind: 'send' }>;

/** One life of a member: from a start to a crash. */
interface Life {
  readonly raft: Raft;
  readonly inbox: Event[];
  readonly held: Send[];
  /** The log in memory: on disk, in flight or collected. */
  readonly log: Entry[];
  turnDue: boolean;
  writing: Extract<Effect, { kind: 'write' }> | undefined;
  readonly waitingReads: { readonly token: number; readonly index: LogIndex }[];
}

/** The driver of one core: performs its effects on a simulated disk and network, and dies when told to. */
export class Member {
  readonly id: NodeId;
  readonly disk = new SimDisk();
  readonly #world: World;
  readonly #period: number;
  #life: Life | undefined;
  #applied: LogIndex = 0;
  #pausedUntil = 0;

  constructor(id: NodeId, world: World, period: number) {
    this.id = id;
    this.#world = world;
    this.#period = period;
  }

  get alive(): boolean {
    return this.#life !== undefined;
  }

  get log(): readonly Entry[] {
    return this.#life?.log ?? [];
  }

  get applied(): LogIndex {
    return this.#applied;
  }

  status(): RaftStatus | undefined {
    return this.#life?.raft.status();
  }

  start(): void {
    const stored = this.disk.open();
    const world = this.#world;
    if (world.random.next() < world.faults.rollback) this.#applied = Math.floor(world.random.next() * this.#applied);
    const raft = new Raft({
      ...DEFAULT_RAFT_LIMITS,
      ...world.limits,
      id: this.id,
      membership: membershipOf(world.ids),
      stored,
      applied: this.#applied,
      random: seededRandom(Math.floor(world.random.next() * 2 ** 32)),
    });
    const log = [...this.disk.entries];
    const life: Life = { raft, inbox: [], held: [], log, turnDue: false, writing: undefined, waitingReads: [] };
    this.#life = life;
    world.checker.born(this.id, raft.status());
    const tick = (): void => {
      if (this.#life !== life) return;
      this.give({ kind: 'tick' });
      world.agenda.after(this.#period, tick);
    };
    world.agenda.after(Math.floor(world.random.next() * this.#period), tick);
  }

  /** The process dies. Its one unfinished write is on the disk wholly or not at all. */
  crash(): void {
    const life = this.#life;
    if (life === undefined) return;
    this.#life = undefined;
    this.#world.trace.add(`${this.id} crashes`);
    if (life.writing !== undefined && this.#world.random.next() < 0.5) this.disk.write(life.writing);
    this.#world.forget(this.id);
  }

  pause(duration: number): void {
    this.#pausedUntil = this.#world.agenda.now + duration;
  }

  /** Hands an event to the core, with whatever else arrives until its next turn. */
  give(event: Event): void {
    const life = this.#life;
    if (life === undefined) return;
    // A stalled process does not make up ticks, and its queues are bounded.
    if (event.kind === 'tick' && life.inbox.some(({ kind }) => kind === 'tick')) return;
    if (event.kind === 'receive' && life.inbox.length > 500) return;
    life.inbox.push(event);
    if (life.turnDue) return;
    life.turnDue = true;
    const { agenda, random } = this.#world;
    agenda.after(Math.max(Math.floor(random.next() * 3), this.#pausedUntil - agenda.now), () => this.#turn(life));
  }

  #turn(life: Life): void {
    if (this.#life !== life) return;
    life.turnDue = false;
    const events = life.inbox.splice(0);
    const { trace, checker, agenda } = this.#world;
    for (const event of events) trace.add(`${agenda.now} ${this.id} < ${describeEvent(event)}`);
    const effects = life.raft.stepAll(events);
    const status = life.raft.status();
    // What was staged is known before what it causes is judged.
    for (const effect of effects) if (effect.kind === 'stage') this.#stage(life, effect);
    const halted = effects.find(({ kind }) => kind === 'halt');
    if (halted?.kind === 'halt') throw new BrokenPromise(`${this.id} halted: ${halted.reason}`);
    checker.stepped(this.id, status, life.log);
    for (const effect of effects) {
      trace.add(`${agenda.now} ${this.id} > ${describeEffect(effect)}`);
      this.#perform(life, effect, status);
    }
  }

  #perform(life: Life, effect: Effect, status: RaftStatus): void {
    const world = this.#world;
    switch (effect.kind) {
      case 'write':
        this.#write(life, effect);
        break;
      case 'send':
        world.checker.decided(this.id, effect.to, effect.message, status);
        if (effect.after === undefined || world.bugs.sendsBeforeDurable) this.#send(life, effect, status);
        else life.held.push(effect);
        break;
      case 'apply':
        world.checker.applying(this.id, effect.from, effect.to, status);
        this.#applied = effect.to;
        for (let index = effect.from; index <= effect.to; index += 1) world.appliedAt(this.id, life.log[index - 1]!);
        world.agenda.after(exponential(world.random, 2), () => {
          if (this.#life === life) this.give({ kind: 'applied', index: effect.to });
        });
        this.#serveReads(life);
        break;
      case 'readReady':
        life.waitingReads.push({ token: effect.token, index: effect.index });
        this.#serveReads(life);
        break;
      case 'readFailed':
        world.readFailed(this.id, effect.token);
        break;
      case 'settle':
        world.settled(this.id, effect);
        break;
      case 'stage':
        if (effect.truncateFrom !== undefined) world.removed(this.id, effect.truncateFrom);
        break;
      case 'roleChanged':
      case 'halt':
        break;
    }
  }

  #stage(life: Life, { entries, truncateFrom }: Extract<Effect, { kind: 'stage' }>): void {
    if (truncateFrom !== undefined) life.log.length = truncateFrom - 1;
    this.#world.checker.staged(this.id, entries, life.log.at(-1)?.term ?? 0);
    life.log.push(...entries);
  }

  #write(life: Life, write: Extract<Effect, { kind: 'write' }>): void {
    if (life.writing !== undefined) throw new BrokenPromise(`${this.id}: two writes in flight`);
    life.writing = write;
    const { random, faults, agenda } = this.#world;
    const stall = random.next() < faults.diskStall ? Math.floor(random.next() * 100 * TICK) : 0;
    agenda.after(1 + exponential(random, faults.diskMean) + stall, () => {
      if (this.#life !== life) return;
      this.disk.write(write);
      life.writing = undefined;
      this.give({ kind: 'persisted', write: write.id });
      const status = life.raft.status();
      const due = life.held.filter(({ after }) => after === write.id);
      life.held.splice(0, life.held.length, ...life.held.filter(({ after }) => after !== write.id));
      for (const send of due) this.#send(life, send, status);
    });
  }

  #send(life: Life, { to, message }: Send, status: RaftStatus): void {
    const whole = message.kind === 'append' ? this.#attach(life, message) : message;
    if (whole === undefined) return;
    this.#world.checker.sent(this.id, to, whole, status);
    this.#world.network.send({ from: this.id, to, message: whole });
  }

  /** Puts the entries into an append, or drops it when the log has changed. */
  #attach(life: Life, message: Extract<Message, { kind: 'append' }>): Message | undefined {
    const { previous, last } = message;
    const { random, faults } = this.#world;
    if ((life.log[previous.index - 1]?.term ?? 0) !== previous.term || last > life.log.length) return undefined;
    const cut = last > previous.index + 1 && random.next() < faults.cut;
    const end = cut ? previous.index + 1 : last;
    return { ...message, last: end, entries: life.log.slice(previous.index, end) };
  }

  #serveReads(life: Life): void {
    for (let i = life.waitingReads.length - 1; i >= 0; i -= 1) {
      const { token, index } = life.waitingReads[i]!;
      if (index > this.#applied) continue;
      life.waitingReads.splice(i, 1);
      this.#world.readServed(this.id, token, index);
    }
  }
}
