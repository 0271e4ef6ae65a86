import { apply } from '../model/apply.ts';
import type { Outcome, StampedCommand } from '../model/command.ts';
import type { StateReader, StateStore, TableName, Tables } from '../model/state-store.ts';

/** Takes the writes of one command, shows them to it, and keeps them from the state below. */
class Overlay implements StateStore {
  readonly #below: StateReader;
  readonly #writes = new Map<TableName, Map<string, unknown>>();

  constructor(below: StateReader) {
    this.#below = below;
  }

  get<T extends TableName>(table: T, key: string): Tables[T] | undefined {
    const rows = this.#writes.get(table);
    if (rows?.has(key)) return rows.get(key) as Tables[T] | undefined;
    return this.#below.get(table, key);
  }

  put<T extends TableName>(table: T, key: string, row: Tables[T]): void {
    this.#rows(table).set(key, row);
  }

  insert<T extends TableName>(table: T, key: string, row: Tables[T]): void {
    this.put(table, key, row);
  }

  delete(table: TableName, key: string): void {
    this.#rows(table).set(key, undefined);
  }

  #rows(table: TableName): Map<string, unknown> {
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
