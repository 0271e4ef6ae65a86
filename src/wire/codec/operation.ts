import { SluiceError } from '../../model/errors.ts';
import type { ListReply, OperationName, Operations, SetAttributesRequest } from '../../model/operations.ts';
import type { FileStatus } from '../../model/status.ts';
import * as messages from '../gen/sluice/v1/metadata.ts';
import { type Codec, messageCodec } from './codec.ts';
import { ProtoReader } from './proto-reader.ts';
import { lengthTag, ProtoWriter } from './proto-writer.ts';
import { readStatus, STATUS_BYTES_HINT, TTL_ACTIONS, WRITE_TYPES, writeStatus } from './status.ts';
import { fromWorkerListMessage, toWorkerListMessage } from './worker.ts';

/** How one operation looks on the wire, alone and inside a session. */
export interface OperationCodec<N extends OperationName> {
  /** Number of its request and of its reply in the `oneof` of SessionOperation and SessionReply. */
  readonly field: number;
  readonly request: Codec<Operations[N]['request']>;
  readonly reply: Codec<Operations[N]['reply']>;
}

const same = <T>(value: T): T => value;
const withSync = <T extends { readonly sync?: boolean }>(value: T) => ({ ...value, sync: value.sync === true });
const STATUS_FIELD = lengthTag(1);
const CURSOR_FIELD = lengthTag(2);

/** Every reply that is a status: field 1. */
const STATUS_REPLY: Codec<FileStatus> = {
  encode(status) {
    const writer = new ProtoWriter(STATUS_BYTES_HINT);
    const start = writer.begin(STATUS_FIELD);
    writeStatus(writer, status);
    writer.end(start);
    return writer.finish();
  },
  decode(bytes) {
    const reader = new ProtoReader(bytes);
    let status: FileStatus | undefined;
    for (let tag = reader.next(); tag !== 0; tag = reader.next()) {
      if (tag === STATUS_FIELD) status = readNested(reader);
      else reader.skip();
    }
    return present(status, 'a status in the reply');
  },
};

/** A page of a listing: statuses in field 1, the cursor in field 2. */
const LIST_REPLY: Codec<ListReply> = {
  encode({ entries, cursor }) {
    const writer = new ProtoWriter(entries.length * STATUS_BYTES_HINT);
    for (const status of entries) {
      const start = writer.begin(STATUS_FIELD);
      writeStatus(writer, status);
      writer.end(start);
    }
    writer.string(CURSOR_FIELD, cursor);
    return writer.finish();
  },
  decode(bytes) {
    const reader = new ProtoReader(bytes);
    const entries: FileStatus[] = [];
    let cursor = '';
    for (let tag = reader.next(); tag !== 0; tag = reader.next()) {
      if (tag === STATUS_FIELD) entries.push(readNested(reader));
      else if (tag === CURSOR_FIELD) cursor = reader.string();
      else reader.skip();
    }
    return { entries, cursor };
  },
};

function readNested(reader: ProtoReader): FileStatus {
  const outer = reader.enter();
  const status = readStatus(reader);
  reader.leave(outer);
  return status;
}

function present<T>(value: T | undefined, what: string): T {
  if (value === undefined) throw new SluiceError('INVALID_ARGUMENT', `Missing: ${what}`);
  return value;
}

/** Absent fields must be absent, not undefined. */
function fromSetAttributes(message: messages.SetAttributesRequest): SetAttributesRequest {
  const { ttlAction, ...rest } = message;
  const given = Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== undefined));
  const request: SetAttributesRequest = { path: message.path, ...given };
  return ttlAction === undefined ? request : { ...request, ttlAction: TTL_ACTIONS.word(ttlAction) };
}

function toSetAttributes(request: SetAttributesRequest): messages.SetAttributesRequest {
  const { ttlAction, ...rest } = request;
  return ttlAction === undefined ? rest : { ...rest, ttlAction: TTL_ACTIONS.number(ttlAction) };
}

/** Every operation of the namespace. */
export const OPERATION_CODECS: { readonly [N in OperationName]: OperationCodec<N> } = {
  createFile: {
    field: 16,
    request: messageCodec(
      messages.CreateFileRequest,
      (request) => ({ ...request, writeType: WRITE_TYPES.number(request.writeType) }),
      (message) => ({ ...message, writeType: WRITE_TYPES.word(message.writeType) }),
    ),
    reply: STATUS_REPLY,
  },
  completeFile: {
    field: 17,
    request: messageCodec(messages.CompleteFileRequest, same, same),
    reply: STATUS_REPLY,
  },
  makeDirectory: {
    field: 18,
    request: messageCodec(messages.MakeDirectoryRequest, same, same),
    reply: STATUS_REPLY,
  },
  delete: {
    field: 19,
    request: messageCodec(messages.DeleteRequest, same, same),
    reply: messageCodec(messages.DeleteResponse, same, same),
  },
  rename: {
    field: 20,
    request: messageCodec(messages.RenameRequest, same, same),
    reply: messageCodec(messages.RenameResponse, same, same),
  },
  setAttributes: {
    field: 21,
    request: messageCodec(messages.SetAttributesRequest, toSetAttributes, fromSetAttributes),
    reply: STATUS_REPLY,
  },
  getStatus: {
    field: 22,
    request: messageCodec(messages.GetStatusRequest, withSync, same),
    reply: STATUS_REPLY,
  },
  exists: {
    field: 23,
    request: messageCodec(messages.ExistsRequest, same, same),
    reply: messageCodec(messages.ExistsResponse, same, same),
  },
  listStatus: {
    field: 24,
    request: messageCodec(messages.ListStatusRequest, withSync, same),
    reply: LIST_REPLY,
  },
  mount: {
    field: 25,
    request: messageCodec(messages.MountRequest, same, same),
    reply: messageCodec(
      messages.MountResponse,
      (mount) => ({ mount }),
      (message) => present(message.mount, 'a mount in the reply'),
    ),
  },
  unmount: {
    field: 26,
    request: messageCodec(messages.UnmountRequest, same, same),
    reply: messageCodec(messages.UnmountResponse, same, same),
  },
  getMountTable: {
    field: 27,
    request: messageCodec(messages.GetMountTableRequest, same, same),
    reply: messageCodec(messages.GetMountTableResponse, same, same),
  },
  getWorkers: {
    field: 28,
    request: messageCodec(messages.GetWorkersRequest, same, same),
    reply: messageCodec(
      messages.GetWorkersResponse,
      (list) => ({ list: toWorkerListMessage(list) }),
      (message) => fromWorkerListMessage(present(message.list, 'a list in the reply')),
    ),
  },
};

export const OPERATION_NAMES = Object.keys(OPERATION_CODECS) as readonly OperationName[];

const NAME_OF_FIELD = new Map(OPERATION_NAMES.map((name) => [OPERATION_CODECS[name].field, name]));

/** The operation whose request or reply has this field number, if any. */
export function operationOfField(field: number): OperationName | undefined {
  return NAME_OF_FIELD.get(field);
}
