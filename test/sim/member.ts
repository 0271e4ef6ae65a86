import { randomInt, seededRandom } from '../../src/base/random.ts';
import type { Effect, Role } from '../../src/raft/effect.ts';
import type { Entry } from '../../src/raft/entry.ts';
import type { Event } from '../../src/raft/event.ts';
import { allMembers, type Membership } from '../../src/raft/membership.ts';
import type { Message } from '../../src/raft/message.ts';
import { DEFAULT_RAFT_LIMITS } from '../../src/raft/options.ts';
import { type LogIndex, type NodeId, ORIGIN, type Position } from '../../src/raft/position.ts';
import { Raft, type RaftStatus } from '../../src/raft/raft.ts';
import type { SnapshotMeta } from '../../src/raft/snapshot-meta.ts';
import { BrokenPromise } from './checker.ts';
import { type DiskDeed, SimDisk } from './disk.ts';
import { exponential, TICK } from './faults.ts';
import { JournalFiles } from './journal-files.ts';
import { NamespaceState } from './namespace-state.ts';
import { SimLog } from './sim-log.ts';
import type { World } from './world.ts';

type Send = Extract<Effect, { kind: 'send' }>;
type Write = Extract<Effect, { kind: 'write' }>;

/** How often states are compared. */
const DIGEST_EACH = 64;
/** Chance that a state is flushed after some entries were applied. */
const FLUSH = 0.1;

/** One life of a member: from a start to a crash. */
interface Life {
  readonly raft: Raft;
  readonly inbox: Event[];
  readonly held: Send[];
  readonly log: SimLog;
  turnDue: boolean;
  writing: { readonly write: Write; done: boolean } | undefined;
  role: Role;
  /** The state is being replaced by a snapshot. */
  installing: boolean;
  /** The state in the snapshot that was fetched. */
  fetched: NamespaceState | undefined;
  /** Reads that needed no round. */
  leaseReads: number;
  readonly waitingReads: { readonly token: number; readonly index: LogIndex }[];
}

/** The driver of one core: performs its effects on a simulated disk and network, and dies when told to. */
export class Member {
  readonly id: NodeId;
  readonly disk: SimDisk;
  readonly #deeds: DiskDeed[] = [];
  readonly #files: JournalFiles;
  readonly #world: World;
  readonly #period: number;
  /** How fast its clock runs. */
  readonly #rate: number;
  #life: Life | undefined;
  /** Whom the member knows where the log tells it nothing. */
  #founders: Membership;
  #state = new NamespaceState();
  /** What of it is on disk for sure. */
  #flushed = new NamespaceState();
  /** Never to start again: its disk is lost, or it was removed and has noticed. */
  #gone = false;
  #pausedUntil = 0;
  #clockStoppedUntil = 0;
  /** What a paused process will do first. */
  readonly #asleep: (() => void)[] = [];

