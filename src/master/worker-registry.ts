import { must } from '../base/assert.ts';
import type { CancelTimer, Clock, Timers } from '../base/clock.ts';
import type { Logger } from '../host/logger.ts';
import type { Counter, Metrics } from '../host/metrics.ts';
import type { Notice } from '../model/command.ts';
import { SluiceError } from '../model/errors.ts';
import type { InodeId } from '../model/inode.ts';
import type { Caller } from '../model/principal.ts';
import { idKey, type WorkerRow } from '../model/state-store.ts';
import type { WorkerId, WorkerList, WorkerRegistration, WorkerStatus } from '../model/worker.ts';
import type { LeaderMessage, WorkerMessage } from '../wire/registry-messages.ts';
import type { WorkerStream, WorkerStreamListener } from '../wire/registry-server.ts';
import type { LeaderGate } from './leader-gate.ts';
import { whileLeading } from './leader-service.ts';
import { requireDone } from './outcomes.ts';
import type { ReplicatedState } from './replicated-state.ts';

export interface WorkerRegistryParts {
  readonly state: ReplicatedState;
  readonly gate: LeaderGate;
  readonly system: Caller;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** A worker that is silent for longer than this is published as lost. */
  readonly timeoutMs: number;
  /** A worker that is silent for longer than this loses its place in the ring. */
  readonly removalMs: number;
  /** File ids that may wait to be sent to one worker in one turn; 100,000 unless said otherwise. */
  readonly forgetMax?: number;
}

/** What the leader knows of a worker beyond its row. */
interface Heard {
  atMs: number;
  usedBytes: number;
  pageCount: number;
}

const CHECKS_PER_TIMEOUT = 5;
const ROWS_PER_SCAN = 1_000;
const FORGET_MAX = 100_000;
const FORGET_PER_MESSAGE = 10_000;

/**
 * The workers, as the leader sees them: who is registered (replicated) and who is alive (its own observation). A fresh
 * leader has heard of nobody, and gives everybody a full timeout from the begin of its leadership.
 */
export class WorkerRegistry {
  readonly #parts: WorkerRegistryParts;
  readonly #heard = new Map<WorkerId, Heard>();
  readonly #streams = new Set<Stream>();
  readonly #stop: () => void;
  readonly #registrations: Counter;
  #rows: { readonly version: number; readonly rows: readonly WorkerRow[] } | undefined;
  #leading = false;
  #leadingSinceMs = 0;
  #cancelChecks: CancelTimer | undefined;
  /** Workers that were published as lost. */
  #lost = new Set<WorkerId>();

