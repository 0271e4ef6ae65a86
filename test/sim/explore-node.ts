import { seededRandom } from '../../src/base/random.ts';
import { describeEffect, describeEvent } from '../../src/raft/describe.ts';
import type { Ballot, Effect } from '../../src/raft/effect.ts';
import type { Entry } from '../../src/raft/entry.ts';
import type { Event } from '../../src/raft/event.ts';
import { membershipOf } from '../../src/raft/membership.ts';
import type { Envelope, Message } from '../../src/raft/message.ts';
import { DEFAULT_RAFT_LIMITS } from '../../src/raft/options.ts';
import type { LogIndex, NodeId, Term } from '../../src/raft/position.ts';
import { Raft, type RaftStatus } from '../../src/raft/raft.ts';
import { SimDisk } from './disk.ts';
import { SimLog } from './sim-log.ts';

type EffectOf<K extends Effect['kind']> = Extract<Effect, { kind: K }>;

/** `timeout`: ticks until it campaigns; `beat`: ticks until a heartbeat is due; `written`: the write in flight ends. */
type OwnDeed = 'timeout' | 'beat' | 'written' | 'crashLost' | 'crashKept';

/** What can be done to one node. */
export type Deed = Extract<Event, { kind: 'receive' | 'propose' | 'peerUnreachable' }> | { readonly kind: OwnDeed };

/** A message on its way; `uid` tells apart all that differ, entries included. */
export interface Letter extends Envelope {
  readonly uid: number;
}

/** What came of a deed. */
export interface Step {
  readonly node: ExploredNode;
  readonly letters: readonly Letter[];
  /** What the core, or an assertion in it, or this driver complained about. */
  readonly broken: string | undefined;
}

/** The part of a core that must be rebuilt to go on from a node. */
interface Life {
  readonly raft: Raft;
  readonly disk: SimDisk;
  readonly log: SimLog;
  writing: EffectOf<'write'> | undefined;
  held: EffectOf<'send'>[];
  /** Whose votes it has got in its term. */
  granted: ReadonlySet<string>;
}

/** What is known of a node for ever, over its lives. */
interface Past {
  /** The terms that it led, and its log when it was elected. */
  readonly led: ReadonlyMap<Term, readonly Term[]>;
  /** To whom it sent its vote. */
  readonly votes: ReadonlyMap<Term, NodeId>;
  /** What it has known to be committed, and in which term it learned of each entry. */
  readonly committed: readonly { readonly entry: Entry; readonly learned: Term }[];
}

const NOBODY: Past = { led: new Map(), votes: new Map(), committed: [] };
const PATIENCE = 60;

/** All nodes that an exploration has met. */
export class Unfolding {
  readonly voters: readonly NodeId[];
  readonly byDigest = new Map<string, ExploredNode>();
  /** The core that stands where some node is, so that going on from there costs no rebuilding. */
  readonly warm = new Map<NodeId, { readonly at: ExploredNode; readonly life: Life }>();
  readonly #letters = new Map<string, number>();
  #born = 0;

  constructor(voters: readonly NodeId[]) {
    this.voters = voters;
  }

  get size(): number {
    return this.#born;
  }

  newborn(id: NodeId): ExploredNode {
    return new ExploredNode(this, start(id, this.voters, new SimDisk()), NOBODY, undefined, undefined);
  }

  nextUid(): number {
    this.#born += 1;
    return this.#born;
  }

  /** A number for each different message; appends differ by their entries, too. */
  letterUid({ from, message }: Envelope): number {
    const entries = message.kind === 'append' ? message.entries.map(({ term, bytes }) => `${term}:${bytes[0]}`) : [];
    const key = `${describeEvent({ kind: 'receive', from, message })} ${entries}`;
    const uid = this.#letters.get(key) ?? this.#letters.size;
    this.#letters.set(key, uid);
    return uid;
  }
}

/**
 * One node after a certain history: a real core cannot be copied, but it does the same again when it is given the same.
 * Histories that lead to the same visible state are one object, so that states of a cluster can be compared by `uid`,
 * and what a deed causes is found out once. What cannot be seen from outside (whether a probe is out, what was told of
 * the commit index) may differ between such histories: then only one of them is gone on with.
 */
export class ExploredNode {
  readonly uid: number;
  readonly id: NodeId;
  readonly status: RaftStatus;
  readonly terms: readonly Term[];
  readonly disk: readonly Entry[];
  readonly ballot: Ballot;
  readonly writing: boolean;
  /** Whether it has been told that its leader cannot be reached. */
  readonly forsaken: boolean;
  readonly past: Past;
  readonly #unfolding: Unfolding;
  readonly #before: ExploredNode | undefined;
  readonly #deed: Deed | undefined;
  readonly #steps = new Map<string, Step>();

