import { assert } from '../../src/base/assert.ts';
import { SluiceError } from '../../src/model/errors.ts';
import { type Entry, entrySizeBytes } from '../../src/raft/entry.ts';
import type { LogStore, LogWrite, StoredLog } from '../../src/raft/log-store.ts';
import type { LogIndex, Position } from '../../src/raft/position.ts';
import type { SimDisk } from '../sim/disk.ts';

/** The simulator's disk as a log store. */
export class MemoryLogStore implements LogStore {
  readonly #disk: SimDisk;
  #writing = false;
  #poison: unknown;

  constructor(disk: SimDisk) {
    this.#disk = disk;
  }

  async open(): Promise<StoredLog> {
    return this.#disk.open();
  }

  write(write: LogWrite): Promise<void> {
    return this.#alone(() => this.#disk.write({ ...write, entries: write.entries.map(copied) }));
  }

  async read(from: LogIndex, to: LogIndex, maxBytes: number): Promise<readonly Entry[]> {
    const { base, last, entries } = this.#disk;
    if (from <= base.index || to > last.index || from > to)
      throw new SluiceError('NOT_FOUND', `The log does not have entries ${from} to ${to}`);
    const found: Entry[] = [];
    let bytes = 0;
    for (const entry of entries.slice(from - 1 - base.index, to - base.index)) {
      if (bytes >= maxBytes && found.length > 0) break;
      found.push(entry);
      bytes += entrySizeBytes(entry);
    }
    return found.map(copied);
  }

  async compact(upTo: Position): Promise<void> {
    this.#checkPoison();
    this.#poisoning(() => this.#disk.compact(upTo));
  }

  reset(base: Position): Promise<void> {
    return this.#alone(() => this.#disk.reset(base));
  }

  async close(): Promise<void> {}

  async #alone(change: () => void): Promise<void> {
    assert(!this.#writing, 'Two writes of the log at a time');
    this.#checkPoison();
    this.#writing = true;
    try {
      await Promise.resolve();
      this.#poisoning(change);
    } finally {
      this.#writing = false;
    }
  }

  #checkPoison(): void {
    if (this.#poison === undefined) return;
    throw new SluiceError('INTERNAL', 'The log failed before', { cause: this.#poison });
  }

  #poisoning(change: () => void): void {
    try {
      change();
    } catch (thrown) {
      this.#poison = thrown;
      throw thrown;
    }
  }
}

function copied(entry: Entry): Entry {
  return { ...entry, bytes: entry.bytes.slice() };
}
