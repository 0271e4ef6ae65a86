import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { vi } from 'vitest';
import { seededRandom } from '../../src/base/random.ts';
import { Metrics } from '../../src/host/metrics.ts';
import { nodeTimers } from '../../src/host/node-timers.ts';
import { systemClock } from '../../src/host/system-clock.ts';
import type { Journal } from '../../src/master/journal.ts';
import { openJournal } from '../../src/master/journal-open.ts';
import type { JournalStoreKind } from '../../src/master/journal-store-kind.ts';
import type { SnapshotLink } from '../../src/master/snapshot-exchange.ts';
import { SluiceError } from '../../src/model/errors.ts';
import { TABLE_NAMES } from '../../src/model/state-store.ts';
import { type Membership, membershipOf } from '../../src/raft/membership.ts';
import type { Message } from '../../src/raft/message.ts';
import type { TransportListener } from '../../src/raft/transport.ts';
import type { SnapshotChunk, SnapshotReader } from '../../src/wire/snapshot-reader.ts';

const silent = { debug() {}, info() {}, warn() {}, error() {}, child: () => silent };

export interface ClusterOptions {
  readonly size?: number;
  readonly recentBytes?: number;
  readonly keepEntries?: number;
  readonly store?: JournalStoreKind;
  readonly leaseReads?: boolean;
}

/** Masters in one process with real stores and a network that the test cuts. */
export class JournalCluster {
  readonly names: readonly string[];
  readonly journals = new Map<string, Journal>();
  readonly fatal = new Map<string, SluiceError>();
  /** For those that are started from now on. */
  readonly keepEntries = new Map<string, number>();
  /** Sees, changes or loses what is sent of a snapshot of `from`. */
  onChunk: (chunk: SnapshotChunk, from: string) => SnapshotChunk | Promise<SnapshotChunk> = (chunk) => chunk;
  /** Who knows that it is no member any more. */
  readonly removed = new Set<string>();
  /** Pairs `from>to` whose messages are dropped. */
  readonly #cut = new Set<string>();
  readonly #listeners = new Map<string, TransportListener>();
  readonly #metrics = new Map<string, Metrics>();
  readonly #options: ClusterOptions;
  readonly #folders = new Map<string, string>();
  readonly #abandoned: Journal[] = [];
  #root = '';
  #generation = 0;

  constructor(options: ClusterOptions = {}) {
    this.#options = options;
    this.names = Array.from({ length: options.size ?? 3 }, (_, i) => `m${i + 1}`);
  }

