import { crc32 } from 'node:zlib';
import { assert } from '../../base/assert.ts';
import { SluiceError } from '../../model/errors.ts';
import type { Ballot } from '../../raft/effect.ts';
import type { Entry } from '../../raft/entry.ts';
import type { LogIndex, Position, Term } from '../../raft/position.ts';
import { type Chain, encodedEntriesBytes, encodeEntries } from './log-record.ts';
import { fromSealedBytes, listOf, number, optional, row, text, toSealedBytes } from './shape.ts';

/**
 * Frames of the journal's segment files, one for each write: `magic u32 | length u32 | sequence u48 | format u8 |
 * voter length u8 | first u48 | count u32 | commit u48 | ballot's term u48 | chain before u32 | chain after u32 |
 * entries' length u32 | zero u16 | crc u32 | voter | entries | zeroes up to a multiple of 8`, big-endian. The checksum
 * is that of the header with the voter, begun with the store's salt, so that no bytes that a client put into an entry,
 * nor a file of another store, pass for a frame. Entries, and the chain that checks them, are those of a block
 * (log-record.ts).
 */
const MAGIC = 0x534c4a31;
/** What frames begin with. */
export const FRAME_MAGIC = Buffer.from('SLJ1', 'latin1');
const FORMAT = 1;
const FIXED_BYTES = 56;
const CRC_AT = 52;
/** Frames begin at multiples of this. */
export const FRAME_ALIGNMENT = 8;
/** As many bytes hold the header of every frame. */
export const MAX_FRAME_HEADER_BYTES = FIXED_BYTES + 255;

/** Everything that a frame says beside its entries. */
export interface FrameHeader {
  /** Number of the write: each is one more than the one before it, as long as the store lives. */
  readonly sequence: number;
  /** Index of the first entry: what the log had from here on is gone. Behind the last one when nothing is. */
  readonly first: LogIndex;
  readonly count: number;
  readonly ballot: Ballot;
  readonly commit: LogIndex;
  /** Chain value of the entries before `first`. */
  readonly before: Chain;
  /** Chain value with the entries of this frame. */
  readonly after: Chain;
  /** Where the entries begin in the frame. */
  readonly entriesAt: number;
  readonly entriesBytes: number;
  /** Bytes of the frame with all. */
  readonly length: number;
}

/** What a writer says of a frame. */
export type FrameContent = Pick<FrameHeader, 'sequence' | 'first' | 'ballot' | 'commit' | 'before'> & {
  readonly entries: readonly Entry[];
};

function aligned(bytes: number): number {
  return Math.ceil(bytes / FRAME_ALIGNMENT) * FRAME_ALIGNMENT;
}

/** Bytes of the frame of `content`. */
export function frameBytes({ ballot, entries }: FrameContent): number {
  const voter = ballot.votedFor === undefined ? 0 : Buffer.byteLength(ballot.votedFor);
  return aligned(FIXED_BYTES + voter + encodedEntriesBytes(entries));
}

/** Writes a frame at the beginning of `bytes`, which are `frameBytes` long. @returns the chain value behind it */
export function encodeFrame(content: FrameContent, salt: number, bytes: Buffer): Chain {
  const { sequence, first, ballot, commit, before, entries } = content;
  const voter = ballot.votedFor === undefined ? 0 : bytes.write(ballot.votedFor, FIXED_BYTES);
  assert(voter <= 255, `Name ${ballot.votedFor} is too long for the journal`);
  const entriesAt = FIXED_BYTES + voter;
  const entriesEnd = entriesAt + encodedEntriesBytes(entries);
  encodeEntries(entries, bytes, entriesAt);
  bytes.fill(0, entriesEnd);
  const after = entries.length === 0 ? before : crc32(bytes.subarray(entriesAt, entriesEnd), before);
  bytes.writeUInt32BE(MAGIC, 0);
  bytes.writeUInt32BE(bytes.length, 4);
  bytes.writeUIntBE(sequence, 8, 6);
  bytes.writeUInt8(FORMAT, 14);
  bytes.writeUInt8(voter, 15);
  bytes.writeUIntBE(first, 16, 6);
  bytes.writeUInt32BE(entries.length, 22);
  bytes.writeUIntBE(commit, 26, 6);
  bytes.writeUIntBE(ballot.term, 32, 6);
  bytes.writeUInt32BE(before, 38);
  bytes.writeUInt32BE(after, 42);
  bytes.writeUInt32BE(entriesEnd - entriesAt, 46);
  bytes.writeUInt16BE(0, 50);
  bytes.writeUInt32BE(headerCrc(bytes, 0, voter, salt), CRC_AT);
  return after;
}

function headerCrc(bytes: Buffer, at: number, voter: number, salt: number): number {
  const fixed = crc32(bytes.subarray(at, at + CRC_AT), salt);
  return voter === 0 ? fixed : crc32(bytes.subarray(at + FIXED_BYTES, at + FIXED_BYTES + voter), fixed);
}

/**
 * The header at `at`; undefined when there is none that is whole and of this store.
 * @throws SluiceError UNSUPPORTED when a newer version wrote it
 */
