import type { Clock, Timers } from '../base/clock.ts';
import type { Logger } from '../host/logger.ts';
import { SluiceError } from '../model/errors.ts';
import type { SnapshotMeta } from '../raft/snapshot-meta.ts';
import type { SnapshotReceipt } from '../wire/codec/state.ts';
import type { SnapshotHeader, SnapshotReader } from '../wire/snapshot-reader.ts';
import type { IncomingState } from './incoming-state.ts';
import { pause } from './pause.ts';
import type { SnapshotMetrics } from './snapshot-metrics.ts';

export interface SnapshotFetchParts {
  readonly source: SnapshotReader;
  readonly incoming: IncomingState;
  /** Bytes per second; 0 is as fast as it goes. */
  readonly bandwidth: number;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly logger: Logger;
  readonly metrics: SnapshotMetrics;
  /** Somebody else leads, and may have a better way: a transfer that is in trouble is not worth waiting for. */
  superseded(): boolean;
}

/** Between two chunks, however narrow the bandwidth is: the sender lets go of what is not read for a minute. */
const REST_MAX_MS = 20_000;
const RETRY_FIRST_MS = 100;
const RETRY_MAX_MS = 5_000;
/** A full disk, or a sender with too many readers, takes its time. */
const FULL_RETRY_MS = 20_000;
/** Without progress for this long it is given up. */
const PATIENCE_MS = 60_000;
/** Of one chunk; then the fault is not on the way. */
const BAD_CHUNKS_MAX = 5;

/**
 * Brings a snapshot into the side folder, chunk by chunk, and goes on where it broke off as long as the sender holds it
 * open.
 * @returns what it is. @throws SluiceError when it is given up, or `signal` says so
 */
export async function fetchSnapshot(parts: SnapshotFetchParts, signal: AbortSignal): Promise<SnapshotMeta> {
  const { source, incoming, logger } = parts;
  const patience = new Patience(parts);
  let id: string | undefined;
  for (;;) {
    try {
      await incoming.open();
      const header = await begin(source, incoming, id);
      id = header.id;
      await pull(parts, id, signal);
      await incoming.complete(header.meta);
      await source.close(id).catch((err: unknown) => logger.debug({ err }, 'a snapshot was not closed'));
      return header.meta;
    } catch (thrown) {
      const { receipt } = incoming;
      // A database that could not be written takes no more writes until it is opened anew.
      await incoming.close();
      signal.throwIfAborted();
      const error = SluiceError.from(thrown);
      const waitMs = patience.after(error, receipt);
      if (waitMs === undefined) throw error;
      logger.warn({ err: error, waitMs, bytes: receipt?.bytes ?? 0 }, 'a snapshot is not here yet');
      await pause(parts.timers, waitMs, signal);
    }
  }
}

/** How long to wait after which failure. */
class Patience {
  readonly #parts: SnapshotFetchParts;
  /** The last key that was here at the last failure. */
  #seen = '';
  #progressMs: number;
  #retryMs = RETRY_FIRST_MS;
  #bad = 0;

  constructor(parts: SnapshotFetchParts) {
    this.#parts = parts;
    this.#progressMs = parts.clock.monotonicMs();
  }

  /** @returns undefined when it is to be given up. */
  after(error: SluiceError, receipt: SnapshotReceipt | undefined): number | undefined {
    const { clock, metrics, superseded } = this.#parts;
    if (receipt !== undefined && receipt.after !== this.#seen) {
      this.#seen = receipt.after;
      this.#progressMs = clock.monotonicMs();
      this.#retryMs = RETRY_FIRST_MS;
      this.#bad = 0;
    }
    if (error.code === 'CORRUPT') {
      this.#bad += 1;
      metrics.badChunk();
    }
    const tooLong = clock.monotonicMs() - this.#progressMs >= PATIENCE_MS;
    if (!isPassing(error) || this.#bad >= BAD_CHUNKS_MAX || tooLong || superseded()) return undefined;
    if (error.code === 'EXHAUSTED') return FULL_RETRY_MS;
    const waitMs = this.#retryMs;
    this.#retryMs = Math.min(2 * waitMs, RETRY_MAX_MS);
    return waitMs;
  }
}

/** Opens the snapshot that was begun, or a new one. @param last the one that was opened before */
async function begin(
  source: SnapshotReader,
  incoming: IncomingState,
  last: string | undefined,
): Promise<SnapshotHeader> {
  const { receipt } = incoming;
  const resume = receipt?.id ?? last;
  const header = await source.open(resume === undefined ? {} : { resume });
  if (header.id !== receipt?.id) await incoming.begin(header.id);
  return header;
}

async function pull(parts: SnapshotFetchParts, id: string, signal: AbortSignal): Promise<void> {
  const { source, incoming, bandwidth, clock, timers, metrics } = parts;
  for (;;) {
    signal.throwIfAborted();
    const beganMs = clock.monotonicMs();
    const chunk = await source.read(id, incoming.receipt?.after ?? '');
    metrics.received(chunk.rows.length);
    await incoming.add(chunk);
    if (chunk.last) return;
    const dueMs = bandwidth === 0 ? 0 : Math.min((chunk.rows.length * 1000) / bandwidth, REST_MAX_MS);
    const leftMs = dueMs - (clock.monotonicMs() - beganMs);
    if (leftMs > 0) await pause(timers, leftMs, signal);
  }
}

/** The same sender, or the same disk, may do better later. */
function isPassing({ code }: SluiceError): boolean {
  return ['UNAVAILABLE', 'TIMED_OUT', 'EXHAUSTED', 'NOT_FOUND', 'CORRUPT'].includes(code);
}
