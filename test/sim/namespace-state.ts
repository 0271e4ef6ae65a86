import { createHash } from 'node:crypto';
import { apply } from '../../src/model/apply.ts';
import type { Outcome } from '../../src/model/command.ts';
import { MemoryStateStore } from '../../src/model/memory-state-store.ts';
import { target, walk } from '../../src/model/namespace.ts';
import { TABLE_NAMES, type TableName } from '../../src/model/state-store.ts';
import type { LogIndex } from '../../src/raft/position.ts';
import { decodeJournalEntry } from '../../src/wire/codec/command.ts';

/** The state machine of the masters, with everything that a snapshot must hold: the namespace and the sessions. */
export class NamespaceState {
  #index: LogIndex = 0;
  readonly #store = new MemoryStateStore();

  /** The last applied index. */
  get index(): LogIndex {
    return this.#index;
  }

  /** @param command the bytes of a journal entry; undefined for an entry that says nothing to the state */
  apply(index: LogIndex, command: Uint8Array | undefined): Outcome | undefined {
    this.#index = index;
    if (command === undefined) return undefined;
    const entry = decodeJournalEntry(command);
    return entry.kind === 'command' ? apply(this.#store, entry.stamped).outcome : undefined;
  }

  exists(path: string): boolean {
    return this.#store.get('cluster', '') !== undefined && target(walk(this.#store, path)) !== undefined;
  }

  /** @param without tables that are left out, which would be a mistake */
  copy(without: readonly TableName[] = []): NamespaceState {
    const copy = new NamespaceState();
    copy.#index = this.#index;
    for (const table of TABLE_NAMES) {
      if (without.includes(table)) continue;
      for (const { key, row } of this.#store.rows(table)) copy.#store.put(table, key, row);
    }
    return copy;
  }

  digest(): string {
    const hash = createHash('sha1');
    for (const table of TABLE_NAMES) hash.update(JSON.stringify([table, this.#store.rows(table)]));
    return hash.digest('base64');
  }
}
