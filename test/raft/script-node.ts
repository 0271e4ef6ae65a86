import { assert, must } from '../../src/base/assert.ts';
import { seededRandom } from '../../src/base/random.ts';
import { describeEffect, describeEvent } from '../../src/raft/describe.ts';
import type { Effect } from '../../src/raft/effect.ts';
import type { Event } from '../../src/raft/event.ts';
import type { Membership } from '../../src/raft/membership.ts';
import { decodeMembership } from '../../src/raft/membership-codec.ts';
import type { Envelope, Message } from '../../src/raft/message.ts';
import { DEFAULT_RAFT_LIMITS, type RaftLimits } from '../../src/raft/options.ts';
import type { LogIndex, NodeId } from '../../src/raft/position.ts';
import { Raft, type RaftStatus } from '../../src/raft/raft.ts';
import type { SnapshotMeta } from '../../src/raft/snapshot-meta.ts';
import type { SimDisk } from '../sim/disk.ts';
import { SimLog } from '../sim/sim-log.ts';

type EffectOf<K extends Effect['kind']> = Extract<Effect, { kind: K }>;

export interface ScriptNodeSetup {
  readonly disk: SimDisk;
  readonly membership: Membership;
  readonly limits: Partial<RaftLimits>;
  /** Writes end, and commands are applied, only when the script says so. */
  readonly slowDisk: boolean;
  readonly slowApply: boolean;
}

/** What happens outside of a node. */
export interface Surroundings {
  say(line: string): void;
  send(envelope: Envelope): void;
}

/** One core with a disk, a log in memory and a state machine that does nothing; tells whatever it does. */
export class ScriptNode {
  readonly id: NodeId;
  readonly #setup: ScriptNodeSetup;
  readonly #outside: Surroundings;
  #raft!: Raft;
  #log!: SimLog;
  #held: EffectOf<'send'>[] = [];
  #writing: EffectOf<'write'> | undefined;
  #installing: EffectOf<'installSnapshot'> | undefined;
  #fetched: SnapshotMeta | undefined;
  #lives = 0;
  /** The state machine: how far it is, and the members as of there. */
  #applied: LogIndex;
  #membership: Membership;

  constructor(id: NodeId, setup: ScriptNodeSetup, outside: Surroundings) {
    this.id = id;
    this.#setup = setup;
    this.#outside = outside;
    this.#applied = setup.disk.base.index;
    this.#membership = setup.membership;
    this.#start();
  }

  get status(): RaftStatus {
    return this.#raft.status();
  }

  get terms(): number[] {
    return this.#log.range(this.#log.base.index + 1, this.#log.last.index).map(({ term }) => term);
  }

  /** A new life; of the write in flight the disk has kept all or nothing. */
  restart(kept: boolean): void {
    if (kept && this.#writing !== undefined) this.#setup.disk.write(this.#writing);
    this.#start();
  }

  give(event: Event): void {
    const effects = this.#raft.step(event);
    const routine = event.kind === 'tick' || event.kind === 'applied';
    if (effects.length > 0 || !routine) this.#outside.say(`${this.id} < ${describeEvent(event)}`);
    for (const effect of effects) {
      this.#outside.say(`    ${describeEffect(effect)}`);
      this.#perform(effect);
    }
    if (!this.#setup.slowDisk) while (this.#writing !== undefined) this.persist();
    if (!this.#setup.slowApply && this.status.applied < this.#applied) this.apply();
  }

  /** The write in flight ends. */
  persist(): void {
    const write = must(this.#writing, `${this.id} writes nothing`);
    this.#writing = undefined;
    this.#setup.disk.write(write);
    for (const send of this.#held.splice(0)) {
      if (send.after === write.id) this.#send(send);
      else this.#held.push(send);
    }
    this.give({ kind: 'persisted', write: write.id });
  }

  /** The state machine has applied what it was given. */
  apply(): void {
    this.give({ kind: 'applied', index: this.#applied });
  }

  compact(index: LogIndex): void {
    const base = { term: must(this.#log.termAt(index), `${this.id} does not hold ${index}`), index };
    this.#setup.disk.compact(base);
    this.#log.compact(base);
    this.give({ kind: 'compacted', base });
  }

  /** A snapshot of the state of this node. */
  snapshot(): SnapshotMeta {
    const index = this.#applied;
    const term = must(this.#log.termAt(index), `${this.id} does not know the term of ${index}`);
    return { position: { term, index }, term: this.status.term, membership: this.#membership };
  }

  fetched(meta: SnapshotMeta): void {
    this.#fetched = meta;
    this.give({ kind: 'snapshotFetched', meta });
  }

  /** State and log have been replaced. */
  installed(): void {
    const { meta, keepLog } = must(this.#installing, `${this.id} installs nothing`);
    this.#installing = undefined;
    if (!keepLog) {
      this.#setup.disk.reset(meta.position);
      this.#log.reset(meta.position);
    }
    this.#applied = meta.position.index;
    this.#membership = meta.membership;
    this.give({ kind: 'snapshotInstalled', meta });
  }

  #start(): void {
    const { disk, limits } = this.#setup;
    this.#held = [];
    this.#writing = undefined;
    this.#installing = undefined;
    this.#fetched = undefined;
    this.#log = new SimLog(disk);
    this.#lives += 1;
    this.#raft = new Raft({
      ...DEFAULT_RAFT_LIMITS,
      ...limits,
      id: this.id,
      membership: this.#membership,
      stored: disk.open(),
      applied: this.#applied,
      random: seededRandom(1000 * this.#lives + this.id.charCodeAt(0)),
    });
  }

  #perform(effect: Effect): void {
    switch (effect.kind) {
      case 'stage':
        assert(this.#installing === undefined, 'The log changes while a snapshot takes its place');
        if (effect.truncateFrom !== undefined) this.#log.truncate(effect.truncateFrom);
        this.#log.push(effect.entries);
        break;
      case 'write':
        assert(this.#writing === undefined && this.#installing === undefined, 'Two writes in flight');
        this.#writing = effect;
        break;
      case 'send':
        if (effect.after === undefined) this.#send(effect);
        else this.#held.push(effect);
        break;
      case 'apply':
        for (let index = effect.from; index <= effect.to; index += 1) {
          const entry = must(this.#log.at(index), `${this.id} does not hold ${index}`);
          if (entry.kind === 'config') this.#membership = must(decodeMembership(entry.bytes), 'A broken membership');
        }
        this.#applied = effect.to;
        break;
      case 'installSnapshot':
        assert(effect.meta === this.#fetched, 'Another snapshot is installed than was fetched');
        this.#installing = effect;
        break;
      case 'fetchSnapshot':
      case 'discardSnapshot':
      case 'membershipChanged':
      case 'membershipSettled':
      case 'readReady':
      case 'readFailed':
      case 'settle':
      case 'roleChanged':
      case 'halt':
        break;
    }
  }

  #send({ to, message }: EffectOf<'send'>): void {
    const whole = message.kind === 'append' ? this.#attach(message) : message;
    if (whole === undefined) this.#outside.say(`    (to ${to}: dropped, the log has changed)`);
    else this.#outside.send({ from: this.id, to, message: whole });
  }

  #attach(message: Extract<Message, { kind: 'append' }>): Message | undefined {
    const { previous, last } = message;
    if (this.#log.termAt(previous.index) !== previous.term || last > this.#log.last.index) return undefined;
    return { ...message, entries: this.#log.range(previous.index + 1, last) };
  }
}