  constructor(unfolding: Unfolding, life: Life, past: Past, before: ExploredNode | undefined, deed: Deed | undefined) {
    this.uid = unfolding.nextUid();
    this.#unfolding = unfolding;
    this.#before = before;
    this.#deed = deed;
    this.status = life.raft.status();
    this.id = this.status.id;
    this.terms = life.log.range(1, life.log.last.index).map(({ term }) => term);
    this.disk = [...life.disk.entries];
    this.ballot = life.disk.ballot;
    this.writing = life.writing !== undefined;
    this.forsaken = deed?.kind === 'peerUnreachable';
    this.past = past;
    unfolding.warm.set(this.id, { at: this, life });
  }

  after(deed: Deed, key: string): Step {
    const known = this.#steps.get(key);
    if (known !== undefined) return known;
    const { byDigest, voters } = this.#unfolding;
    const done = obey(this.#life(), deed, this.id, voters);
    const past = remember(this.past, done);
    const digest = digestOf(done.life, past, deed);
    const node = byDigest.get(digest) ?? new ExploredNode(this.#unfolding, done.life, past, this, deed);
    byDigest.set(digest, node);
    const letters = done.sent.map((envelope) => ({ ...envelope, uid: this.#unfolding.letterUid(envelope) }));
    const step = { node, letters, broken: done.broken ?? secondVote(this.past, done) };
    this.#steps.set(key, step);
    return step;
  }

  /** What a deed does, in words. */
  tell(deed: Deed): string[] {
    const { effects } = obey(this.#life(), deed, this.id, this.#unfolding.voters);
    const what = isOwn(deed) ? deed.kind : describeEvent(deed);
    return [`${this.id} < ${what}`, ...effects.map((effect) => `    ${describeEffect(effect)}`)];
  }

  /** A core with this history. */
  #life(): Life {
    const { warm, voters } = this.#unfolding;
    const found = warm.get(this.id);
    warm.delete(this.id);
    if (found?.at === this) return found.life;
    const deeds: Deed[] = [];
    let at: ExploredNode = this;
    while (at.#before !== undefined) {
      deeds.push(at.#deed!);
      at = at.#before;
    }
    let life = start(this.id, voters, new SimDisk());
    for (const deed of deeds.reverse()) life = obey(life, deed, this.id, voters).life;
    return life;
  }
}

function isOwn(deed: Deed): deed is { readonly kind: OwnDeed } {
  return deed.kind !== 'receive' && deed.kind !== 'propose' && deed.kind !== 'peerUnreachable';
}

function start(id: NodeId, voters: readonly NodeId[], disk: SimDisk): Life {
  const raft = new Raft({
    ...DEFAULT_RAFT_LIMITS,
    id,
    membership: membershipOf(voters),
    stored: disk.open(),
    applied: 0,
    random: seededRandom(id.charCodeAt(id.length - 1)),
  });
  return { raft, disk, log: new SimLog(disk), writing: undefined, held: [], granted: new Set() };
}

/** All that can be seen of a node, and what it showed before. */
function digestOf({ raft, disk, log, writing, held, granted }: Life, past: Past, deed: Deed): string {
  const { peers, ...status } = raft.status();
  const entries = (list: readonly Entry[]): string => list.map(({ term, bytes }) => `${term}:${bytes[0]}`).join();
  return JSON.stringify([
    status,
    [...peers],
    entries(log.range(1, log.last.index)),
    [disk.ballot, disk.commit, entries(disk.entries)],
    writing === undefined ? '' : describeEffect(writing),
    held.map(describeEffect),
    [...granted].sort(),
    deed.kind === 'peerUnreachable',
    [...past.led],
    [...past.votes],
    past.committed.map(({ entry, learned }) => [entry.term, entry.bytes[0], learned]),
  ]);
}

interface Done {
  readonly life: Life;
  readonly effects: readonly Effect[];
  readonly sent: readonly Envelope[];
  readonly broken: string | undefined;
}

function obey(before: Life, deed: Deed, id: NodeId, voters: readonly NodeId[]): Done {
  let life = before;
  const effects: Effect[] = [];
  const sent: Envelope[] = [];
  let broken: string | undefined;
  const give = (event: Event): void => {
    const caused = life.raft.step(event);
    effects.push(...caused);
    for (const effect of caused) broken ??= perform(life, effect, sent);
    for (const effect of caused) if (effect.kind === 'apply') give({ kind: 'applied', index: effect.to });
  };
  try {
    switch (deed.kind) {
      case 'timeout':
        for (let i = 0; i < PATIENCE && !effects.some(({ kind }) => kind === 'send'); i += 1) give({ kind: 'tick' });
        break;
      case 'beat':
        for (let i = 0; i < DEFAULT_RAFT_LIMITS.heartbeatTicks; i += 1) give({ kind: 'tick' });
        break;
      case 'crashLost':
      case 'crashKept':
        if (deed.kind === 'crashKept' && life.writing !== undefined) life.disk.write(life.writing);
        life = start(id, voters, life.disk);
        break;
      case 'written': {
        const write = life.writing!;
        life.writing = undefined;
        life.disk.write(write);
        const due = life.held.filter(({ after }) => after === write.id);
        life.held = life.held.filter(({ after }) => after !== write.id);
        for (const send of due) post(life, send, sent);
        give({ kind: 'persisted', write: write.id });
        break;
      }
      default:
        give(deed);
        if (deed.kind === 'receive' && deed.message.kind === 'voteReply' && deed.message.granted)
          life.granted = new Set([...life.granted, `${deed.message.term} ${deed.from}`]);
    }
  } catch (error) {
    broken ??= error instanceof Error ? error.message : String(error);
  }
  return { life, effects, sent, broken };
}

function perform(life: Life, effect: Effect, sent: Envelope[]): string | undefined {
  switch (effect.kind) {
    case 'stage':
      if (effect.truncateFrom !== undefined) life.log.truncate(effect.truncateFrom);
      life.log.push(effect.entries);
      return undefined;
    case 'write':
      if (life.writing !== undefined) return 'I18: two writes in flight';
      life.writing = effect;
      return undefined;
    case 'send':
      if (effect.after === undefined) return post(life, effect, sent);
      life.held.push(effect);
      return undefined;
    case 'apply':
      if (life.disk.last.index < effect.to) return `I9: ${effect.to} is applied before it is durable`;
      return life.disk.ballot.term === life.raft.status().term
        ? undefined
        : `I9: ${effect.to} is applied before the term is durable in which that was learned`;
    case 'halt':
      return `the core halts: ${effect.reason}`;
    default:
      return undefined;
  }
}

/** @returns what is promised without being durable. */
function post(life: Life, { to, message }: EffectOf<'send'>, sent: Envelope[]): string | undefined {
  const whole = message.kind === 'append' ? attach(life.log, message) : message;
  if (whole === undefined) return undefined;
  const from = life.raft.status().id;
  sent.push({ from, to, message: whole });
  const { ballot, last } = life.disk;
  if (message.kind === 'voteReply' && message.granted) {
    const durable = ballot.term > message.term || (ballot.term === message.term && ballot.votedFor === to);
    if (!durable) return `I17: ${from} gave its vote in ${message.term} before it was durable`;
  }
  if (message.kind === 'appendReply' && (ballot.term < message.term || last.index < message.match))
    return `I17: ${from} acknowledged ${message.match} before it was durable`;
  return undefined;
}

function attach(log: SimLog, message: Extract<Message, { kind: 'append' }>): Message | undefined {
  const { previous, last } = message;
  if (log.termAt(previous.index) !== previous.term || last > log.last.index) return undefined;
  return { ...message, entries: log.range(previous.index + 1, last) };
}

function secondVote({ votes }: Past, { sent }: Done): string | undefined {
  for (const { from, to, message } of sent) {
    if (message.kind !== 'voteReply' || !message.granted) continue;
    const first = votes.get(message.term) ?? to;
    if (first !== to) return `I7: ${from} voted in ${message.term} for ${first} and for ${to}`;
  }
  return undefined;
}

/** Adds what a deed showed to what is known of the node. */
function remember(past: Past, { life, sent }: Done): Past {
  const { role, term, commit } = life.raft.status();
  let { led, votes, committed } = past;
  if (role === 'leader' && !led.has(term)) {
    const before = life.log.range(1, life.log.last.index).filter((entry) => entry.term < term);
    led = new Map([...led, [term, before.map((entry) => entry.term)]]);
  }
  for (const { to, message } of sent) {
    if (message.kind === 'voteReply' && message.granted && !votes.has(message.term))
      votes = new Map([...votes, [message.term, to]]);
  }
  const learned: { entry: Entry; learned: Term }[] = [];
  for (let index: LogIndex = committed.length + 1; index <= commit; index += 1) {
    const entry = life.log.at(index);
    if (entry !== undefined) learned.push({ entry, learned: term });
  }
  if (learned.length > 0) committed = [...committed, ...learned];
  return { led, votes, committed };
}
