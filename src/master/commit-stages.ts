import type { Clock } from '../base/clock.ts';
import { type Histogram, type Metrics, SECONDS_BUCKETS } from '../host/metrics.ts';
import type { LogIndex } from '../raft/position.ts';
import type { Waiters } from './waiters.ts';

/** The proposals that entered the journal in one turn. */
interface Batch {
  readonly last: LogIndex;
  readonly count: number;
  /** When the first of them came to the door. */
  readonly cameMs: number;
  readonly enteredMs: number;
  /** When the last of the marks that follow was reached: durable here, and held by a quorum. */
  readyMs: number;
}

/** How far the journal has got. */
interface Reached {
  readonly durable: LogIndex;
  readonly commit: LogIndex;
}

/**
 * Where the time of a leader's commits goes. One mark for all proposals of a turn, taken at the ends of turns, so that
 * the cost is one of turns, not of proposals: `queue` from the door into the journal; from there, beside each other,
 * `disk` until it is durable here and `network` until a quorum holds it durably; from when both are there, `apply`
 * until it is applied and answered; `all` from the door to the answer.
 */
export class CommitStages {
  readonly #clock: Clock;
  readonly #queue: Histogram;
  readonly #disk: Histogram;
  readonly #network: Histogram;
  readonly #apply: Histogram;
  readonly #all: Histogram;
  /** Not applied. */
  #batches: Batch[] = [];
  /** How many of the first batches are durable, and committed. */
  #durable = 0;
  #committed = 0;
  #cameMs: number | undefined;

  constructor(metrics: Metrics, clock: Clock) {
    const stage = (name: string) =>
      metrics.histogram(
        'sluice_master_commit_stage_seconds',
        'Where the time of commits goes: queue, then disk and network beside each other, then apply; and all of it',
        SECONDS_BUCKETS,
        { stage: name },
      );
    this.#clock = clock;
    this.#queue = stage('queue');
    this.#disk = stage('disk');
    this.#network = stage('network');
    this.#apply = stage('apply');
    this.#all = stage('all');
  }

  /** A proposal came; it enters the journal with the next turn. */
  came(): void {
    this.#cameMs ??= this.#clock.monotonicMs();
  }

  /**
   * A turn that began at `nowMs` ends: it let the proposals behind `before` into the journal, maybe none.
   */
  turned({ last, size }: Pick<Waiters, 'last' | 'size'>, before: LogIndex, nowMs: number, reached: Reached): void {
    const batches = this.#batches;
    // When nobody waited before, `before` may be long ago.
    const count = Math.min(last - before, size);
    if (count > 0) {
      const cameMs = this.#cameMs ?? nowMs;
      batches.push({ last, count, cameMs, enteredMs: nowMs, readyMs: nowMs });
      this.#queue.observe((nowMs - cameMs) / 1000, count);
    }
    this.#cameMs = undefined;
    if (this.#durable === batches.length && this.#committed === batches.length) return;
    const endMs = this.#clock.monotonicMs();
    this.#durable = mark(batches, this.#durable, reached.durable, endMs, this.#disk);
    this.#committed = mark(batches, this.#committed, reached.commit, endMs, this.#network);
  }

  /** Everything up to `index` is applied. */
  applied(index: LogIndex): void {
    let done = 0;
    const nowMs = this.#batches.length === 0 ? 0 : this.#clock.monotonicMs();
    for (const { last, count, cameMs, readyMs } of this.#batches) {
      if (last > index) break;
      this.#apply.observe((nowMs - readyMs) / 1000, count);
      this.#all.observe((nowMs - cameMs) / 1000, count);
      done += 1;
    }
    if (done === 0) return;
    this.#batches = this.#batches.slice(done);
    this.#durable = Math.max(0, this.#durable - done);
    this.#committed = Math.max(0, this.#committed - done);
  }

  /** This master does not lead any more. */
  clear(): void {
    this.#batches = [];
    this.#durable = 0;
    this.#committed = 0;
    this.#cameMs = undefined;
  }
}

/** @returns how many of the first batches have reached the mark, of which `from` had before */
function mark(batches: readonly Batch[], from: number, index: LogIndex, nowMs: number, stage: Histogram): number {
  let at = from;
  for (let batch = batches[at]; batch !== undefined && batch.last <= index; batch = batches[at]) {
    stage.observe((nowMs - batch.enteredMs) / 1000, batch.count);
    batch.readyMs = nowMs;
    at += 1;
  }
  return at;
}
