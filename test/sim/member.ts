import { randomInt, seededRandom } from '../../src/base/random.ts';
import { describeEffect, describeEvent } from '../../src/raft/describe.ts';
import type { Effect, Role } from '../../src/raft/effect.ts';
import type { Entry } from '../../src/raft/entry.ts';
import type { Event } from '../../src/raft/event.ts';
import { membershipOf } from '../../src/raft/membership.ts';
import type { Message } from '../../src/raft/message.ts';
import { DEFAULT_RAFT_LIMITS } from '../../src/raft/options.ts';
import { type LogIndex, type NodeId, ORIGIN } from '../../src/raft/position.ts';
import { Raft, type RaftStatus } from '../../src/raft/raft.ts';
import { BrokenPromise } from './checker.ts';
import { SimDisk } from './disk.ts';
import { exponential, TICK } from './faults.ts';
import type { World } from './world.ts';

type Send = Extract<Effect, { kind: 'send' }>;
type Write = Extract<Effect, { kind: 'write' }>;

/** One life of a member: from a start to a crash. */
interface Life {
  readonly raft: Raft;
  readonly inbox: Event[];
  readonly held: Send[];
  /** The log in memory: on disk, in flight or collected. */
  readonly log: Entry[];
  turnDue: boolean;
  writing: { readonly write: Write; done: boolean } | undefined;
  role: Role;
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
  #clockStoppedUntil = 0;
  /** What a paused process will do first. */
  readonly #asleep: (() => void)[] = [];

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
    if (world.random.next() < world.faults.rollback && this.#applied > 0) {
      world.coverage.fault('rollback');
      this.#applied = Math.floor(world.random.next() * this.#applied);
    }
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
    const life: Life = {
      raft,
      inbox: [],
      held: [],
      log,
      turnDue: false,
      writing: undefined,
      role: 'follower',
      waitingReads: [],
    };
    this.#life = life;
    this.#pausedUntil = 0;
    this.#clockStoppedUntil = 0;
    this.#asleep.length = 0;
    world.checker.born(this.id, raft.status());
    const tick = (): void => {
      if (this.#life !== life) return;
      if (world.agenda.now >= this.#clockStoppedUntil) this.give({ kind: 'tick' });
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
    const { writing } = life;
    if (writing !== undefined && !writing.done && this.#world.random.next() < 0.5) this.#store(writing.write);
    this.#world.forget(this.id);
  }

  pause(duration: number): void {
    const { agenda } = this.#world;
    this.#pausedUntil = agenda.now + duration;
    agenda.after(duration, () => {
      if (agenda.now >= this.#pausedUntil) for (const run of this.#asleep.splice(0)) run();
    });
  }

  /** Ticks do not come for so long; everything else does. */
  stopClock(duration: number): void {
    this.#clockStoppedUntil = this.#world.agenda.now + duration;
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
    agenda.after(Math.floor(random.next() * 3), () => this.#whenAwake(() => this.#turn(life)));
  }

  #whenAwake(run: () => void): void {
    if (this.#world.agenda.now < this.#pausedUntil) this.#asleep.push(run);
    else run();
  }

  #turn(life: Life): void {
    if (this.#life !== life) return;
    life.turnDue = false;
    const events = life.inbox.splice(0);
    const { trace, checker, agenda, coverage } = this.#world;
    coverage.steps += 1;
    for (const event of events) {
      trace.add(`${agenda.now} ${this.id} < ${describeEvent(event)}`);
      if (event.kind === 'receive') coverage.handler(event.message.kind, life.role);
      checker.heard(this.id, event);
    }
    const effects = life.raft.stepAll(events);
    const status = life.raft.status();
    life.role = status.role;
    // What was staged is known before what it causes is judged.
    for (const effect of effects) if (effect.kind === 'stage') this.#stage(life, effect, status);
    const halted = effects.find(({ kind }) => kind === 'halt');
    if (halted?.kind === 'halt') throw new BrokenPromise(`${this.id} halted: ${halted.reason}`);
    checker.stepped(this.id, status, life.log);
    for (const effect of effects) {
      trace.add(`${agenda.now} ${this.id} > ${describeEffect(effect)}`);
      coverage.effect(effect);
      this.#perform(life, effect, status);
    }
    if (life.writing === undefined) checker.idle(this.id, status);
  }

  #perform(life: Life, effect: Effect, status: RaftStatus): void {
    const world = this.#world;
    switch (effect.kind) {
      case 'write':
        this.#write(life, effect);
        break;
      case 'send':
        world.checker.decided(this.id, effect.to, effect.message, status);
        if (effect.after === undefined || effect.message.kind === world.bugs.sendsBeforeDurable)
          this.#send(life, effect, status);
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

  #stage(life: Life, { entries, truncateFrom }: Extract<Effect, { kind: 'stage' }>, status: RaftStatus): void {
    if (truncateFrom !== undefined) {
      this.#world.checker.truncated(this.id, truncateFrom, status);
      life.log.length = truncateFrom - 1;
    }
    this.#world.checker.staged(this.id, entries, life.log.at(-1) ?? ORIGIN);
    life.log.push(...entries);
  }

  #write(life: Life, write: Write): void {
    if (life.writing !== undefined) throw new BrokenPromise(`I18: ${this.id} has two writes in flight`);
    const writing = { write, done: false };
    life.writing = writing;
    const { random, faults, agenda } = this.#world;
    const stall = random.next() < faults.diskStall ? Math.floor(random.next() * 100 * TICK) : 0;
    if (stall > 0) this.#world.coverage.fault('diskStall');
    const slow = exponential(random, faults.diskMean);
    if (slow > TICK) this.#world.coverage.fault('slowDisk');
    const duration = 1 + slow + stall;
    if (random.next() < faults.crashAtWrite) agenda.after(randomInt(random, 0, duration - 1), () => this.#dieOf(life));
    agenda.after(duration, () => {
      if (this.#life !== life) return;
      this.#store(write);
      writing.done = true;
      if (random.next() < this.#world.faults.crashAtWrite) this.#dieOf(life);
      else this.#whenAwake(() => this.#written(life, write));
    });
  }

  /** What waits for a write leaves when the process has noticed its end. */
  #written(life: Life, write: Write): void {
    if (this.#life !== life) return;
    life.writing = undefined;
    this.give({ kind: 'persisted', write: write.id });
    const status = life.raft.status();
    const due = life.held.filter(({ after }) => after === write.id);
    life.held.splice(0, life.held.length, ...life.held.filter(({ after }) => after !== write.id));
    for (const send of due) this.#send(life, send, status);
  }

  #dieOf(life: Life): void {
    if (this.#life !== life) return;
    this.#world.coverage.fault('crashAtWrite');
    this.#world.trouble.crash(this);
  }

  #store(write: Write): void {
    const before = this.disk.ballot;
    this.disk.write(write);
    this.#world.checker.stored(this.id, before, this.disk.ballot);
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
    if (cut) this.#world.coverage.fault('cut');
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