  get #birth(): Membership {
    const members = this.names.map((id, i) => {
      return { id, address: `${id}:1`, clientAddress: `127.0.0.1:${1000 + i}`, priority: 0 };
    });
    return { ...membershipOf(this.names), members };
  }

  async start(names: readonly string[] = this.names): Promise<this> {
    if (this.#root === '') this.#root = await mkdtemp(join(tmpdir(), 'sluice-journal-'));
    for (const name of names) {
      const folder = this.#folders.get(name) ?? join(this.#root, name);
      this.#folders.set(name, folder);
      this.journals.set(name, await this.#open(name, folder));
    }
    return this;
  }

  /** Ends a master as `kill -9` does: what it had written at this moment is what it will find. */
  async kill(name: string): Promise<void> {
    const journal = this.get(name);
    this.#generation += 1;
    const copy = join(this.#root, `${name}.${this.#generation}`);
    this.#listeners.delete(name);
    this.journals.delete(name);
    await cp(this.#folders.get(name) ?? '', copy, { recursive: true });
    this.#folders.set(name, copy);
    this.#abandoned.push(journal);
  }

  async stop(name: string): Promise<void> {
    this.#listeners.delete(name);
    const journal = this.get(name);
    this.journals.delete(name);
    await journal.close();
  }

  folder(name: string): string {
    return this.#folders.get(name) ?? '';
  }

  get(name: string): Journal {
    const journal = this.journals.get(name);
    if (journal === undefined) throw new Error(`${name} does not run`);
    return journal;
  }

  /** Drops everything between `name` and the others. */
  isolate(name: string): void {
    for (const other of this.names) {
      this.#cut.add(`${name}>${other}`);
      this.#cut.add(`${other}>${name}`);
    }
  }

  heal(): void {
    this.#cut.clear();
  }

  /** Waits until exactly one of `names` leads and all of them know it. */
  async leader(names: readonly string[] = [...this.journals.keys()]): Promise<Journal> {
    return vi.waitFor(
      () => {
        const leading = names.filter((name) => this.get(name).leadership().leading);
        const known = new Set(names.map((name) => this.get(name).leadership().leader));
        if (leading.length !== 1 || known.size !== 1 || !known.has(leading[0])) throw new Error('no agreed leader');
        return this.get(leading[0]!);
      },
      { timeout: 20_000, interval: 5 },
    );
  }

  nameOf(journal: Journal): string {
    return [...this.journals].find(([, each]) => each === journal)?.[0] ?? '';
  }

  /** Waits until all running masters have applied as much as the most advanced one. */
  async settled(): Promise<void> {
    await vi.waitFor(
      () => {
        const infos = [...this.journals.values()].map((journal) => journal.quorum());
        const last = Math.max(...infos.map((info) => info.lastIndex));
        if (infos.some((info) => info.appliedIndex !== last)) throw new Error('not settled');
      },
      { timeout: 20_000, interval: 5 },
    );
  }

  async contents(name: string): Promise<string> {
    const { state } = this.get(name);
    const tables = await Promise.all(
      TABLE_NAMES.map((table) => state.scan(table, { prefix: '', after: '', limit: 100_000 })),
    );
    return JSON.stringify(tables);
  }

  async dispose(): Promise<void> {
    for (const journal of [...this.journals.values(), ...this.#abandoned]) await journal.close();
    await rm(this.#root, { recursive: true, force: true });
    for (const error of this.fatal.values()) throw error;
  }

  /** The value of a metric without labels. */
  async metric(name: string, metric: string): Promise<number> {
    const text = (await this.#metrics.get(name)?.text()) ?? '';
    const line = text.split('\n').find((each) => each.startsWith(`${metric} `));
    return line === undefined ? 0 : Number(line.slice(metric.length));
  }

  #open(name: string, folder: string): Promise<Journal> {
    const metrics = new Metrics();
    this.#metrics.set(name, metrics);
    return openJournal({
      folder,
      id: name,
      birth: this.#birth,
      quorum: {
        data: folder,
        name,
        peers: [],
        raftAddress: '',
        tick: 20,
        electionTimeout: 400,
        heartbeat: 60,
        leaseReads: this.#options.leaseReads ?? false,
      },
      values: {
        stateCache: 4 << 20,
        recentEntries: this.#options.recentBytes ?? 4 << 20,
        keepEntries: this.keepEntries.get(name) ?? this.#options.keepEntries ?? 100_000,
        keepSize: 64 << 20,
        snapshotBandwidth: 0,
        segmentSize: 1 << 20,
        store: this.#options.store ?? 'level',
      },
      clock: systemClock,
      timers: nodeTimers,
      random: seededRandom(Math.floor(Math.random() * 2 ** 31)),
      logger: silent,
      metrics,
      connect: (listener) => {
        this.#listeners.set(name, listener);
        // Who was killed says nothing any more.
        const send = (to: string, message: Message) =>
          this.#listeners.get(name) === listener && this.#send(name, to, message);
        return { send, setPeers: () => undefined };
      },
      link: (member) => this.#link(name, member),
      onFatal: (error) => this.fatal.set(name, error),
      onRemoved: () => this.removed.add(name),
    });
  }

  /** The snapshots of `to` as they reach `from`. */
  #link(from: string, to: string): SnapshotLink {
    const reach = (): SnapshotReader => {
      const journal = this.journals.get(to);
      if (journal !== undefined && !this.#cut.has(`${from}>${to}`)) return journal.snapshots;
      throw new SluiceError('UNAVAILABLE', `${to} cannot be reached`);
    };
    return {
      open: async (order) => reach().open(order),
      read: async (id, after) => this.onChunk(await reach().read(id, after), to),
      close: async (id) => reach().close(id),
      end: () => undefined,
    };
  }

  #send(from: string, to: string, message: Message): boolean {
    const listener = this.#listeners.get(to);
    if (listener === undefined || this.#cut.has(`${from}>${to}`)) return false;
    setImmediate(() => {
      if (this.#listeners.get(to) === listener && !this.#cut.has(`${from}>${to}`)) listener.receive(from, message);
    });
    return true;
  }
}
