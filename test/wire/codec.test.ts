import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ERROR_TABLE, type ErrorCode } from '../../src/model/errors.ts';
import type { OperationName } from '../../src/model/operations.ts';
import { OPERATION_CODECS, OPERATION_NAMES } from '../../src/wire/codec/operation.ts';
import { ProtoReader } from '../../src/wire/codec/proto-reader.ts';
import { lengthTag, ProtoWriter, varintTag } from '../../src/wire/codec/proto-writer.ts';
import { REFUSAL } from '../../src/wire/codec/refusal.ts';
import { LEADER_MESSAGE, WORKER_MESSAGE } from '../../src/wire/codec/registry.ts';
import { QUORUM_REPLY, REPORT_REPLY } from '../../src/wire/codec/report.ts';
import {
  decodeSessionRequest,
  decodeSessionResponse,
  encodeSessionRequest,
  OPERATIONS_PER_MESSAGE_MAX,
  type SessionRequest,
  writePong,
  writeRefusal,
  writeReply,
} from '../../src/wire/codec/session-frame.ts';
import * as generated from '../../src/wire/gen/sluice/v1/metadata.ts';
import { FileStatus as GeneratedStatus, Refusal } from '../../src/wire/gen/sluice/v1/model.ts';
import {
  count,
  mounts,
  operations,
  signed,
  status,
  text,
  time,
  worker,
  workerList,
  workerStatus,
} from './arbitraries.ts';
import { STATUS } from './cluster.ts';

const principal = fc.record({ user: text, groups: fc.array(text, { maxLength: 3 }) });
const name = fc.constantFrom(...OPERATION_NAMES);
const refusal = fc.record({
  code: fc.constantFrom(...(Object.keys(ERROR_TABLE) as ErrorCode[])),
  message: text,
  details: fc.dictionary(
    fc.string({ minLength: 1 }).filter((key) => key !== '__proto__'),
    fc.oneof(text, fc.double({ noNaN: true }), fc.boolean()),
    {
      noNullPrototype: true,
    },
  ),
});

describe('operations', () => {
  test.each([Number.MAX_SAFE_INTEGER, 2 ** 52, Number.MIN_SAFE_INTEGER, -(2 ** 52) - 1, -1, 0])(
    'the largest time to live that a file may have comes back: %d',
    (ttlMs) => {
      const { reply } = OPERATION_CODECS.getStatus;
      expect(reply.decode(reply.encode({ ...STATUS, ttlMs }))).toEqual({ ...STATUS, ttlMs });
      const bytes = generated.GetStatusResponse.decode(reply.encode({ ...STATUS, ttlMs }));
      expect(bytes.status?.ttlMs).toBe(ttlMs);
    },
  );

  test.each(OPERATION_NAMES)('%s: request and reply come back as they were', (operation) => {
    const { request, reply } = OPERATION_CODECS[operation];
    const [requests, replies] = operations[operation];
    fc.assert(
      fc.property(requests, replies, (asked, answered) => {
        expect(request.decode(request.encode(asked as never))).toEqual(asked);
        expect(reply.decode(reply.encode(answered as never))).toEqual(answered);
      }),
      { numRuns: 50 },
    );
  });

  test('the status by hand is the generated one', () => {
    const reply = OPERATION_CODECS.listStatus.reply;
    fc.assert(
      fc.property(fc.array(status, { maxLength: 3 }), text, (entries, cursor) => {
        const bytes = reply.encode({ entries, cursor });
        const message = generated.ListStatusResponse.decode(bytes);
        const numbers = message.entries.map(({ kind, ttlAction, persistence, writeType, ...rest }) => rest);
        expect(numbers).toEqual(entries.map(({ kind, ttlAction, persistence, writeType, ...rest }) => rest));
        const again = generated.ListStatusResponse.encode(message).finish();
        expect(Buffer.compare(again, bytes)).toBe(0);
        expect(reply.decode(again)).toEqual({ entries, cursor });
        for (const one of entries) {
          const single = generated.GetStatusResponse.decode(OPERATION_CODECS.getStatus.reply.encode(one));
          expect(single.status?.createdMs).toBe(one.createdMs);
        }
      }),
    );
  });

  test.each([
    ['createFile', generated.CreateFileRequest],
    ['completeFile', generated.CompleteFileRequest],
    ['makeDirectory', generated.MakeDirectoryRequest],
    ['delete', generated.DeleteRequest],
    ['rename', generated.RenameRequest],
    ['getStatus', generated.GetStatusRequest],
    ['exists', generated.ExistsRequest],
    ['listStatus', generated.ListStatusRequest],
    ['unmount', generated.UnmountRequest],
  ] as const)('%s: the request by hand is the generated one', (operation, message) => {
    fc.assert(
      fc.property(operations[operation][0], (asked) => {
        const bytes = OPERATION_CODECS[operation].request.encode(asked as never);
        const read: object = message.decode(bytes);
        const { writeType: _, ...rest } = asked as { writeType?: string };
        expect(read).toMatchObject(rest);
        expect(Buffer.compare(message.encode(read as never).finish(), bytes)).toBe(0);
      }),
    );
  });

  test.each([-1, 0.5, Number.NaN, 2 ** 53])('%s is no count', (mode) => {
    const request = { path: '/a', mode, recursive: false, allowExists: false };
    expect(() => OPERATION_CODECS.makeDirectory.request.encode(request)).toThrow(
      expect.objectContaining({ code: 'INVALID_ARGUMENT' }),
    );
  });

  test('an unknown word is refused by name', () => {
    const bytes = generated.CreateFileRequest.encode({
      path: '/a',
      mode: 0,
      writeType: 0,
      blockSizeBytes: 0,
      recursive: false,
      overwrite: false,
      empty: false,
    }).finish();
    expect(() => OPERATION_CODECS.createFile.request.decode(bytes)).toThrow(/write_type must be one of MUST_CACHE/);
  });

  test('bytes that are no message are refused as such', () => {
    fc.assert(
      fc.property(name, fc.uint8Array({ maxLength: 60 }), (operation, bytes) => {
        try {
          OPERATION_CODECS[operation].request.decode(bytes);
        } catch (thrown) {
          expect(thrown).toMatchObject({ name: 'SluiceError', code: 'INVALID_ARGUMENT' });
        }
      }),
    );
  });
});

