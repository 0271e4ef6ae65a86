import type { Clock } from '../base/clock.ts';
import type { Effect } from '../raft/effect.ts';
import { entrySizeBytes } from '../raft/entry.ts';
import type { WriteId } from '../raft/event.ts';
import type { LogStore } from '../raft/log-store.ts';
import type { Message } from '../raft/message.ts';
import type { NodeId } from '../raft/position.ts';
import type { JournalMetrics } from './journal-metrics.ts';

type Write = Extract<Effect, { kind: 'write' }>;

interface Held {
  readonly to: NodeId;
  readonly message: Message;
}

export interface StoragePumpParts {
  readonly log: LogStore;
  readonly clock: Clock;
  readonly metrics: JournalMetrics;
  send(to: NodeId, message: Message): void;
  persisted(write: WriteId): void;
  /** The write failed: what is on disk is unknown. Nothing is sent, nothing is told; the process must stop. */
  failed(error: unknown): void;
}

/** Performs the writes of the core, one at a time as it issues them, and holds back the messages that promise them. */
export class StoragePump {
  readonly #parts: StoragePumpParts;
  #held: Held[] = [];
  #heldFor: WriteId = 0;
  #flight: Promise<void> = Promise.resolve();
  /** When the write in flight began. */
  #beganMs: number | undefined;

  constructor(parts: StoragePumpParts) {
    this.#parts = parts;
  }

  /** Age of the write in flight; 0 when there is none. */
  get ageMs(): number {
    return this.#beganMs === undefined ? 0 : this.#parts.clock.monotonicMs() - this.#beganMs;
  }

  /** Messages that wait for it. */
  get held(): number {
    return this.#held.length;
  }

  /** Begins a write; `hold` may be called for it until it is done. */
  write(write: Write): void {
    this.#heldFor = write.id;
    this.#held = [];
    this.#flight = this.#write(write, this.#held);
  }

  /** Sends `message` when the write is durable; at once when it is already. */
  hold(after: WriteId, to: NodeId, message: Message): void {
    if (after === this.#heldFor) this.#held.push({ to, message });
    else this.#parts.send(to, message);
  }

  /** Resolves when no write is in flight. */
  idle(): Promise<void> {
    return this.#flight;
  }

  async #write(write: Write, held: Held[]): Promise<void> {
    const { log, clock, metrics } = this.#parts;
    const began = clock.monotonicMs();
    this.#beganMs = began;
    try {
      await log.write(write);
    } catch (thrown) {
      this.#parts.failed(thrown);
      return;
    }
    let bytes = 0;
    for (const entry of write.entries) bytes += entrySizeBytes(entry);
    metrics.wrote(write.entries.length, bytes, clock.monotonicMs() - began);
    this.#beganMs = undefined;
    this.#heldFor = 0;
    this.#held = [];
    for (const { to, message } of held) this.#parts.send(to, message);
    this.#parts.persisted(write.id);
  }
}
