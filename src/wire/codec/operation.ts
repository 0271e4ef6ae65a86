import { SluiceError } from '../../model/errors.ts';
import type {
  ListReply,
  OperationName,
  Operations,
  PathRequest,
  SetAttributesRequest,
} from '../../model/operations.ts';
import type { FileStatus } from '../../model/status.ts';
import * as messages from '../gen/sluice/v1/metadata.ts';
import { type Codec, messageCodec } from './codec.ts';
import { count, flag, flatMessage, signed, text, wordOf } from './flat-message.ts';
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

const PATH_REQUEST = flatMessage<PathRequest>({ path: [1, text] });
const NOTHING = flatMessage<Record<never, never>>({});

/** Every operation of the namespace. */
export const OPERATION_CODECS: { readonly [N in OperationName]: OperationCodec<N> } = {
  createFile: {
    field: 16,
    request: flatMessage({
      path: [1, text],
      mode: [2, count],
      writeType: [3, wordOf(WRITE_TYPES)],
      blockSizeBytes: [4, count],
      recursive: [5, flag],
      overwrite: [6, flag],
      empty: [7, flag],
    }),
    reply: STATUS_REPLY,
  },
  completeFile: {
    field: 17,
    request: flatMessage({
      path: [1, text],
      id: [2, count],
      lengthBytes: [3, count],
      ufsVersion: [4, text],
      ufsModifiedMs: [5, signed],
    }),
    reply: STATUS_REPLY,
  },
  makeDirectory: {
    field: 18,
    request: flatMessage({ path: [1, text], mode: [2, count], recursive: [3, flag], allowExists: [4, flag] }),
    reply: STATUS_REPLY,
  },
  delete: {
    field: 19,
    request: flatMessage({ path: [1, text], recursive: [2, flag], keepUfs: [3, flag], id: [4, count] }),
    reply: NOTHING,
  },
  rename: {
    field: 20,
    request: flatMessage({ source: [1, text], target: [2, text], overwrite: [3, flag] }),
    reply: NOTHING,
  },
  setAttributes: {
    field: 21,
    request: messageCodec(messages.SetAttributesRequest, toSetAttributes, fromSetAttributes),
    reply: STATUS_REPLY,
  },
  getStatus: {
    field: 22,
    request: flatMessage({ path: [1, text], sync: [2, flag] }),
    reply: STATUS_REPLY,
  },
  exists: {
    field: 23,
    request: PATH_REQUEST,
    reply: flatMessage({ exists: [1, flag] }),
  },
  listStatus: {
    field: 24,
    request: flatMessage({
      path: [1, text],
      recursive: [2, flag],
      cursor: [3, text],
      limit: [4, count],
      sync: [5, flag],
    }),
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
    request: PATH_REQUEST,
    reply: NOTHING,
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
