import { type Refusal, SluiceError } from '../../model/errors.ts';
import type { OperationName } from '../../model/operations.ts';
import type { Principal } from '../../model/principal.ts';
import { Principal as PrincipalMessage } from '../gen/sluice/v1/model.ts';
import { messageCodec } from './codec.ts';
import { OPERATION_CODECS, operationOfField } from './operation.ts';
import { ProtoReader } from './proto-reader.ts';
import { lengthTag, ProtoWriter, varintTag } from './proto-writer.ts';
import { REFUSAL } from './refusal.ts';

/** SessionHello. */
export interface SessionHello {
  readonly client: string;
  readonly principal: Principal;
}

/** SessionOperation, its request still encoded. */
export interface SessionOperation {
  readonly id: number;
  readonly sequence: number;
  readonly timeoutMs: number;
  readonly principal: Principal | undefined;
  readonly anyMaster: boolean;
  readonly name: OperationName;
  /** See `OperationCodec.request`. */
  readonly body: Uint8Array;
}

/** SessionRequest. */
export interface SessionRequest {
  readonly hello: SessionHello | undefined;
  readonly operations: readonly SessionOperation[];
  readonly cancelled: readonly number[];
  readonly acknowledgedBelow: number;
  readonly ping: number;
}

/** A SessionRequest as it arrives. */
export interface ReceivedSessionRequest extends SessionRequest {
  /** Ids of operations that this program does not know. */
  readonly unknown: readonly number[];
}

/** SessionReply, its result still encoded. */
export type SessionReply =
  | { readonly id: number; readonly name: OperationName; readonly body: Uint8Array }
  | { readonly id: number; readonly name: 'refusal'; readonly refusal: Refusal };

/** SessionResponse. */
export interface SessionResponse {
  readonly replies: readonly SessionReply[];
  readonly pong: number;
  /** Addresses of all masters; empty when the message does not say. */
  readonly masters: readonly string[];
}

const PRINCIPAL = messageCodec<Principal, PrincipalMessage>(
  PrincipalMessage,
  (principal) => principal,
  (message) => message,
);
const TAG_1_MESSAGE = lengthTag(1);
const TAG_2_MESSAGE = lengthTag(2);
const TAG_4_MESSAGE = lengthTag(4);
const TAG_1_NUMBER = varintTag(1);
const TAG_2_NUMBER = varintTag(2);
const TAG_3_NUMBER = varintTag(3);
const TAG_4_NUMBER = varintTag(4);
const TAG_5_NUMBER = varintTag(5);
const TAG_3_BYTES = lengthTag(3);
const FIRST_OPERATION_FIELD = 16;

/** Operations that one message may carry; more are refused. */
export const OPERATIONS_PER_MESSAGE_MAX = 4096;

/** What one operation costs in a frame beyond its body, at most (without a principal of its own). */
const OPERATION_OVERHEAD_BYTES = 48;

/** What one operation takes in a frame, at most. @param principal Its own, if it has one. */
export function operationBytesMax(body: Uint8Array, principal: Principal | undefined): number {
  let size = body.length + OPERATION_OVERHEAD_BYTES;
  if (principal === undefined) return size;
  // A UTF-16 unit has at most three bytes of UTF-8; each name has a tag and a length.
  size += 3 * principal.user.length + 8;
  for (const group of principal.groups) size += 3 * group.length + 8;
  return size;
}

export function encodeSessionRequest(request: SessionRequest): Buffer {
  let size = 128;
  for (const { body, principal } of request.operations) size += operationBytesMax(body, principal);
  const writer = new ProtoWriter(size);
  if (request.hello !== undefined) {
    const hello = writer.begin(TAG_1_MESSAGE);
    writer.string(TAG_1_MESSAGE, request.hello.client);
    writer.bytes(TAG_2_MESSAGE, PRINCIPAL.encode(request.hello.principal));
    writer.end(hello);
  }
  for (const operation of request.operations) {
    const start = writer.begin(TAG_2_MESSAGE);
    writer.uint(TAG_1_NUMBER, operation.id);
    writer.uint(TAG_2_NUMBER, operation.sequence);
    writer.uint(TAG_3_NUMBER, operation.timeoutMs);
    if (operation.principal !== undefined) writer.bytes(TAG_4_MESSAGE, PRINCIPAL.encode(operation.principal));
    writer.bool(TAG_5_NUMBER, operation.anyMaster);
    writer.bytes(lengthTag(OPERATION_CODECS[operation.name].field), operation.body);
    writer.end(start);
  }
  for (const id of request.cancelled) writer.uint(TAG_3_NUMBER, id);
  writer.uint(TAG_4_NUMBER, request.acknowledgedBelow);
  writer.uint(TAG_5_NUMBER, request.ping);
  return writer.finish();
}