describe('session frames', () => {
  const operation = name.chain((operationName) =>
    fc.record({
      id: fc.integer({ min: 1, max: 2 ** 40 }),
      sequence: count,
      timeoutMs: fc.nat(),
      principal: fc.option(principal, { nil: undefined }),
      anyMaster: fc.boolean(),
      name: fc.constant(operationName),
      body: operations[operationName][0].map((request) =>
        Buffer.from(OPERATION_CODECS[operationName].request.encode(request as never)),
      ),
    }),
  );
  const request: fc.Arbitrary<SessionRequest> = fc.record({
    hello: fc.option(fc.record({ client: text, principal }), { nil: undefined }),
    operations: fc.array(operation, { maxLength: 5 }),
    cancelled: fc.array(fc.integer({ min: 1, max: 2 ** 40 }), { maxLength: 3 }),
    acknowledgedBelow: count,
    ping: count,
  });

  test('ours and the generated ones say the same', () => {
    fc.assert(
      fc.property(request, (frame) => {
        const bytes = encodeSessionRequest(frame);
        const message = generated.SessionRequest.decode(bytes);
        expect(
          message.operations.map(({ id, sequence, timeoutMs, principal: by, anyMaster, request: body }) => ({
            id,
            sequence,
            timeoutMs,
            by,
            anyMaster,
            name: body?.$case,
          })),
        ).toEqual(
          frame.operations.map((one) => ({
            id: one.id,
            sequence: one.sequence,
            timeoutMs: one.timeoutMs,
            by: one.principal,
            anyMaster: one.anyMaster,
            name: one.name,
          })),
        );
        expect(message.hello).toEqual(frame.hello);
        // The generated encoder packs what ours writes one by one: the reader takes both.
        for (const encoded of [bytes, generated.SessionRequest.encode(message).finish()]) {
          const read = decodeSessionRequest(encoded);
          const asked = read.operations.map(({ body, ...rest }) => ({
            ...rest,
            request: decodeRequest(rest.name, body),
          }));
          const wanted = frame.operations.map(({ body, ...rest }) => ({
            ...rest,
            request: decodeRequest(rest.name, body),
          }));
          expect({ ...read, operations: asked }).toEqual({ ...frame, operations: wanted, unknown: [] });
        }
      }),
    );
  });

  test('replies of ours are the generated ones', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(), status), { maxLength: 5 }), refusal, count, (statuses, refused, pong) => {
        const writer = new ProtoWriter(0);
        for (const [id, one] of statuses)
          writeReply(writer, id, 'getStatus', OPERATION_CODECS.getStatus.reply.encode(one));
        writeRefusal(writer, 7, refused);
        writePong(writer, pong);
        const bytes = writer.finish();
        const message = generated.SessionResponse.decode(bytes);
        expect(message.pong).toBe(pong);
        expect(message.replies.map((reply) => reply.reply?.$case)).toEqual([
          ...statuses.map(() => 'getStatus'),
          'refusal',
        ]);
        const read = decodeSessionResponse(generated.SessionResponse.encode(message).finish());
        expect(read.pong).toBe(pong);
        const replies = read.replies.map((reply) =>
          reply.name === 'refusal'
            ? [reply.id, reply.refusal]
            : [reply.id, OPERATION_CODECS.getStatus.reply.decode(reply.body)],
        );
        expect(replies).toEqual([...statuses, [7, refused]]);
      }),
    );
  });

  test('an operation of a later version is reported, not fatal', () => {
    const writer = new ProtoWriter(0);
    const start = writer.begin(lengthTag(2));
    writer.uint(varintTag(1), 9);
    writer.bytes(lengthTag(99), Buffer.from('new'));
    writer.end(start);
    expect(decodeSessionRequest(writer.finish())).toMatchObject({ operations: [], unknown: [9] });
  });

  test('too many operations in one message are refused', () => {
    const one = {
      id: 1,
      sequence: 0,
      timeoutMs: 0,
      principal: undefined,
      anyMaster: false,
      name: 'exists' as const,
      body: Buffer.alloc(0),
    };
    const frame = { hello: undefined, cancelled: [], acknowledgedBelow: 0, ping: 0 };
    const full = new Array(OPERATIONS_PER_MESSAGE_MAX).fill(one);
    expect(decodeSessionRequest(encodeSessionRequest({ ...frame, operations: full })).operations).toHaveLength(4096);
    const over = encodeSessionRequest({ ...frame, operations: [...full, one] });
    expect(() => decodeSessionRequest(over)).toThrow(/may carry 4096 operations/);
  });

  test('bytes that are no message are refused as such', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
        for (const decode of [decodeSessionRequest, decodeSessionResponse])
          try {
            decode(bytes);
          } catch (thrown) {
            expect(thrown).toMatchObject({
              name: 'SluiceError',
              code: expect.stringMatching(/INVALID_ARGUMENT|UNSUPPORTED/),
            });
          }
      }),
    );
  });
});

