import { randomUUID } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { crc32 } from 'node:zlib';
import { must } from '../src/base/assert.ts';
import type * as Log from '../src/host/logger.ts';
import type * as MetricsModule from '../src/host/metrics.ts';
import type * as NodeTimers from '../src/host/node-timers.ts';
import type * as SystemClock from '../src/host/system-clock.ts';
import type * as Appends from '../src/master/append-pump.ts';
import type * as Metered from '../src/master/journal-metrics.ts';
import type * as Ring from '../src/master/journal-ring.ts';
import type { JournalStoreKind } from '../src/master/journal-store-kind.ts';
import type * as LevelStore from '../src/master/level-log-store.ts';
import type * as SegmentStore from '../src/master/segment-log-store.ts';
import type * as Storage from '../src/master/storage-pump.ts';
import type * as Ticking from '../src/master/ticker.ts';
import type { Effect } from '../src/raft/effect.ts';
import type { Entry } from '../src/raft/entry.ts';
import type { Event, Proposal } from '../src/raft/event.ts';
import type { LogStore } from '../src/raft/log-store.ts';
import type * as Members from '../src/raft/membership.ts';
import type { Message } from '../src/raft/message.ts';
import type * as Options from '../src/raft/options.ts';
import type { LogIndex, NodeId, Position } from '../src/raft/position.ts';
import type * as Core from '../src/raft/raft.ts';
import type { Transport, TransportListener } from '../src/raft/transport.ts';
import type * as Server from '../src/wire/grpc-server.ts';
import type * as Wire from '../src/wire/raft-transport.ts';
import { built } from './built.ts';

const { createLogger } = await built<typeof Log>('host/logger');
const { Metrics } = await built<typeof MetricsModule>('host/metrics');
const { nodeTimers } = await built<typeof NodeTimers>('host/node-timers');
const { systemClock } = await built<typeof SystemClock>('host/system-clock');
const { AppendPump } = await built<typeof Appends>('master/append-pump');
const { JournalRing } = await built<typeof Ring>('master/journal-ring');
const { JournalMetrics } = await built<typeof Metered>('master/journal-metrics');
const { LevelLogStore } = await built<typeof LevelStore>('master/level-log-store');
const { SegmentLogStore } = await built<typeof SegmentStore>('master/segment-log-store');
const { StoragePump } = await built<typeof Storage>('master/storage-pump');
const { Ticker } = await built<typeof Ticking>('master/ticker');
const { membershipOf } = await built<typeof Members>('raft/membership');
const { DEFAULT_RAFT_LIMITS } = await built<typeof Options>('raft/options');
const { Raft } = await built<typeof Core>('raft/raft');
const { GrpcServer } = await built<typeof Server>('wire/grpc-server');
const { RaftTransport } = await built<typeof Wire>('wire/raft-transport');

export interface NodeOptions {
  readonly name: NodeId;
  readonly peers: ReadonlyMap<NodeId, string>;
  readonly folder: string;
  readonly store: JournalStoreKind;
}

/** As the product has them by default. */
const TICK_MS = 15;
const LIMITS = { ...DEFAULT_RAFT_LIMITS, electionTicks: 20, heartbeatTicks: 3, stalledWriteTicks: 40 };
const RECENT_BYTES = 16 * 1024 * 1024;
const KEEP_ENTRIES = 200_000;
const COMPACT_EVERY = KEEP_ENTRIES / 8;

/** Applied state: how many entries, and one checksum over their bytes. */
export interface Applied {
  readonly index: LogIndex;
  readonly checksum: number;
}

/**
 * A member of a journal alone: the core, the stores, the pumps and the transport of the product, driven as `Journal`
 * drives them, with a state machine that counts and sums up, and no sessions, namespace or clients.
 */
