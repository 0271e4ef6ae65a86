import { crc32 } from 'node:zlib';
import { assert } from '../../base/assert.ts';
import { SluiceError } from '../../model/errors.ts';
import type { Ballot } from '../../raft/effect.ts';
import type { Entry, EntryKind } from '../../raft/entry.ts';
import type { LogIndex, Position, Term } from '../../raft/position.ts';
import { fromSealedBytes, number, optional, row, text, toSealedBytes } from './shape.ts';

/**
 * Records of the journal on disk. A block holds consecutive entries: `format u8 | first u48 | count u32 | chain before
 * u32 | chain after u32 | crc of these u32 | entries`, and each entry `kind u8 | term u48 | length u32 | bytes`. The
 * chain is one CRC over all entries of the log in this form, so it does not depend on where blocks are cut, checks the
 * entries of the block, and ties each block to the one before it.
 */
const FORMAT = 1;
const HEADER_BYTES = 23;
const ENTRY_HEADER_BYTES = 11;
const KINDS: readonly EntryKind[] = ['noop', 'command', 'config'];

/** Running CRC over the log; that of the empty log is 0. */
export type Chain = number;

/** Chain value of a log that begins behind `base`, where a snapshot stands for all before it. */
export function chainBehind({ term, index }: Position): Chain {
  if (index === 0) return 0;
  const bytes = Buffer.allocUnsafe(12);
  bytes.writeUIntBE(term, 0, 6);
  bytes.writeUIntBE(index, 6, 6);
  return crc32(bytes);
}

export interface BlockHeader {
  readonly first: LogIndex;
  readonly count: number;
  /** Chain value of everything before the block. */
  readonly before: Chain;
  /** Chain value with the block. */
  readonly after: Chain;
}

/** Bytes that `encodeEntries` writes. */
export function encodedEntriesBytes(entries: readonly Entry[]): number {
  let size = 0;
  for (const entry of entries) size += ENTRY_HEADER_BYTES + entry.bytes.length;
  return size;
}

/** Writes entries as the chain reads them, from `from` on. */
export function encodeEntries(entries: readonly Entry[], bytes: Buffer, from: number): void {
  let at = from;
  for (const entry of entries) {
    bytes[at] = KINDS.indexOf(entry.kind);
    bytes.writeUIntBE(entry.term, at + 1, 6);
    bytes.writeUInt32BE(entry.bytes.length, at + 7);
    bytes.set(entry.bytes, at + ENTRY_HEADER_BYTES);
    at += ENTRY_HEADER_BYTES + entry.bytes.length;
  }
}

/** Reads `count` entries that fill `bytes`, whose checksum is right, as views on it. */
export function decodeEntries(record: Uint8Array, first: LogIndex, count: number): readonly Entry[] {
  const bytes = Buffer.from(record.buffer, record.byteOffset, record.byteLength);
  const entries: Entry[] = [];
  let at = 0;
  for (let i = 0; i < count; i += 1) {
    const kind = KINDS[bytes.readUInt8(at)];
    assert(kind !== undefined, 'Entries whose checksum is right have known kinds');
    const end = at + ENTRY_HEADER_BYTES + bytes.readUInt32BE(at + 7);
    const term = bytes.readUIntBE(at + 1, 6);
    entries.push({ term, index: first + i, kind, bytes: record.subarray(at + ENTRY_HEADER_BYTES, end) });
    at = end;
  }
  assert(at === bytes.length, 'Entries whose checksum is right end with the last of them');
  return entries;
}

/** Position and chain value at `index`, from the entries that begin at `first` behind the chain value `before`. */
export function chainOf(
  bytes: Buffer,
  first: LogIndex,
  index: LogIndex,
  before: Chain,
): { readonly position: Position; readonly chain: Chain } {
  let at = 0;
  let term: Term = 0;
  for (let next = first; next <= index; next += 1) {
    term = bytes.readUIntBE(at + 1, 6);
    at += ENTRY_HEADER_BYTES + bytes.readUInt32BE(at + 7);
  }
  return { position: { term, index }, chain: crc32(bytes.subarray(0, at), before) };
}

/** @returns the record, and the chain value behind it. */
export function encodeBlock(entries: readonly Entry[], before: Chain): { bytes: Uint8Array; after: Chain } {
  const bytes = Buffer.allocUnsafe(HEADER_BYTES + encodedEntriesBytes(entries));
  encodeEntries(entries, bytes, HEADER_BYTES);
  const first = entries[0];
  assert(first !== undefined, 'A block has at least one entry');
  const after = crc32(bytes.subarray(HEADER_BYTES), before);
  bytes.writeUInt8(FORMAT, 0);
  bytes.writeUIntBE(first.index, 1, 6);
  bytes.writeUInt32BE(entries.length, 7);
  bytes.writeUInt32BE(before, 11);
  bytes.writeUInt32BE(after, 15);
  bytes.writeUInt32BE(crc32(bytes.subarray(0, 19)), 19);
  return { bytes, after };
}

