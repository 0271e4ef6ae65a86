import { SluiceError } from '../model/errors.ts';
import type { LogStore } from '../raft/log-store.ts';
import type { Message } from '../raft/message.ts';
import type { NodeId, Term } from '../raft/position.ts';
import type { JournalRing } from './journal-ring.ts';

type Append = Extract<Message, { kind: 'append' }>;

export interface AppendPumpParts {
  readonly ring: JournalRing;
  readonly log: LogStore;
  readonly maxFrameBytes: number;
  send(to: NodeId, message: Message): void;
  /** Whether this node still leads in `term`: then its log only grew since the message was made. */
  leads(term: Term): boolean;
  /** The peer wants entries that were compacted. */
  tooOld(peer: NodeId, index: number): void;
  failed(error: unknown): void;
}

interface Lane {
  readonly waiting: Append[];
  draining: boolean;
}

/** Frames that wait for a read from the disk; more are dropped, which the core notices as it notices a lost frame. */
const MAX_WAITING = 64;

/**
 * Puts the entries into append messages: from the ring at once, or, for a peer that is behind, from the disk. Frames
 * to one peer stay in order.
 */
export class AppendPump {
  readonly #parts: AppendPumpParts;
  readonly #lanes = new Map<NodeId, Lane>();

  constructor(parts: AppendPumpParts) {
    this.#parts = parts;
  }

  /** Frames that wait for the disk. */
  get waiting(): number {
    let count = 0;
    for (const { waiting } of this.#lanes.values()) count += waiting.length;
    return count;
  }

  send(to: NodeId, message: Append): void {
    const lane = this.#lane(to);
    const filled = lane.draining ? undefined : this.#fromRing(message);
    if (filled !== undefined) {
      this.#parts.send(to, filled);
      return;
    }
    if (lane.waiting.length < MAX_WAITING) lane.waiting.push(message);
    if (!lane.draining) this.#drain(to, lane).catch((thrown: unknown) => this.#parts.failed(thrown));
  }

  #lane(to: NodeId): Lane {
    let lane = this.#lanes.get(to);
    if (lane === undefined) {
      lane = { waiting: [], draining: false };
      this.#lanes.set(to, lane);
    }
    return lane;
  }

  async #drain(to: NodeId, lane: Lane): Promise<void> {
    lane.draining = true;
    try {
      for (let message = lane.waiting.shift(); message !== undefined; message = lane.waiting.shift()) {
        if (!this.#parts.leads(message.term)) continue;
        const filled = this.#fromRing(message) ?? (await this.#fromDisk(to, message));
        if (filled !== undefined && this.#parts.leads(message.term)) this.#parts.send(to, filled);
      }
    } finally {
      lane.draining = false;
    }
  }

  #fromRing(message: Append): Append | undefined {
    const from = message.previous.index + 1;
    if (message.last < from) return message;
    const entries = this.#parts.ring.range(from, message.last, this.#parts.maxFrameBytes);
    return entries === undefined ? undefined : { ...message, last: from + entries.length - 1, entries };
  }

  async #fromDisk(to: NodeId, message: Append): Promise<Append | undefined> {
    const from = message.previous.index + 1;
    try {
      const entries = await this.#parts.log.read(from, message.last, this.#parts.maxFrameBytes);
      return { ...message, last: from + entries.length - 1, entries };
    } catch (thrown) {
      if (!(thrown instanceof SluiceError) || thrown.code !== 'NOT_FOUND') throw thrown;
      this.#parts.tooOld(to, from);
      return undefined;
    }
  }
}