export class JournalNode implements TransportListener {
  readonly #name: NodeId;
  readonly #log: LogStore;
  readonly #raft: Core.Raft;
  readonly #ring: Ring.JournalRing;
  readonly #storage: Storage.StoragePump;
  readonly #appends: Appends.AppendPump;
  readonly #transport: Transport;
  readonly #ticker: Ticking.Ticker;
  readonly #closing: (() => Promise<void>)[] = [];
  readonly #fatal: (error: unknown) => void;
  #inbox: Event[] = [];
  #proposals: Proposal[] = [];
  #lastProposal = 0;
  #scheduled = false;
  #leading = false;
  #applied: LogIndex = 0;
  #committed: LogIndex = 0;
  #checksum = 0;
  /** Where the log may be cut. */
  #marks: Position[] = [];
  #compacting: Promise<void> | undefined;
  #writes = 0;
  /** Told of how many commands were applied, in the order in which they were proposed. */
  onApplied: ((count: number) => void) | undefined;

  private constructor(
    { name, peers }: NodeOptions,
    log: LogStore,
    stored: Awaited<ReturnType<LogStore['open']>>,
    transport: Wire.RaftTransport,
    fatal: (error: unknown) => void,
  ) {
    this.#name = name;
    this.#log = log;
    this.#fatal = fatal;
    const membership = membershipOf([...peers.keys()]);
    const random = { next: Math.random };
    this.#raft = new Raft({ ...LIMITS, id: name, membership, stored, applied: 0, random });
    this.#ring = new JournalRing(stored.last.index, RECENT_BYTES);
    const metrics = new JournalMetrics(new Metrics(), systemClock);
    this.#storage = new StoragePump({
      log,
      clock: systemClock,
      metrics,
      send: (to, message) => this.#deliver(to, message),
      persisted: (write) => this.#arrive({ kind: 'persisted', write }),
      failed: fatal,
    });
    this.#appends = new AppendPump({
      ring: this.#ring,
      log,
      maxFrameBytes: LIMITS.maxFrameBytes,
      send: (to, message) => void this.#transport.send(to, message),
      leads: (term) => this.#raft.status().term === term,
      tooOld: (peer, index) => fatal(new Error(`${peer} needs entry ${index}`)),
      failed: fatal,
    });
    this.#transport = transport;
    this.#ticker = new Ticker({
      clock: systemClock,
      timers: nodeTimers,
      periodMs: TICK_MS,
      stallMs: (LIMITS.electionTicks * TICK_MS) / 2,
      tick: () => this.#arrive({ kind: 'tick' }),
      stalled: () => {},
    });
    transport.start(this, peers);
  }

  static async start(options: NodeOptions, fatal: (error: unknown) => void): Promise<JournalNode> {
    const { name, peers, folder, store } = options;
    await mkdir(folder, { recursive: true });
    const path = `${folder}/journal`;
    const log = store === 'level' ? new LevelLogStore(path) : new SegmentLogStore(path);
    const stored = await log.open();
    const transport = new RaftTransport({
      self: name,
      address: must(peers.get(name), 'A member is among the peers'),
      clusterId: 'bench',
      incarnation: randomUUID(),
      timers: nodeTimers,
      random: { next: Math.random },
      logger: createLogger('error', { component: name }),
      metrics: new Metrics(),
    });
    const port = Number(must(peers.get(name), 'A member is among the peers').split(':')[1]);
    const services = [transport.service];
    const server = await GrpcServer.start({ host: '127.0.0.1', port, token: undefined, services, timers: nodeTimers });
    const node = new JournalNode(options, log, stored, transport, fatal);
    node.#closing.push(
      () => server.close(),
      async () => transport.close(),
    );
    return node;
  }

  get leading(): boolean {
    return this.#leading;
  }

  get applied(): Applied {
    return { index: this.#applied, checksum: this.#checksum };
  }

  /** Writes of the log so far. */
  get writes(): number {
    return this.#writes;
  }

  /** Proposes commands; `onApplied` tells when they are. */
  propose(commands: readonly Uint8Array[]): void {
    for (const bytes of commands) {
      this.#lastProposal += 1;
      this.#proposals.push({ id: this.#lastProposal, bytes });
    }
    this.#schedule();
  }

  receive(from: NodeId, message: Message): void {
    this.#arrive({ kind: 'receive', from, message });
  }

  peerReachable(peer: NodeId): void {
    this.#arrive({ kind: 'peerReachable', peer });
  }

  peerUnreachable(peer: NodeId): void {
    this.#arrive({ kind: 'peerUnreachable', peer });
  }

  async close(): Promise<void> {
    this.#ticker.stop();
    this.#scheduled = true;
    await this.#storage.idle();
    await this.#compacting;
    await this.#log.close();
    for (const close of this.#closing) await close();
  }

  #arrive(event: Event): void {
    this.#inbox.push(event);
    this.#schedule();
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#turn();
    });
  }

  #turn(): void {
    const events = this.#inbox;
    this.#inbox = [];
    if (this.#proposals.length > 0) {
      events.push({ kind: 'propose', proposals: this.#proposals });
      this.#proposals = [];
    }
    for (const effect of this.#raft.stepAll(events)) this.#perform(effect);
    if (events.some(({ kind }) => kind === 'persisted')) this.#ring.markDurable(this.#raft.log.durable);
    this.#apply();
  }

  #perform(effect: Effect): void {
    switch (effect.kind) {
      case 'stage':
        this.#ring.stage(effect.entries, effect.truncateFrom);
        break;
      case 'write':
        this.#writes += 1;
        this.#storage.write(effect);
        break;
      case 'send':
        if (effect.after === undefined) this.#deliver(effect.to, effect.message);
        else this.#storage.hold(effect.after, effect.to, effect.message);
        break;
      case 'apply':
        this.#committed = effect.to;
        break;
      case 'settle':
        if (effect.fate !== 'accepted') this.#fatal(new Error(`${this.#name}: a proposal was dropped`));
        break;
      case 'roleChanged':
        if (this.#leading && this.onApplied !== undefined) this.#fatal(new Error(`${this.#name} lost leadership`));
        this.#leading = false;
        break;
      case 'halt':
        this.#fatal(new Error(effect.reason));
        break;
      default:
        this.#fatal(new Error(`${effect.kind} is nothing that this bench asks for`));
    }
  }

  #deliver(to: NodeId, message: Message): void {
    if (message.kind === 'append') this.#appends.send(to, message);
    else this.#transport.send(to, message);
  }

  #apply(): void {
    if (this.#committed === this.#applied) return;
    let commands = 0;
    while (this.#applied < this.#committed) {
      const entry = this.#ring.get(this.#applied + 1);
      // All that is committed here was staged lately: a node of this bench never starts with a log.
      if (entry === undefined) {
        this.#fatal(new Error(`Entry ${this.#applied + 1} has left the memory`));
        return;
      }
      this.#applied = entry.index;
      if (entry.index % COMPACT_EVERY === 0) this.#marks.push({ term: entry.term, index: entry.index });
      if (entry.kind === 'command') {
        this.#checksum = crc32(entry.bytes, this.#checksum);
        commands += 1;
      } else this.#began(entry);
    }
    this.#inbox.push({ kind: 'applied', index: this.#applied });
    if (commands > 0) this.onApplied?.(commands);
    this.#compact();
  }

  /** A leader's first entry: if it is this node's, it leads. */
  #began(entry: Entry): void {
    const { role, term } = this.#raft.status();
    this.#leading = role === 'leader' && term === entry.term;
  }

  #compact(): void {
    if (this.#compacting !== undefined) return;
    const base = this.#marks.findLast(({ index }) => index <= this.#applied - KEEP_ENTRIES);
    if (base === undefined) return;
    this.#marks = this.#marks.filter(({ index }) => index > base.index);
    this.#compacting = this.#log
      .compact(base)
      .then(() => this.#arrive({ kind: 'compacted', base }), this.#fatal)
      .finally(() => {
        this.#compacting = undefined;
      });
  }
}