export function decodeFrameHeader(bytes: Buffer, at: number, salt: number): FrameHeader | undefined {
  if (at + FIXED_BYTES > bytes.length || bytes.readUInt32BE(at) !== MAGIC) return undefined;
  const voter = bytes.readUInt8(at + 15);
  const entriesAt = FIXED_BYTES + voter;
  if (at + entriesAt > bytes.length || bytes.readUInt32BE(at + CRC_AT) !== headerCrc(bytes, at, voter, salt))
    return undefined;
  const format = bytes.readUInt8(at + 14);
  if (format !== FORMAT)
    throw new SluiceError('UNSUPPORTED', `its frame has format ${format}, this version knows ${FORMAT}`);
  const votedFor = voter === 0 ? undefined : bytes.toString('utf8', at + FIXED_BYTES, at + entriesAt);
  return {
    length: bytes.readUInt32BE(at + 4),
    sequence: bytes.readUIntBE(at + 8, 6),
    first: bytes.readUIntBE(at + 16, 6),
    count: bytes.readUInt32BE(at + 22),
    commit: bytes.readUIntBE(at + 26, 6),
    ballot: { term: bytes.readUIntBE(at + 32, 6), votedFor },
    before: bytes.readUInt32BE(at + 38),
    after: bytes.readUInt32BE(at + 42),
    entriesAt,
    entriesBytes: bytes.readUInt32BE(at + 46),
  };
}

/** The entries of the whole frame at `at`, as the chain reads them; undefined when they are damaged. */
export function entriesOfFrame(bytes: Buffer, at: number, header: FrameHeader): Buffer | undefined {
  const from = at + header.entriesAt;
  const entries = bytes.subarray(from, from + header.entriesBytes);
  return crc32(entries, header.before) === header.after ? entries : undefined;
}

/** A segment file that the journal is made of, and where the log was when it began. */
export interface SegmentNote {
  /** Unique among the segments of the store. */
  readonly id: number;
  /** Index that the next entry had. */
  readonly first: LogIndex;
  /** Bytes of the file, all of which are there from the beginning. */
  readonly bytes: number;
  /** Number of the write that its first frame holds. */
  readonly sequence: number;
  /** Where the log ended. */
  readonly previous: Position;
  readonly chain: Chain;
}

/** What the journal's meta files say, both the same. */
export interface SegmentMeta {
  /** One more each time. */
  readonly generation: number;
  /** Makes the frames of this store unlike all others. */
  readonly salt: number;
  /** A write that is known to be durable, and what it said. */
  readonly sequence: number;
  readonly ballot: Ballot;
  readonly commit: LogIndex;
  /** Everything up to here is forgotten. */
  readonly base: Position;
  /** Chain value behind `base`. */
  readonly baseChain: Chain;
  readonly nextId: number;
  /** In the order in which they were begun; the last one is written to. */
  readonly segments: readonly SegmentNote[];
}

interface FlatNote {
  readonly id: number;
  readonly first: LogIndex;
  readonly bytes: number;
  readonly sequence: number;
  readonly term: Term;
  readonly index: LogIndex;
  readonly chain: Chain;
}

interface FlatMeta {
  readonly generation: number;
  readonly salt: number;
  readonly sequence: number;
  readonly term: Term;
  readonly commit: LogIndex;
  readonly baseTerm: Term;
  readonly baseIndex: LogIndex;
  readonly baseChain: Chain;
  readonly nextId: number;
  readonly segments: readonly FlatNote[];
  readonly votedFor?: string;
}

/** Field orders are for ever: append only. */
const NOTE = row<FlatNote>({
  id: number,
  first: number,
  bytes: number,
  sequence: number,
  term: number,
  index: number,
  chain: number,
});
const META = row<FlatMeta>({
  generation: number,
  salt: number,
  sequence: number,
  term: number,
  commit: number,
  baseTerm: number,
  baseIndex: number,
  baseChain: number,
  nextId: number,
  segments: listOf(NOTE),
  votedFor: optional(text),
});

/** `length u32`, and as many bytes with a checksum: what is behind them in the file is of no interest. */
export function encodeSegmentMeta(meta: SegmentMeta): Uint8Array {
  const { ballot, base, segments, ...rest } = meta;
  const voted = ballot.votedFor === undefined ? {} : { votedFor: ballot.votedFor };
  const flat: FlatMeta = {
    ...rest,
    term: ballot.term,
    baseTerm: base.term,
    baseIndex: base.index,
    segments: segments.map(({ previous, ...note }) => ({ ...note, term: previous.term, index: previous.index })),
    ...voted,
  };
  const sealed = toSealedBytes(META, flat);
  const bytes = Buffer.allocUnsafe(4 + sealed.length);
  bytes.writeUInt32BE(sealed.length, 0);
  bytes.set(sealed, 4);
  return bytes;
}

/** @throws SluiceError CORRUPT when it is torn or damaged, UNSUPPORTED when a newer version wrote it */
export function decodeSegmentMeta(bytes: Buffer): SegmentMeta {
  const length = bytes.length < 4 ? 0 : bytes.readUInt32BE(0);
  if (length === 0 || 4 + length > bytes.length) throw new SluiceError('CORRUPT', 'It is cut short');
  const flat = fromSealedBytes(META, bytes.subarray(4, 4 + length), 'list of segments');
  const { term, votedFor, baseTerm, baseIndex, segments, ...rest } = flat;
  return {
    ...rest,
    ballot: { term, votedFor },
    base: { term: baseTerm, index: baseIndex },
    segments: segments.map(({ term: previousTerm, index, ...note }) => ({
      ...note,
      previous: { term: previousTerm, index },
    })),
  };
}
