import { replyKey, type Tables } from '../model/state-store.ts';
import type { RowChange } from './level-rows.ts';
import type { Pending } from './packed-rows.ts';

type Reply = Tables['reply'];

interface Change {
  /** Undefined: to be deleted. */
  readonly reply: Reply | undefined;
  /** Nothing on disk, or on its way there, has its key. */
  readonly fresh: boolean;
}

/** What a reply takes in memory, roughly. */
const CHANGE_BYTES = 768;

/**
 * Remembered answers that are not on disk yet, by client and sequence. Nearly every command brings one and ends an
 * older one, so most come and go between two flushes: those are never written, and their keys never made.
 */
export class ReplyRows {
  #changed = new Changes();
  #flushing = new Changes();

  /** Changes that no flush has taken. */
  get changed(): number {
    return this.#changed.count;
  }

  /** Changes that the flush in flight writes. */
  get flushing(): number {
    return this.#flushing.count;
  }

  get bytes(): number {
    return (this.changed + this.flushing) * CHANGE_BYTES;
  }

  /** What is not on disk; undefined: nothing. */
  find(client: string, sequence: number): { readonly reply: Reply | undefined } | undefined {
    return this.#changed.find(client, sequence) ?? this.#flushing.find(client, sequence);
  }

  /** Adds the reply to a request that has none. */
  insert(client: string, sequence: number, reply: Reply): void {
    this.#changed.set(client, sequence, { reply, fresh: this.find(client, sequence) === undefined });
  }

  /** Deletes the replies to `from … below`. */
  delete(client: string, from: number, below: number): void {
    for (let sequence = from; sequence < below; sequence += 1) {
      if (this.#changed.find(client, sequence)?.fresh === true) this.#changed.remove(client, sequence);
      else this.#changed.set(client, sequence, GONE);
    }
  }

  /** Hands all changes to a flush; the former one has ended. */
  beginFlush(): readonly RowChange[] {
    this.#flushing = this.#changed;
    this.#changed = new Changes();
    const changes: RowChange[] = [];
    this.#flushing.visit((key, row) => changes.push({ table: 'reply', key, row }));
    return changes;
  }

  /** What the flush took is on disk. */
  endFlush(): void {
    this.#flushing = new Changes();
  }

  /** Visits changes with their keys; undefined: to be deleted. */
  visit(which: Pending, visitor: (key: string, reply: Reply | undefined) => void): void {
    (which === 'flushing' ? this.#flushing : this.#changed).visit(visitor);
  }
}

const GONE: Change = { reply: undefined, fresh: false };

class Changes {
  count = 0;
  readonly #clients = new Map<string, Map<number, Change>>();

  find(client: string, sequence: number): Change | undefined {
    return this.#clients.get(client)?.get(sequence);
  }

  set(client: string, sequence: number, change: Change): void {
    let changes = this.#clients.get(client);
    if (changes === undefined) {
      changes = new Map();
      this.#clients.set(client, changes);
    }
    this.count -= changes.size;
    changes.set(sequence, change);
    this.count += changes.size;
  }

  remove(client: string, sequence: number): void {
    if (this.#clients.get(client)?.delete(sequence) === true) this.count -= 1;
  }

  visit(visitor: (key: string, reply: Reply | undefined) => void): void {
    for (const [client, changes] of this.#clients)
      for (const [sequence, { reply }] of changes) visitor(replyKey(client, sequence), reply);
  }
}