  constructor(parts: WorkerRegistryParts) {
    this.#parts = parts;
    const { metrics } = parts;
    this.#registrations = metrics.counter('sluice_master_worker_registrations_total', 'Registrations of workers');
    metrics.gaugeOf('sluice_master_worker_streams_count', 'Workers that are connected', () => this.#streams.size);
    this.#stop = whileLeading(parts.state, {
      began: () => this.#began(),
      ended: () => this.#ended(),
      noticed: (notices) => this.#noticed(notices),
    });
  }

  /** A worker has opened a stream. */
  connect(connection: WorkerStream): WorkerStreamListener {
    const stream = new Stream(connection, this.#parts.forgetMax ?? FORGET_MAX);
    if (!this.#leading) {
      stream.end(this.#parts.gate.notLeader());
      return { message: () => undefined, closed: () => undefined };
    }
    this.#streams.add(stream);
    return {
      message: (message) => this.#receive(stream, message),
      closed: () => {
        stream.open = false;
        this.#streams.delete(stream);
      },
    };
  }

  /** The workers as they are published. @throws what a scan throws */
  async list(): Promise<WorkerList> {
    const version = this.#version();
    if (this.#rows?.version !== version) {
      const rows: WorkerRow[] = [];
      for (let after = ''; ; ) {
        const page = await this.#parts.state.state.scan('worker', { prefix: '', after, limit: ROWS_PER_SCAN });
        rows.push(...page.map(({ row }) => row));
        const last = page.at(-1);
        if (last === undefined || page.length < ROWS_PER_SCAN) break;
        after = last.key;
      }
      this.#rows = { version, rows };
    }
    const nowMs = this.#parts.clock.monotonicMs();
    return { version, workers: this.#rows.rows.map((row) => this.#status(row, nowMs)) };
  }

  close(): void {
    this.#stop();
  }

  #version(): number {
    return this.#parts.state.state.get('counters', '')?.workersVersion ?? 0;
  }

  #began(): void {
    this.#leading = true;
    this.#leadingSinceMs = this.#parts.clock.monotonicMs();
    this.#heard.clear();
    this.#lost.clear();
    const periodMs = Math.ceil(this.#parts.timeoutMs / CHECKS_PER_TIMEOUT);
    this.#cancelChecks = this.#parts.timers.every(periodMs, () => this.#inBackground(this.#check()));
  }

  #ended(): void {
    this.#leading = false;
    this.#cancelChecks?.();
    for (const stream of [...this.#streams]) this.#drop(stream, this.#parts.gate.notLeader());
  }

  #receive(stream: Stream, message: WorkerMessage): void {
    if (!stream.open) return;
    if (message.kind === 'register') {
      if (stream.worker === undefined) this.#inStream(stream, this.#register(stream, message.worker));
      else this.#drop(stream, new SluiceError('INVALID_ARGUMENT', 'A worker registers once on each stream'));
      return;
    }
    if (stream.worker === undefined) {
      this.#drop(stream, new SluiceError('INVALID_ARGUMENT', 'The first message of a worker must be its registration'));
      return;
    }
    if (message.kind === 'heartbeat') this.#hear(stream, stream.worker, message);
    else this.#reconcile(stream, message.fileIds);
  }

  async #register(stream: Stream, worker: WorkerRegistration): Promise<void> {
    stream.worker = worker;
    for (const other of this.#streams) {
      if (other === stream || other.worker?.id !== worker.id) continue;
      if (other.worker.address !== worker.address) {
        const fields = { worker: worker.id, before: other.worker.address, now: worker.address };
        this.#parts.log.warn(fields, 'a worker registered from another address while its stream was open');
      }
      this.#drop(other, new SluiceError('CANCELLED', `Worker ${worker.id} has registered on another stream`));
    }
    await this.#propose(worker);
    if (!stream.open) return;
    this.#heard.set(worker.id, { atMs: this.#parts.clock.monotonicMs(), usedBytes: 0, pageCount: 0 });
    this.#registrations.add(1);
    this.#parts.log.info({ worker: worker.id, address: worker.address }, 'a worker has registered');
    stream.registered = true;
    stream.send({ kind: 'registered' });
    this.#sendMounts(stream);
    const list = await this.list();
    stream.send({ kind: 'workers', list });
  }

  async #propose(worker: WorkerRegistration): Promise<void> {
    const { state, system } = this.#parts;
    const row = state.state.get('worker', worker.id);
    const same =
      row?.state === 'live' &&
      row.address === worker.address &&
      row.host === worker.host &&
      row.capacityBytes === worker.capacityBytes;
    if (!same) requireDone(await state.propose({ kind: 'registerWorker', worker }, { principal: system }));
  }

  #hear(stream: Stream, worker: WorkerRegistration, said: { readonly usedBytes: number; readonly pageCount: number }) {
    const { usedBytes, pageCount } = said;
    this.#heard.set(worker.id, { atMs: this.#parts.clock.monotonicMs(), usedBytes, pageCount });
    const silentBefore =
      this.#lost.has(worker.id) || this.#parts.state.state.get('worker', worker.id)?.state === 'lost';
    if (silentBefore && stream.registered) this.#inStream(stream, this.#returned(worker));
  }

  async #returned(worker: WorkerRegistration): Promise<void> {
    this.#lost.delete(worker.id);
    await this.#propose(worker);
    await this.#publish();
  }

  /** Answers which of the protected files are gone for ever. */
  #reconcile(stream: Stream, fileIds: readonly InodeId[]): void {
    const { state } = this.#parts.state;
    const next = state.get('counters', '')?.nextInodeId ?? 0;
    const skipped = state.get('cluster', '')?.skippedIds ?? [];
    const made = (id: InodeId) => id < next && !skipped.some(({ from, below }) => id >= from && id < below);
    const gone = fileIds.filter((id) => made(id) && state.get('place', idKey(id)) === undefined);
    const unknown = fileIds.reduce((count, id) => (made(id) ? count : count + 1), 0);
    if (unknown > 0) {
      const fields = { worker: stream.worker?.id, files: unknown };
      this.#parts.log.warn(fields, 'a worker protects files that this cluster has never made, they are left alone');
    }
    if (gone.length > 0) stream.send({ kind: 'forget', fileIds: gone });
  }

  #noticed(notices: readonly Notice[]): void {
    for (const notice of notices) {
      if (notice.kind === 'contentDropped') this.#forget(notice.id);
      else if (notice.kind === 'mountsChanged') for (const stream of this.#streams) this.#sendMounts(stream);
      else if (notice.kind === 'workersChanged') this.#inBackground(this.#publish());
    }
  }

  #forget(id: InodeId): void {
    for (const stream of this.#streams) {
      if (!stream.registered || stream.forget(id)) continue;
      const message = `Too many dropped files wait for worker ${stream.worker?.id}: connect again and reconcile`;
      this.#drop(stream, new SluiceError('EXHAUSTED', message));
    }
  }

  #sendMounts(stream: Stream): void {
    if (!stream.registered) return;
    const { state } = this.#parts.state;
    const mounts = (state.get('mountIndex', '')?.mounts ?? []).map(({ path }) =>
      must(state.get('mount', path), `Mount ${path} of the index has a row`),
    );
    stream.send({ kind: 'mounts', version: state.get('counters', '')?.mountsVersion ?? 0, mounts });
  }

  async #publish(): Promise<void> {
    const list = await this.list();
    for (const stream of this.#streams) if (stream.registered) stream.send({ kind: 'workers', list });
  }

  /** Finds who became silent. */
  async #check(): Promise<void> {
    const { workers } = await this.list();
    if (!this.#leading) return;
    const lost = new Set(workers.filter((worker) => worker.state === 'lost').map((worker) => worker.id));
    const same = lost.size === this.#lost.size && [...lost].every((id) => this.#lost.has(id));
    this.#lost = lost;
    if (!same) {
      this.#parts.log.info({ lost: [...lost] }, 'the set of lost workers has changed');
      await this.#publish();
    }
    const { state, system, clock, removalMs } = this.#parts;
    for (const { id } of workers) {
      const silentMs = clock.monotonicMs() - this.#lastHeardMs(id);
      if (silentMs <= removalMs || state.state.get('worker', id)?.state !== 'live') continue;
      requireDone(await state.propose({ kind: 'setWorkerState', id, state: 'lost' }, { principal: system }));
    }
  }

  #status(row: WorkerRow, nowMs: number): WorkerStatus {
    const heard = this.#heard.get(row.id);
    const silent = nowMs - this.#lastHeardMs(row.id) > this.#parts.timeoutMs;
    return {
      id: row.id,
      address: row.address,
      host: row.host,
      capacityBytes: row.capacityBytes,
      state: row.state === 'lost' || silent ? 'lost' : 'live',
      lastHeardMs: heard === undefined ? -1 : Math.max(0, Math.round(nowMs - heard.atMs)),
      usedBytes: heard?.usedBytes ?? 0,
      pageCount: heard?.pageCount ?? 0,
      registeredMs: row.registeredMs,
    };
  }

  #lastHeardMs(id: WorkerId): number {
    return this.#heard.get(id)?.atMs ?? this.#leadingSinceMs;
  }

  #drop(stream: Stream, reason: SluiceError): void {
    this.#streams.delete(stream);
    stream.end(reason);
  }

  /** A failure of what a stream asked for ends the stream: the worker connects again. */
  #inStream(stream: Stream, work: Promise<void>): void {
    work.catch((thrown: unknown) => {
      const error = SluiceError.from(thrown);
      this.#drop(stream, error.code === 'NOT_LEADER' ? this.#parts.gate.notLeader() : error);
    });
  }

  #inBackground(work: Promise<void>): void {
    work.catch((err: unknown) => {
      if (this.#leading) this.#parts.log.warn({ err }, 'watching over workers failed, it is tried again');
    });
  }
}

/** One open stream. */
class Stream {
  readonly #connection: WorkerStream;
  readonly #forgetMax: number;
  #forgotten: InodeId[] = [];
  worker: WorkerRegistration | undefined;
  registered = false;
  open = true;

  constructor(connection: WorkerStream, forgetMax: number) {
    this.#connection = connection;
    this.#forgetMax = forgetMax;
  }

  send(message: LeaderMessage): void {
    if (this.open) this.#connection.send(message);
  }

  /** Sends what one turn of the event loop drops in few messages. @returns false when too much waits */
  forget(id: InodeId): boolean {
    if (this.#forgotten.length >= this.#forgetMax) return false;
    if (this.#forgotten.length === 0) setImmediate(() => this.#flush());
    this.#forgotten.push(id);
    return true;
  }

  end(reason: SluiceError): void {
    if (!this.open) return;
    this.open = false;
    this.#connection.end(reason);
  }

  #flush(): void {
    const ids = this.#forgotten;
    this.#forgotten = [];
    for (let at = 0; at < ids.length; at += FORGET_PER_MESSAGE) {
      this.send({ kind: 'forget', fileIds: ids.slice(at, at + FORGET_PER_MESSAGE) });
    }
  }
}