function decodeRequest(operation: OperationName, body: Uint8Array): unknown {
  return OPERATION_CODECS[operation].request.decode(body);
}

describe('protobuf', () => {
  test('the writer writes what the generated code writes', () => {
    fc.assert(
      fc.property(text, count, time, signed, fc.boolean(), (string, uint, int, sint, flag) => {
        const message = {
          ...{ ...STATUS, kind: 0, ttlAction: 0, persistence: 0, writeType: 0 },
          path: string,
          id: uint,
          createdMs: int,
          ttlMs: sint,
          pinned: flag,
        } as const;
        const writer = new ProtoWriter(0);
        writer.string(lengthTag(1), string);
        writer.uint(varintTag(3), uint);
        writer.int(varintTag(11), int);
        writer.bool(varintTag(15), flag);
        writer.sint(varintTag(16), sint);
        const decoded = GeneratedStatus.decode(writer.finish());
        expect([decoded.path, decoded.id, decoded.createdMs, decoded.ttlMs, decoded.pinned]).toEqual([
          message.path,
          message.id,
          message.createdMs,
          message.ttlMs,
          message.pinned,
        ]);
      }),
    );
  });

  test.each([0, 1, 127, 128, 2 ** 14 - 1, 2 ** 14, 2 ** 21])('a nested message of %i bytes', (size) => {
    const writer = new ProtoWriter(0);
    const start = writer.begin(lengthTag(1));
    const inner = Buffer.alloc(size, 7);
    if (size > 0) writer.room(lengthTag(2), size).set(inner);
    writer.end(start);
    const reader = new ProtoReader(writer.finish());
    expect(reader.next()).toBe(lengthTag(1));
    const outer = reader.enter();
    if (size > 0) {
      expect(reader.next()).toBe(lengthTag(2));
      expect(reader.bytes().equals(inner)).toBe(true);
    }
    expect(reader.next()).toBe(0);
    reader.leave(outer);
    expect(reader.next()).toBe(0);
  });

  test.each([
    ['a length beyond the end', [0x0a, 0x05, 1]],
    ['a number that does not end', [0x08, 0xff]],
    ['a number above 2^53', [0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]],
    ['a group', [0x0b]],
    ['a tag without number', [0x00, 0x01]],
  ])('%s is refused', (_name, bytes) => {
    const read = (): void => {
      const reader = new ProtoReader(Buffer.from(bytes));
      for (let tag = reader.next(); tag !== 0; tag = reader.next())
        if (tag === varintTag(1)) reader.uint();
        else if (tag === lengthTag(1)) reader.bytes();
        else reader.skip();
    };
    expect(read).toThrow(/Malformed message/);
  });
});