  constructor(
    id: NodeId,
    world: World,
    clock: { readonly period: number; readonly rate: number },
    founders: Membership,
  ) {
    this.id = id;
    this.#founders = founders;
    this.#world = world;
    this.#period = clock.period;
    this.#rate = clock.rate;
    const { torn, damage } = world.faults;
    this.disk = torn > 0 || damage > 0 ? new SimDisk(this.#deeds) : new SimDisk();
    this.#files = new JournalFiles(this.disk, this.#deeds);
  }

  get alive(): boolean {
    return this.#life !== undefined;
  }

  get gone(): boolean {
    return this.#gone;
  }

  /** Undefined when it is down. */
  get role(): Role | undefined {
    return this.#life?.role;
  }

  get last(): Position {
    return this.#life?.log.last ?? ORIGIN;
  }

  /** From the first entry kept on. */
  get entries(): readonly Entry[] {
    const log = this.#life?.log;
    return log === undefined ? [] : log.range(log.base.index + 1, log.last.index);
  }

  /** The configuration in force in it, or, when it is down, the last on its disk. */
  get membership(): Membership {
    return this.status()?.membership ?? this.#world.checker.membershipIn(this.disk, this.#founders);
  }

  get applied(): LogIndex {
    return this.#state.index;
  }

  get state(): NamespaceState {
    return this.#state;
  }

  /** The index of the entry that made `membership`, as far as it is in the log. */
  get membershipAt(): LogIndex {
    const last = this.disk.entries.findLast(({ kind }) => kind === 'config')?.index ?? 0;
    return this.status()?.membershipAt ?? last;
  }

  /** What its clock shows. */
  get timeMs(): number {
    return this.#world.agenda.now * this.#rate;
  }

  /** Whether it would read now without asking anybody. */
  get holdsLease(): boolean {
    return (this.status()?.leaseUntilMs ?? Number.NEGATIVE_INFINITY) > this.timeMs;
  }

  status(): RaftStatus | undefined {
    return this.#life?.raft.status();
  }

  start(): void {
    const stored = this.disk.open();
    const world = this.#world;
    if (world.random.next() < world.faults.rollback && this.#flushed.index < this.applied) {
      world.coverage.fault('rollback');
      this.#state = this.#flushed.copy();
    }
    const raft = new Raft({
      ...DEFAULT_RAFT_LIMITS,
      ...world.limits,
      id: this.id,
      membership: world.checker.membershipAt(this.applied) ?? this.#founders,
      stored,
      applied: this.applied,
      random: seededRandom(Math.floor(world.random.next() * 2 ** 32)),
    });
    const log = new SimLog(this.disk);
    const life: Life = {
      raft,
      inbox: [],
      held: [],
      log,
      turnDue: false,
      writing: undefined,
      role: 'follower',
      installing: false,
      fetched: undefined,
      leaseReads: 0,
      waitingReads: [],
    };
    this.#life = life;
    this.#pausedUntil = 0;
    this.#clockStoppedUntil = 0;
    this.#asleep.length = 0;
    world.checker.born(this.id, raft.status(), stored.configs);
    const tick = (): void => {
      if (this.#life !== life) return;
      if (world.agenda.now >= this.#clockStoppedUntil) this.give({ kind: 'tick' });
      world.agenda.after(this.#period, tick);
    };
    world.agenda.after(Math.floor(world.random.next() * this.#period), tick);
  }

  /** The process dies. Its one unfinished write is on the disk wholly or not at all, or the store finds that out. */
  crash(): void {
    const life = this.#life;
    if (life === undefined) return;
    this.#life = undefined;
    this.#world.trace.add(`${this.id} crashes`);
    const { writing } = life;
    if (writing !== undefined && !writing.done) this.#interrupt(writing.write);
    this.#world.forget(this.id);
  }

  #interrupt(write: Write): void {
    const { random, diskRandom, faults, coverage } = this.#world;
    if (diskRandom.next() >= faults.torn) {
      if (random.next() < 0.5) this.#store(write);
      return;
    }
    coverage.fault('torn');
    this.#world.meanwhile(async () => {
      const kept = await this.#files.tear(write, diskRandom);
      coverage.disk(kept ? 'torn kept' : 'torn cut');
      if (kept) this.#store(write);
      // It is on the files already.
      if (kept) this.#deeds.pop();
    });
  }

  /** Something happens to the disk while the process is down. Who is refused by its store is lost for ever. */
  damage(): void {
    const { diskRandom, coverage, trace } = this.#world;
    this.#world.meanwhile(async () => {
      const verdict = await this.#files.damage(diskRandom);
      if (verdict === undefined) return;
      coverage.fault('damage');
      coverage.disk(`damage ${verdict.end}`);
      trace.add(`${this.id} is damaged: ${verdict.damage}, ${verdict.end}`);
      if (verdict.end !== 'harmless') this.#gone = true;
    });
  }

  /** Never comes back. */
  leave(): void {
    this.crash();
    this.#gone = true;
  }

  pause(duration: number): void {
    const { agenda } = this.#world;
    this.#pausedUntil = agenda.now + duration;
    agenda.after(duration, () => {
      if (agenda.now >= this.#pausedUntil) for (const run of this.#asleep.splice(0)) run();
    });
  }

  /** What operators asked and the process has not looked at yet is asked no longer. */
  forgetChanges(): void {
    const inbox = this.#life?.inbox;
    const others = inbox?.filter(({ kind }) => kind !== 'changeMembership') ?? [];
    inbox?.splice(0, inbox.length, ...others);
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
      trace.heard(agenda.now, this.id, event);
      if (event.kind === 'receive') coverage.handler(event.message.kind, life.role);
      checker.heard(this.id, event);
    }
    const effects = life.raft.stepAll(events, this.timeMs);
    const status = life.raft.status();
    life.role = status.role;
    for (; life.leaseReads < status.leaseReads; life.leaseReads += 1) coverage.fault('leases');
    // What was staged is known before what it causes is judged.
    for (const effect of effects) if (effect.kind === 'stage') this.#stage(life, effect, status);
    const halted = effects.find(({ kind }) => kind === 'halt');
    if (halted?.kind === 'halt') throw new BrokenPromise(`${this.id} halted: ${halted.reason}`);
    checker.stepped(this.id, status, life.log);
    for (const effect of effects) {
      trace.decided(agenda.now, this.id, effect);
      coverage.effect(effect);
      this.#perform(life, effect, status);
    }
    if (life.writing === undefined && !life.installing) checker.idle(this.id, status);
  }

  #perform(life: Life, effect: Effect, status: RaftStatus): void {
    const world = this.#world;
    switch (effect.kind) {
      case 'write':
        this.#write(life, effect);
        break;
      case 'send':
        world.checker.decided(this.id, effect.to, effect.message);
        if (effect.after === undefined || effect.message.kind === world.bugs.sendsBeforeDurable)
          this.#send(life, effect, status);
        else life.held.push(effect);
        break;
      case 'apply':
        world.checker.applying(this.id, effect.from, effect.to, status);
        this.#apply(life, effect);
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
      case 'membershipSettled':
        world.checker.answered(`change ${effect.id}`);
        break;
      case 'fetchSnapshot':
        this.#fetch(life, effect.from);
        break;
      case 'installSnapshot':
        this.#install(life, effect);
        break;
      case 'discardSnapshot':
        life.fetched = undefined;
        break;
      case 'membershipChanged':
      case 'roleChanged':
      case 'handingOver':
      case 'halt':
        break;
    }
  }

