import { apply } from '../model/apply.ts';
import type { Outcome, StampedCommand } from '../model/command.ts';
import { type KeyedTable, replyKey, type StateReader, type StateStore, type Tables } from '../model/state-store.ts';

/** Takes the writes of one command, shows them to it, and keeps them from the state below. */
class Overlay implements StateStore {
  readonly #below: StateReader;
  readonly #writes = new Map<KeyedTable, Map<string, unknown>>();
  readonly #replies = new Map<string, Tables['reply'] | undefined>();

  constructor(below: StateReader) {
    this.#below = below;
  }

  get<T extends KeyedTable>(table: T, key: string): Tables[T] | undefined {
    const rows = this.#writes.get(table);
    if (rows?.has(key)) return rows.get(key) as Tables[T] | undefined;
    return this.#below.get(table, key);
  }

  put<T extends KeyedTable>(table: T, key: string, row: Tables[T]): void {
    this.#rows(table).set(key, row);
  }

  insert<T extends KeyedTable>(table: T, key: string, row: Tables[T]): void {
    this.put(table, key, row);
  }

  delete(table: KeyedTable, key: string): void {
    this.#rows(table).set(key, undefined);
  }

  reply(client: string, sequence: number): Tables['reply'] | undefined {
    const key = replyKey(client, sequence);
    return this.#replies.has(key) ? this.#replies.get(key) : this.#below.reply(client, sequence);
  }

  insertReply(client: string, sequence: number, reply: Tables['reply']): void {
    this.#replies.set(replyKey(client, sequence), reply);
  }

  deleteReplies(client: string, from: number, below: number): void {
    for (let sequence = from; sequence < below; sequence += 1) this.#replies.set(replyKey(client, sequence), undefined);
  }

  #rows(table: KeyedTable): Map<string, unknown> {
    let rows = this.#writes.get(table);
    if (rows === undefined) {
      rows = new Map();
      this.#writes.set(table, rows);
    }
    return rows;
  }
}

/**
 * What `command` would come to if it were applied now. The leader asks before it changes a UFS, so that what will be
 * refused leaves the UFS untouched, by the very code that will refuse it.
 */
export function dryRun(state: StateReader, command: StampedCommand): Outcome {
  return apply(new Overlay(state), command).outcome;
}
