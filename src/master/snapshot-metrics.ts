import type { Counter, Metrics } from '../host/metrics.ts';

/** What is read when somebody asks for the metrics. */
export interface SnapshotGauges {
  /** Snapshots that are held open for readers. */
  open(): number;
  /** Seconds since the oldest of them was made; 0 without any. */
  ageSeconds(): number;
  /** Bytes that the transfer under way has brought; 0 without one. */
  incomingBytes(): number;
}

/** What the exchange of snapshots tells of itself. */
export class SnapshotMetrics {
  readonly #metrics: Metrics;
  readonly #sent: Counter;
  readonly #received: Counter;
  readonly #refused: Counter;
  readonly #failed: Counter;
  readonly #installed: Counter;

  constructor(metrics: Metrics) {
    const count = (noun: string, doc: string) => metrics.counter(`sluice_master_snapshot_${noun}_total`, doc);
    this.#metrics = metrics;
    this.#sent = count('sent_bytes', 'Bytes of snapshots sent to other masters and into backups');
    this.#received = count('received_bytes', 'Bytes of snapshots received from other masters');
    this.#refused = count('bad_chunks', 'Chunks of snapshots that arrived damaged, and were asked for again');
    this.#failed = count('failures', 'Transfers of snapshots that were given up');
    this.#installed = count('installs', 'Snapshots that took the place of the state');
  }

  sent(bytes: number): void {
    this.#sent.add(bytes);
  }

  received(bytes: number): void {
    this.#received.add(bytes);
  }

  badChunk(): void {
    this.#refused.add(1);
  }

  failed(): void {
    this.#failed.add(1);
  }

  installed(): void {
    this.#installed.add(1);
  }

  expose(read: SnapshotGauges): void {
    const gauge = (noun: string, doc: string, value: () => number) =>
      this.#metrics.gaugeOf(`sluice_master_snapshot_${noun}`, doc, value);
    gauge('open_number', 'Snapshots that are held open for readers', read.open);
    gauge('age_seconds', 'Age of the oldest snapshot that is held open', read.ageSeconds);
    gauge('incoming_bytes', 'Bytes that the transfer under way has brought', read.incomingBytes);
  }
}
