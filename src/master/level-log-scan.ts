import { SluiceError } from '../model/errors.ts';
import type { Entry } from '../raft/entry.ts';
import type { TermRun } from '../raft/log-store.ts';
import type { LogIndex, Position } from '../raft/position.ts';
import { type Chain, decodeBlock, type LogBase, type LogMark, type LogNote } from '../wire/codec/log-record.ts';

/** Key of a record of the journal. */
export type BlockKey = Uint8Array;

const BLOCK_PREFIX = 0x65;
const INDEX_BYTES = 6;

/** Key of the record of votes and of the log's end. */
export const MARK_KEY: BlockKey = new Uint8Array([0x62]);
/** Key of the record where the log begins. */
export const BASE_KEY: BlockKey = new Uint8Array([0x63]);
export const FIRST_BLOCK_KEY: BlockKey = blockKey(0);
export const LAST_BLOCK_KEY: BlockKey = blockKey(2 ** 48 - 1);

/** Key of the block that begins with entry `index`: big-endian, so that keys are in the order of the log. */
export function blockKey(index: LogIndex): BlockKey {
  const key = Buffer.allocUnsafe(1 + INDEX_BYTES);
  key.writeUInt8(BLOCK_PREFIX, 0);
  key.writeUIntBE(index, 1, INDEX_BYTES);
  return key;
}

/** The index that a key of a block begins with. */
export function indexOfKey(key: BlockKey): LogIndex {
  return Buffer.from(key.buffer, key.byteOffset, key.byteLength).readUIntBE(1, INDEX_BYTES);
}

/**
 * What to do about damage of a master's journal or state. Never to copy another's folders: the votes in them are not
 * this one's.
 */
export const WAY_OUT =
  'stop this master, move its data folder away, start it with an empty one, and let the others take it in with ' +
  'sluice admin quorum add NAME=HOST:PORT; when most masters have lost theirs, see sluice journal recover';

/** Damage of the journal at `index`, with what to do about it. */
export function damaged(folder: string, index: LogIndex, what: string, cause?: unknown): SluiceError {
  const options = cause === undefined ? {} : { cause };
  return new SluiceError('CORRUPT', `Journal ${folder} is damaged at entry ${index} (${what}): ${WAY_OUT}`, {
    ...options,
    details: { index },
  });
}

/** `thrown`, and when it tells of damage, what to do about it. */
export function withWayOut(thrown: unknown): SluiceError {
  const error = SluiceError.from(thrown);
  if (error.code !== 'CORRUPT' || error.message.endsWith(WAY_OUT)) return error;
  return new SluiceError('CORRUPT', `${error.message}: ${WAY_OUT}`, { cause: thrown, details: error.details });
}

/**
 * Verifies the blocks of a log in their order: each must continue the one before it, by index and by chain, and the
 * last must end where the mark says that the log ended. LevelDB recovers whole batches, and the mark is in the batch
 * of the last block: a write that a crash tore is absent with its mark, so nothing that this scan misses was a crash.
 * Of whole writes that are lost from the end the LevelDB itself knows nothing: a note beside it says how many there
 * were, at the last close or some thousand writes ago.
 */
export class LogScan {
  readonly runs: TermRun[] = [];
  readonly configs: Entry[] = [];
  readonly #folder: string;
  #last: Position;
  #chain: Chain;

  constructor(folder: string, start: LogBase) {
    this.#folder = folder;
    this.#last = start.base;
    this.#chain = start.chain;
  }

  get last(): Position {
    return this.#last;
  }

  get chain(): Chain {
    return this.#chain;
  }

  /**
   * @returns the entries of the block.
   * @throws SluiceError CORRUPT that names the first entry that is wrong or missing, UNSUPPORTED
   */
  add(key: BlockKey, record: Uint8Array): readonly Entry[] {
    const next = this.#last.index + 1;
    const first = indexOfKey(key);
    if (first > next) throw damaged(this.#folder, next, `entries up to ${first - 1} are missing`);
    const { header, entries } = this.#decode(first, record);
    if (header.first !== first || first < next) throw damaged(this.#folder, first, 'its record is in a wrong place');
    if (header.before !== this.#chain) throw damaged(this.#folder, first, 'it does not continue the entry before it');
    for (const entry of entries) {
      if (entry.term < this.#last.term) throw damaged(this.#folder, entry.index, 'its term is before the last one');
      if (entry.term !== this.#last.term || this.runs.length === 0)
        this.runs.push({ first: entry.index, term: entry.term });
      if (entry.kind === 'config') this.configs.push({ ...entry, bytes: entry.bytes.slice() });
      this.#last = { term: entry.term, index: entry.index };
    }
    this.#chain = header.after;
    return entries;
  }

  /**
   * @param note What was noted beside the LevelDB.
   * @throws SluiceError CORRUPT when the log does not end where it should.
   */
  finish(mark: LogMark | undefined, note: LogNote | undefined): void {
    const { term, index } = this.#last;
    if (mark === undefined && index > 0) throw damaged(this.#folder, index, 'the record of votes is missing');
    const lost = (note?.writes ?? 0) - (mark?.writes ?? 0);
    if (note !== undefined && lost > 0)
      throw damaged(this.#folder, index + 1, `the last ${lost} writes are missing, ${note.commit} was committed`);
    if (mark === undefined) return;
    if (index < mark.last.index) {
      const what = `entries up to ${mark.last.index} are missing, ${mark.commit} was the last known to be committed`;
      throw damaged(this.#folder, index + 1, what);
    }
    if (index > mark.last.index || term !== mark.last.term || this.#chain !== mark.chain)
      throw damaged(this.#folder, index, `the log should end at entry ${mark.last.index} of term ${mark.last.term}`);
    if (mark.commit > index) throw damaged(this.#folder, index, `entry ${mark.commit} is committed but missing`);
  }

  #decode(first: LogIndex, record: Uint8Array): ReturnType<typeof decodeBlock> {
    try {
      return decodeBlock(record);
    } catch (thrown) {
      const error = SluiceError.from(thrown);
      if (error.code !== 'CORRUPT') throw error;
      throw damaged(this.#folder, first, error.message, thrown);
    }
  }
}