  #stage(life: Life, { entries, truncateFrom }: Extract<Effect, { kind: 'stage' }>, status: RaftStatus): void {
    if (truncateFrom !== undefined) {
      this.#world.checker.truncated(this.id, truncateFrom, status);
      life.log.truncate(truncateFrom);
    }
    this.#world.checker.staged(this.id, entries, life.log.last, life.installing, status);
    life.log.push(entries);
  }

  #apply(life: Life, { from, to }: Extract<Effect, { kind: 'apply' }>): void {
    const world = this.#world;
    for (let index = from; index <= to; index += 1) {
      const entry = life.log.at(index)!;
      const outcome = this.#state.apply(index, world.isCommand(entry.bytes) ? entry.bytes : undefined);
      if (index % DIGEST_EACH === 0) world.checker.reached(this.id, index, this.#state.digest);
      world.appliedAt(this.id, entry, outcome);
    }
    if (world.random.next() < FLUSH) this.#state.flushTo(this.#flushed);
    world.agenda.after(exponential(world.random, 2), () => {
      if (this.#life !== life) return;
      this.give({ kind: 'applied', index: to });
      this.#compact(life, to);
    });
    this.#serveReads(life);
    if (world.checker.isRemoved(this.id, to) && world.random.next() < 0.5)
      world.agenda.after(0, () => this.#retire(life));
  }

  /** It has seen that it is no member any more. */
  #retire(life: Life): void {
    if (this.#life !== life || !this.#world.checker.isRemoved(this.id, this.applied)) return;
    if (allMembers(this.membership).includes(this.id)) return;
    this.#world.trace.add(`${this.id} retires`);
    this.leave();
  }

  /** Forgets the beginning of the log, up to a few entries before `applied`. */
  #compact(life: Life, applied: LogIndex): void {
    const { faults, random, coverage } = this.#world;
    if (random.next() >= faults.compaction || life.installing) return;
    const index = applied - randomInt(random, 0, faults.keep);
    const term = life.log.termAt(index);
    if (index <= this.disk.base.index || term === undefined) return;
    coverage.fault('compaction');
    if (this.#flushed.index < index) this.#state.flushTo(this.#flushed);
    this.disk.compact({ term, index });
    life.log.compact({ term, index });
    this.give({ kind: 'compacted', base: { term, index } });
  }

  /** Brings a snapshot of what the other has applied by then, on a path of its own, which may work where others fail. */
  #fetch(life: Life, from: NodeId): void {
    const { agenda, random, faults, members, network, coverage, checker, bugs } = this.#world;
    agenda.after(exponential(random, faults.snapshotMean), () => {
      if (this.#life !== life) return;
      const source = members.get(from);
      const status = source?.status();
      const lost = random.next() < faults.snapshotLoss;
      if (lost) coverage.fault('snapshotLoss');
      const cut = network.isCut(from, this.id) && random.next() < 0.5;
      if (source === undefined || status === undefined || lost || cut) {
        this.give({ kind: 'snapshotFailed' });
        return;
      }
      const { index } = source.#state;
      const membership = checker.membershipAt(index) ?? source.#founders;
      const position = { term: checker.committedAt(index)?.term ?? 0, index };
      life.fetched = source.#state.copy(bugs.snapshotWithoutSessions ? ['session', 'reply'] : []);
      this.give({ kind: 'snapshotFetched', meta: { position, term: status.term, membership } });
    });
  }

  #install(life: Life, { meta, keepLog }: { readonly meta: SnapshotMeta; readonly keepLog: boolean }): void {
    const { agenda, random, faults, checker } = this.#world;
    if (life.writing !== undefined) throw new BrokenPromise(`I18: ${this.id} installs during a write`);
    checker.installing(this.id, meta, life.log, keepLog);
    life.installing = true;
    agenda.after(1 + exponential(random, faults.diskMean), () => {
      if (this.#life !== life) return;
      const { position } = meta;
      if (!keepLog && this.#world.bugs.keepsLog !== true) {
        this.disk.reset(position);
        life.log.reset(position);
      }
      this.#state = life.fetched!;
      this.#flushed = this.#state.copy();
      checker.reached(this.id, position.index, this.#state.digest);
      this.#founders = meta.membership;
      life.fetched = undefined;
      life.installing = false;
      checker.installed(this.id, meta, keepLog);
      this.#world.passed(this.id, position.index);
      if (random.next() < faults.crashAtWrite) {
        this.#dieOf(life, 'crashAtWrite');
        return;
      }
      this.give({ kind: 'snapshotInstalled', meta });
      this.#world.agenda.after(0, () => this.#life === life && this.#serveReads(life));
    });
  }

  #write(life: Life, write: Write): void {
    if (life.writing !== undefined || life.installing)
      throw new BrokenPromise(`I18: ${this.id} has two writes in flight`);
    const writing = { write, done: false };
    life.writing = writing;
    const { random, faults, agenda } = this.#world;
    const stall = random.next() < faults.diskStall ? Math.floor(random.next() * 100 * TICK) : 0;
    if (stall > 0) this.#world.coverage.fault('diskStall');
    const slow = exponential(random, faults.diskMean);
    if (slow > TICK) this.#world.coverage.fault('slowDisk');
    const duration = 1 + slow + stall;
    const turning = life.role === 'leader' && write.entries.some((entry) => entry.kind !== 'command');
    const kind = turning ? 'crashLeader' : 'crashAtWrite';
    if (random.next() < faults[kind]) agenda.after(randomInt(random, 0, duration - 1), () => this.#dieOf(life, kind));
    agenda.after(duration, () => {
      if (this.#life !== life) return;
      this.#store(write);
      writing.done = true;
      if (random.next() < this.#world.faults.crashAtWrite) this.#dieOf(life, 'crashAtWrite');
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

  #dieOf(life: Life, kind: 'crashAtWrite' | 'crashLeader'): void {
    if (this.#life !== life) return;
    this.#world.coverage.fault(kind);
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
    if (life.log.termAt(previous.index) !== previous.term || last > life.log.last.index) return undefined;
    const cut = last > previous.index + 1 && random.next() < faults.cut;
    if (cut) this.#world.coverage.fault('cut');
    const end = cut ? previous.index + 1 : last;
    return { ...message, last: end, entries: life.log.range(previous.index + 1, end) };
  }

  #serveReads(life: Life): void {
    for (let i = life.waitingReads.length - 1; i >= 0; i -= 1) {
      const { token, index } = life.waitingReads[i]!;
      if (index > this.applied) continue;
      life.waitingReads.splice(i, 1);
      this.#world.readServed(this.id, token, index);
    }
  }
}