/** @throws SluiceError INVALID_ARGUMENT. The bodies share memory with `bytes`. */
export function decodeSessionRequest(bytes: Uint8Array): ReceivedSessionRequest {
  const reader = new ProtoReader(bytes);
  let hello: SessionHello | undefined;
  const operations: SessionOperation[] = [];
  const unknown: number[] = [];
  const cancelled: number[] = [];
  let acknowledgedBelow = 0;
  let ping = 0;
  for (let tag = reader.next(); tag !== 0; tag = reader.next()) {
    if (tag === TAG_1_MESSAGE) hello = decodeHello(reader.bytes());
    else if (tag === TAG_2_MESSAGE) decodeOperation(reader, operations, unknown);
    else if (tag === TAG_3_NUMBER) cancelled.push(reader.uint());
    else if (tag === TAG_3_BYTES) decodePacked(reader, cancelled);
    else if (tag === TAG_4_NUMBER) acknowledgedBelow = reader.uint();
    else if (tag === TAG_5_NUMBER) ping = reader.uint();
    else reader.skip();
    if (operations.length + unknown.length > OPERATIONS_PER_MESSAGE_MAX)
      throw new SluiceError(
        'INVALID_ARGUMENT',
        `A session message may carry ${OPERATIONS_PER_MESSAGE_MAX} operations: send the rest in another one`,
      );
  }
  return { hello, operations, unknown, cancelled, acknowledgedBelow, ping };
}

function decodePacked(reader: ProtoReader, into: number[]): void {
  const numbers = new ProtoReader(reader.bytes());
  while (numbers.hasMore()) into.push(numbers.uint());
}

function decodeHello(bytes: Buffer): SessionHello {
  const reader = new ProtoReader(bytes);
  let client = '';
  let principal: Principal = { user: '', groups: [] };
  for (let tag = reader.next(); tag !== 0; tag = reader.next()) {
    if (tag === TAG_1_MESSAGE) client = reader.string();
    else if (tag === TAG_2_MESSAGE) principal = PRINCIPAL.decode(reader.bytes());
    else reader.skip();
  }
  return { client, principal };
}

function decodeOperation(reader: ProtoReader, known: SessionOperation[], unknown: number[]): void {
  const outer = reader.enter();
  let id = 0;
  let sequence = 0;
  let timeoutMs = 0;
  let principal: Principal | undefined;
  let anyMaster = false;
  let name: OperationName | undefined;
  let body: Buffer | undefined;
  for (let tag = reader.next(); tag !== 0; tag = reader.next()) {
    if (tag === TAG_1_NUMBER) id = reader.uint();
    else if (tag === TAG_2_NUMBER) sequence = reader.uint();
    else if (tag === TAG_3_NUMBER) timeoutMs = reader.uint();
    else if (tag === TAG_4_MESSAGE) principal = PRINCIPAL.decode(reader.bytes());
    else if (tag === TAG_5_NUMBER) anyMaster = reader.uint() !== 0;
    else {
      const found = tag % 8 === 2 ? operationOfField(Math.floor(tag / 8)) : undefined;
      if (found === undefined) reader.skip();
      else {
        name = found;
        body = reader.bytes();
      }
    }
  }
  reader.leave(outer);
  if (name === undefined || body === undefined) unknown.push(id);
  else known.push({ id, sequence, timeoutMs, principal, anyMaster, name, body });
}

/** Adds one reply to a SessionResponse that `writer` is writing. */
export function writeReply(writer: ProtoWriter, id: number, name: OperationName, body: Uint8Array): void {
  const start = writer.begin(TAG_1_MESSAGE);
  writer.uint(TAG_1_NUMBER, id);
  writer.bytes(lengthTag(OPERATION_CODECS[name].field), body);
  writer.end(start);
}

/** Adds one refusal to a SessionResponse that `writer` is writing. */
export function writeRefusal(writer: ProtoWriter, id: number, refusal: Refusal): void {
  const start = writer.begin(TAG_1_MESSAGE);
  writer.uint(TAG_1_NUMBER, id);
  writer.bytes(TAG_2_MESSAGE, REFUSAL.encode(refusal));
  writer.end(start);
}

/** Adds the answer to a ping. */
export function writePong(writer: ProtoWriter, pong: number): void {
  writer.uint(TAG_2_NUMBER, pong);
}

/** Adds the addresses of all masters. */
export function writeMasters(writer: ProtoWriter, addresses: readonly string[]): void {
  for (const address of addresses) writer.string(TAG_3_BYTES, address);
}

/** @throws SluiceError INVALID_ARGUMENT. The bodies share memory with `bytes`. */
export function decodeSessionResponse(bytes: Uint8Array): SessionResponse {
  const reader = new ProtoReader(bytes);
  const replies: SessionReply[] = [];
  const masters: string[] = [];
  let pong = 0;
  for (let tag = reader.next(); tag !== 0; tag = reader.next()) {
    if (tag === TAG_1_MESSAGE) replies.push(decodeReply(reader));
    else if (tag === TAG_2_NUMBER) pong = reader.uint();
    else if (tag === TAG_3_BYTES) masters.push(reader.string());
    else reader.skip();
  }
  return { replies, pong, masters };
}

function decodeReply(reader: ProtoReader): SessionReply {
  const outer = reader.enter();
  let id = 0;
  let reply: SessionReply | undefined;
  for (let tag = reader.next(); tag !== 0; tag = reader.next()) {
    if (tag === TAG_1_NUMBER) id = reader.uint();
    else if (tag === TAG_2_MESSAGE) reply = { id: 0, name: 'refusal', refusal: REFUSAL.decode(reader.bytes()) };
    else {
      const field = Math.floor(tag / 8);
      const name = tag % 8 === 2 && field >= FIRST_OPERATION_FIELD ? operationOfField(field) : undefined;
      if (name === undefined) reader.skip();
      else reply = { id: 0, name, body: reader.bytes() };
    }
  }
  reader.leave(outer);
  if (reply === undefined)
    throw new SluiceError(
      'UNSUPPORTED',
      `The answer to operation ${id} is not one that this program knows: upgrade it`,
    );
  return { ...reply, id };
}