test('refusals come back as they were', () => {
  fc.assert(
    fc.property(refusal, (one) => {
      expect(REFUSAL.decode(REFUSAL.encode(one))).toEqual(one);
    }),
  );
});

test('a code of a later version becomes INTERNAL and keeps its name', () => {
  expect(REFUSAL.decode(Refusal.encode({ code: 'TOO_NEW', message: 'x', details: [] }).finish())).toMatchObject({
    code: 'INTERNAL',
    message: 'TOO_NEW: x',
  });
});

test('what workers and the leader say comes back as it was', () => {
  const ids = fc.array(count, { maxLength: 10 });
  const fromWorker = fc.oneof(
    worker.map((one) => ({ kind: 'register' as const, worker: one })),
    fc.record({ kind: fc.constant('heartbeat' as const), usedBytes: count, pageCount: count }),
    ids.map((fileIds) => ({ kind: 'protectedFiles' as const, fileIds })),
  );
  const fromLeader = fc.oneof(
    fc.constant({ kind: 'registered' as const }),
    fc.record({ kind: fc.constant('mounts' as const), version: count, mounts }),
    workerList.map((list) => ({ kind: 'workers' as const, list })),
    ids.map((fileIds) => ({ kind: 'forget' as const, fileIds })),
  );
  fc.assert(
    fc.property(fromWorker, fromLeader, (said, answered) => {
      expect(WORKER_MESSAGE.decode(WORKER_MESSAGE.encode(said))).toEqual(said);
      expect(LEADER_MESSAGE.decode(LEADER_MESSAGE.encode(answered))).toEqual(answered);
    }),
  );
});

test('reports come back as they were', () => {
  const role = fc.constantFrom('leader', 'follower', 'candidate', 'preCandidate', 'learner', 'unknown');
  const member = fc.record({
    id: text,
    identity: text,
    address: text,
    clientAddress: text,
    role,
    vote: fc.constantFrom('voter', 'learner', 'joining', 'leaving'),
    priority: count,
    matchIndex: signed,
    lastContactMs: signed,
  });
  const quorum = fc.record({
    clusterId: text,
    self: text,
    leader: text,
    term: count,
    commitIndex: count,
    appliedIndex: count,
    lastIndex: count,
    changing: fc.boolean(),
    members: fc.array(member, { maxLength: 3 }),
  });
  const report = fc.record({
    quorum,
    version: text,
    uptimeMs: count,
    inodeCount: count,
    mountCount: count,
    workers: fc.array(workerStatus, { maxLength: 3 }),
  });
  fc.assert(
    fc.property(report, (one) => {
      expect(REPORT_REPLY.decode(REPORT_REPLY.encode(one as never))).toEqual(one);
      expect(QUORUM_REPLY.decode(QUORUM_REPLY.encode(one.quorum as never))).toEqual(one.quorum);
    }),
  );
});
