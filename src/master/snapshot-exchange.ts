import { join } from 'node:path';
import type { CancelTimer, Clock, Timers } from '../base/clock.ts';
import type { Logger } from '../host/logger.ts';
import type { Metrics } from '../host/metrics.ts';
import { SluiceError } from '../model/errors.ts';
import type { Event } from '../raft/event.ts';
import type { LogStore } from '../raft/log-store.ts';
import type { Membership } from '../raft/membership.ts';
import type { LogIndex, NodeId, Term } from '../raft/position.ts';
import type { SnapshotMeta } from '../raft/snapshot-meta.ts';
import type { SnapshotReader } from '../wire/snapshot-reader.ts';
import { IncomingState } from './incoming-state.ts';
import type { LevelStateStore } from './level-state-store.ts';
import { pause } from './pause.ts';
import { fetchSnapshot } from './snapshot-fetch.ts';
import { INCOMING_FOLDER, installState } from './snapshot-install.ts';
import { SnapshotMetrics } from './snapshot-metrics.ts';
import { SnapshotSource } from './snapshot-source.ts';

/** Another master's snapshots, with a connection to it. */
export interface SnapshotLink extends SnapshotReader {
  /** Ends the connection. */
  end(): void;
}

export interface SnapshotExchangeParts {
  /** Data folder of this master. */
  readonly folder: string;
  readonly state: LevelStateStore;
  readonly log: LogStore;
  /** Bytes per second of a transfer to here; 0 is as fast as it goes. */
  readonly bandwidth: number;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** Connects to a member. @throws SluiceError UNAVAILABLE when nobody knows where it is */
  link(member: NodeId): SnapshotLink;
  /** What the core knows now. */
  now(): { readonly term: Term; readonly leader: NodeId | undefined; readonly membership: Membership };
  barrier(): Promise<void>;
  pin(index: LogIndex): () => void;
  /** How a fetch ended. */
  ended(event: Extract<Event, { kind: 'snapshotFetched' | 'snapshotFailed' }>): void;
}

/** A namespace has about so many rows for each inode: itself, and where it hangs. */
const ROWS_PER_INODE = 2;
/** What a transfer before the last start has left is removed when no other goes on with it for this long. */
const LEFTOVER_MS = 10 * 60_000;
/** After a transfer that was given up; the leader offers another with its next heartbeat. */
const REST_MS = 1000;

/** Gives out snapshots of this master's state, brings those of others, and puts one into the place of its own. */
export class SnapshotExchange {
  /** This master's snapshots. */
  readonly source: SnapshotSource;
  readonly #parts: SnapshotExchangeParts;
  readonly #metrics: SnapshotMetrics;
  readonly #incoming: IncomingState;
  readonly #abort = new AbortController();
  readonly #keepLeftover: CancelTimer;
  /** The transfer, the removal or the install under way: one after the other. */
  #work: Promise<void> = Promise.resolve();

  constructor(parts: SnapshotExchangeParts) {
    const { folder, state, clock, timers } = parts;
    this.#parts = parts;
    this.#metrics = new SnapshotMetrics(parts.metrics);
    this.#incoming = new IncomingState(join(folder, INCOMING_FOLDER));
    this.source = new SnapshotSource({
      clock,
      timers,
      metrics: this.#metrics,
      view: () => state.view(),
      describe: ({ position }) => {
        const { term, membership } = parts.now();
        return {
          meta: { position, term, membership },
          clusterId: state.clusterId,
          expectedRows: ROWS_PER_INODE * (state.get('counters', '')?.inodeCount ?? 0),
        };
      },
      barrier: () => parts.barrier(),
      pin: (index) => parts.pin(index),
    });
    this.#keepLeftover = timers.after(LEFTOVER_MS, () => this.discard());
    this.#metrics.expose({
      open: () => this.source.openCount,
      ageSeconds: () => this.source.ageSeconds,
      incomingBytes: () => this.#incoming.receipt?.bytes ?? 0,
    });
  }

  /** Begins to bring a snapshot of `from`; `ended` tells how it ended. */
  fetch(from: NodeId): void {
    const { logger, timers } = this.#parts;
    this.#keepLeftover();
    this.#then(async () => {
      const meta: SnapshotMeta | undefined = await this.#fetch(from).catch(async (thrown: unknown) => {
        if (this.#abort.signal.aborted) return undefined;
        this.#metrics.failed();
        logger.warn({ from, err: SluiceError.from(thrown) }, 'a snapshot was given up');
        await pause(timers, REST_MS, this.#abort.signal).catch(() => undefined);
        return undefined;
      });
      if (this.#abort.signal.aborted) return;
      this.#parts.ended(meta === undefined ? { kind: 'snapshotFailed' } : { kind: 'snapshotFetched', meta });
    });
  }

  /** What was brought is of no use. */
  discard(): void {
    this.#then(() => this.#incoming.clear());
  }

  /**
   * Puts the state that was brought into the place of this master's, which applies nothing meanwhile, and unless
   * `keepLog`, lets the log begin behind it, while nothing writes to it. After an error the process must stop: the next
   * start does the rest.
   */
  async install(meta: SnapshotMeta, keepLog: boolean): Promise<void> {
    const { folder, state, log, logger } = this.#parts;
    const { position } = meta;
    await this.#work;
    await this.source.drop();
    await state.replace(async () => {
      for await (const step of installState(folder, { position, keepLog }, log))
        logger.debug({ step, index: position.index }, 'installing a snapshot');
    });
    // Those that were opened while the others ended.
    await this.source.drop();
    this.#metrics.installed();
    logger.info({ position, keepLog }, 'a snapshot took the place of the state');
  }

  /** Breaks off what can be, waits for the rest; what was brought stays for the next time. */
  async close(): Promise<void> {
    this.#keepLeftover();
    this.#abort.abort(new SluiceError('CANCELLED', 'This master is closing'));
    await this.#work;
    await this.#incoming.close();
    await this.source.stop();
  }

  async #fetch(from: NodeId): Promise<SnapshotMeta> {
    const { bandwidth, clock, timers, logger, now } = this.#parts;
    const link = this.#parts.link(from);
    const superseded = () => now().leader !== from;
    const parts = { source: link, bandwidth, clock, timers, logger, superseded };
    logger.info({ from }, 'fetching a snapshot');
    try {
      return await fetchSnapshot({ ...parts, incoming: this.#incoming, metrics: this.#metrics }, this.#abort.signal);
    } finally {
      link.end();
    }
  }

  #then(act: () => Promise<void>): void {
    const { logger } = this.#parts;
    this.#work = this.#work.then(act).catch((err: unknown) => {
      logger.warn({ err }, 'a received snapshot was not removed');
    });
  }
}