/** Reads and checks the header alone. @throws SluiceError CORRUPT, UNSUPPORTED */
function decodeBlockHeader(record: Uint8Array): BlockHeader {
  const bytes = Buffer.from(record.buffer, record.byteOffset, record.byteLength);
  if (bytes.length < HEADER_BYTES) throw new SluiceError('CORRUPT', 'its record is cut short');
  if (bytes.readUInt32BE(19) !== crc32(bytes.subarray(0, 19)))
    throw new SluiceError('CORRUPT', 'the checksum of its header is wrong');
  if (bytes.readUInt8(0) !== FORMAT)
    throw new SluiceError('UNSUPPORTED', `its record has format ${bytes.readUInt8(0)}, this version knows ${FORMAT}`);
  return {
    first: bytes.readUIntBE(1, 6),
    count: bytes.readUInt32BE(7),
    before: bytes.readUInt32BE(11),
    after: bytes.readUInt32BE(15),
  };
}

/** Entries of a block as views on its record. @throws SluiceError CORRUPT when it is damaged, UNSUPPORTED */
export function decodeBlock(record: Uint8Array): { header: BlockHeader; entries: readonly Entry[] } {
  const header = decodeBlockHeader(record);
  const bytes = Buffer.from(record.buffer, record.byteOffset, record.byteLength);
  if (crc32(bytes.subarray(HEADER_BYTES), header.before) !== header.after)
    throw new SluiceError('CORRUPT', 'its checksum is wrong');
  return { header, entries: decodeEntries(record.subarray(HEADER_BYTES), header.first, header.count) };
}

/** Written with every change of the log, in the same batch. */
export interface LogMark {
  readonly ballot: Ballot;
  /** Commit index that was known. */
  readonly commit: LogIndex;
  /** Where the log ends. */
  readonly last: Position;
  readonly chain: Chain;
  /** How many writes there were, this one included; 0 when an older version did not count. */
  readonly writes: number;
}

/** Where the log begins: everything up to `base` was compacted. */
export interface LogBase {
  readonly base: Position;
  readonly chain: Chain;
}

interface FlatMark {
  readonly term: Term;
  readonly commit: LogIndex;
  readonly lastTerm: Term;
  readonly lastIndex: LogIndex;
  readonly chain: Chain;
  readonly votedFor?: string;
  readonly writes?: number;
}

/** Field orders are for ever: append only. */
const MARK = row<FlatMark>({
  term: number,
  commit: number,
  lastTerm: number,
  lastIndex: number,
  chain: number,
  votedFor: optional(text),
  writes: optional(number),
});
const BASE = row<Position & { readonly chain: Chain }>({ term: number, index: number, chain: number });

export function encodeLogMark({ ballot, commit, last, chain, writes }: LogMark): Uint8Array {
  const { term, votedFor } = ballot;
  const voted = votedFor === undefined ? {} : { votedFor };
  return toSealedBytes(MARK, { term, commit, lastTerm: last.term, lastIndex: last.index, chain, ...voted, writes });
}

/** @throws SluiceError CORRUPT */
export function decodeLogMark(bytes: Uint8Array): LogMark {
  const flat = fromSealedBytes(MARK, bytes, 'ballot');
  return {
    ballot: { term: flat.term, votedFor: flat.votedFor },
    commit: flat.commit,
    last: { term: flat.lastTerm, index: flat.lastIndex },
    chain: flat.chain,
    writes: flat.writes ?? 0,
  };
}

/** Written beside a LevelDB, so that the loss of its last writes is noticed. */
export interface LogNote {
  /** So many writes are known to be durable. */
  readonly writes: number;
  /** The commit index that they noted. */
  readonly commit: LogIndex;
}

const NOTE_BYTES = 16;

/** `writes u48 | commit u48 | crc u32` */
export function encodeLogNote({ writes, commit }: LogNote): Uint8Array {
  const bytes = Buffer.alloc(NOTE_BYTES);
  bytes.writeUIntBE(writes, 0, 6);
  bytes.writeUIntBE(commit, 6, 6);
  bytes.writeUInt32BE(crc32(bytes.subarray(0, 12)), 12);
  return bytes;
}

/** Undefined when it is torn or damaged. */
export function decodeLogNote(bytes: Buffer): LogNote | undefined {
  if (bytes.length !== NOTE_BYTES || bytes.readUInt32BE(12) !== crc32(bytes.subarray(0, 12))) return undefined;
  return { writes: bytes.readUIntBE(0, 6), commit: bytes.readUIntBE(6, 6) };
}

export function encodeLogBase({ base, chain }: LogBase): Uint8Array {
  return toSealedBytes(BASE, { term: base.term, index: base.index, chain });
}

/** @throws SluiceError CORRUPT */
export function decodeLogBase(bytes: Uint8Array): LogBase {
  const { term, index, chain } = fromSealedBytes(BASE, bytes, 'beginning of a log');
  return { base: { term, index }, chain };
}
