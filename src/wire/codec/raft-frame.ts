import { Packr } from 'msgpackr';
import { assert } from '../../base/assert.ts';
import { SluiceError } from '../../model/errors.ts';
import type { Entry, EntryKind } from '../../raft/entry.ts';
import type { Message, MessageKind } from '../../raft/message.ts';
import { ProtoReader } from './proto-reader.ts';
import { lengthTag, ProtoWriter } from './proto-writer.ts';

/*
 * A frame: u16 length of the head | head (msgpack: the message without entries) | u32 number of entries | per entry u8
 * kind, u32 length, f64 term | the bytes of all entries. Numbers are little-endian. An entry's index is its place after
 * `previous`.
 */

type FieldType = 'number' | 'number, if any' | 'boolean' | 'position';

/** What each message must have; what arrives is checked against it. */
const FIELDS: Readonly<Record<MessageKind, Readonly<Record<string, FieldType>>>> = {
  preVote: { last: 'position' },
  preVoteReply: { granted: 'boolean', commit: 'number' },
  vote: { last: 'position', transfer: 'boolean' },
  voteReply: { granted: 'boolean', commit: 'number' },
  append: { previous: 'position', last: 'number', commit: 'number', readPosition: 'number' },
  appendReply: { match: 'number', readPosition: 'number', promiseMs: 'number, if any' },
  appendReject: { rejected: 'number', hint: 'position', readPosition: 'number', promiseMs: 'number, if any' },
  heartbeat: { commit: 'number', readPosition: 'number' },
  heartbeatReply: { readPosition: 'number', promiseMs: 'number, if any' },
  snapshotOffer: { base: 'position', readPosition: 'number' },
  readIndex: { token: 'number' },
  readIndexReply: { token: 'number', index: 'number', ok: 'boolean' },
  timeoutNow: {},
};

const KINDS: readonly EntryKind[] = ['noop', 'command', 'config'];
const HEAD_BYTES_MAX = 512;
const ENTRY_HEAD_BYTES = 13;
const FRAMES = lengthTag(1);
const packr = new Packr({ useRecords: false, structuredClone: false });

/** Upper bound of what a message takes in a frame. */
export function raftFrameBytes(message: Message): number {
  let bytes = HEAD_BYTES_MAX;
  if (message.kind === 'append') for (const entry of message.entries) bytes += ENTRY_HEAD_BYTES + entry.bytes.length;
  return bytes;
}

/** An ExchangeRequest with these messages. */
export function encodeRaftFrames(messages: readonly Message[]): Buffer {
  const writer = new ProtoWriter(messages.reduce((sum, message) => sum + raftFrameBytes(message) + 8, 0));
  for (const message of messages) writeFrame(writer, message);
  return writer.finish();
}

function writeFrame(writer: ProtoWriter, message: Message): void {
  const { entries = [], ...fields }: { readonly entries?: readonly Entry[] } & Message = message;
  const head = packr.pack(fields);
  assert(head.length <= HEAD_BYTES_MAX, 'the head of a Raft message is small');
  let size = 2 + head.length + 4;
  for (const entry of entries) size += ENTRY_HEAD_BYTES + entry.bytes.length;
  const frame = writer.room(FRAMES, size);
  frame.writeUInt16LE(head.length, 0);
  frame.set(head, 2);
  let at = 2 + head.length;
  at = frame.writeUInt32LE(entries.length, at);
  for (const entry of entries) {
    at = frame.writeUInt8(KINDS.indexOf(entry.kind), at);
    at = frame.writeUInt32LE(entry.bytes.length, at);
    at = frame.writeDoubleLE(entry.term, at);
  }
  const first = message.kind === 'append' ? message.previous.index + 1 : 0;
  for (const [i, entry] of entries.entries()) {
    assert(entry.index === first + i, 'the entries of an append follow its previous index');
    frame.set(entry.bytes, at);
    at += entry.bytes.length;
  }
}

/** The messages of an ExchangeRequest. Entries share memory with `bytes`. @throws SluiceError INVALID_ARGUMENT */
export function decodeRaftFrames(bytes: Uint8Array): readonly Message[] {
  const reader = new ProtoReader(bytes);
  const messages: Message[] = [];
  for (let tag = reader.next(); tag !== 0; tag = reader.next()) {
    if (tag === FRAMES) messages.push(readFrame(reader.bytes()));
    else reader.skip();
  }
  return messages;
}

function readFrame(frame: Buffer): Message {
  check(frame.length >= 6, 'it is too short');
  const headEnd = 2 + frame.readUInt16LE(0);
  check(headEnd <= 2 + HEAD_BYTES_MAX && headEnd + 4 <= frame.length, 'its head is too long');
  const message = checkMessage(unpack(frame.subarray(2, headEnd)));
  const count = frame.readUInt32LE(headEnd);
  const tableEnd = headEnd + 4 + count * ENTRY_HEAD_BYTES;
  check(tableEnd <= frame.length, 'its table of entries is cut');
  if (message.kind !== 'append') {
    check(count === 0 && tableEnd === frame.length, 'something follows its head');
    return message;
  }
  const entries: Entry[] = [];
  let at = tableEnd;
  for (let i = 0; i < count; i += 1) {
    const row = headEnd + 4 + i * ENTRY_HEAD_BYTES;
    const kind = KINDS[frame.readUInt8(row)];
    const end = at + frame.readUInt32LE(row + 1);
    const term = frame.readDoubleLE(row + 5);
    check(kind !== undefined && isCount(term) && end <= frame.length, `its entry ${i} is malformed`);
    entries.push({ term, index: message.previous.index + 1 + i, kind, bytes: frame.subarray(at, end) });
    at = end;
  }
  check(at === frame.length, 'something follows its entries');
  return { ...message, entries };
}

function unpack(head: Buffer): unknown {
  try {
    return packr.unpack(head);
  } catch (cause) {
    throw new SluiceError('INVALID_ARGUMENT', 'Malformed Raft frame: its head is no msgpack', { cause });
  }
}

function checkMessage(head: unknown): Message {
  check(typeof head === 'object' && head !== null, 'its head is no message');
  const fields: Record<string, unknown> = { ...head };
  const kind = fields['kind'];
  check(typeof kind === 'string' && Object.hasOwn(FIELDS, kind), `it has the unknown kind ${String(kind)}`);
  const wanted = FIELDS[kind as MessageKind];
  check(isCount(fields['term']), 'it has no term');
  const message: Record<string, unknown> = { kind, term: fields['term'] };
  for (const [name, type] of Object.entries(wanted)) {
    if (type === 'number, if any' && fields[name] === undefined) continue;
    check(isOfType(fields[name], type), `its ${name} is no ${type}`);
    message[name] = fields[name];
  }
  if (kind === 'append') message['entries'] = [];
  // The table above names every field of the kind; a test holds it against encoded messages of each.
  return message as unknown as Message;
}

function isOfType(value: unknown, type: FieldType): boolean {
  if (type === 'number' || type === 'number, if any') return isCount(value);
  if (type === 'boolean') return typeof value === 'boolean';
  return typeof value === 'object' && value !== null && 'term' in value && 'index' in value
    ? isCount(value.term) && isCount(value.index)
    : false;
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

function check(condition: boolean, why: string): asserts condition {
  if (!condition) throw new SluiceError('INVALID_ARGUMENT', `Malformed Raft frame: ${why}`);
}
