import type { Command, StampedCommand, UfsFact } from '../../model/command.ts';
import { SluiceError } from '../../model/errors.ts';
import type { TtlAction, WriteType } from '../../model/inode.ts';
import type { RequestId } from '../../model/operations.ts';
import type { Caller } from '../../model/principal.ts';
import type { WorkerRegistration, WorkerState } from '../../model/worker.ts';
import {
  dictionary,
  flag,
  fromBytes,
  listOf,
  number,
  optional,
  row,
  type Shape,
  text,
  texts,
  toBytes,
  union,
  type Variants,
  word,
} from './shape.ts';

export const WRITE_TYPE: Shape<WriteType> = word<WriteType>(['MUST_CACHE', 'THROUGH', 'CACHE_THROUGH']);
export const TTL_ACTION: Shape<TtlAction> = word<TtlAction>(['free', 'delete']);

const WORKER_REGISTRATION = row<WorkerRegistration>({ id: text, address: text, host: text, capacityBytes: number });

const UFS_FACT = row<UfsFact>({
  name: text,
  kind: word<UfsFact['kind']>(['file', 'directory']),
  lengthBytes: number,
  version: text,
  modifiedMs: number,
  owner: optional(text),
  group: optional(text),
  mode: optional(number),
});

/** Codes and field orders are for ever: append only. */
const COMMANDS: Variants<Command> = {
  format: [1, row({ clusterId: text, owner: text, group: text })],
  createFile: [
    2,
    row({
      path: text,
      mode: number,
      writeType: WRITE_TYPE,
      blockSizeBytes: number,
      recursive: flag,
      overwrite: flag,
      empty: flag,
      ufsVersion: text,
    }),
  ],
  completeFile: [3, row({ path: text, id: number, lengthBytes: number, ufsVersion: text, ufsModifiedMs: number })],
  makeDirectory: [4, row({ path: text, mode: number, recursive: flag, allowExists: flag, persisted: flag })],
  delete: [5, row({ path: text, recursive: flag, keepUfs: flag, id: number })],
  rename: [6, row({ source: text, target: text, overwrite: flag, ufsVersion: text })],
  setAttributes: [
    7,
    row({
      path: text,
      mode: optional(number),
      owner: optional(text),
      group: optional(text),
      modifiedMs: optional(number),
      accessedMs: optional(number),
      pinned: optional(flag),
      ttlMs: optional(number),
      ttlAction: optional(TTL_ACTION),
    }),
  ],
  mount: [8, row({ path: text, uri: text, options: dictionary<string>(), readOnly: flag, syncIntervalMs: number })],
  unmount: [9, row({ path: text })],
  loadMetadata: [
    10,
    row({
      directoryId: number,
      upserts: listOf(UFS_FACT),
      removals: listOf(row({ name: text, id: number })),
      complete: flag,
      blockSizeBytes: number,
    }),
  ],
  purge: [11, row({ entries: listOf(row({ parentId: number, name: text })) })],
  registerWorker: [12, row({ worker: WORKER_REGISTRATION })],
  setWorkerState: [13, row({ id: text, state: word<WorkerState>(['live', 'lost']) })],
  expireSessions: [14, row({ clients: texts, idleSinceMs: number })],
  takeDigest: [15, row({})],
  judgeDigests: [16, row({ index: number, digest: text, differing: texts })],
};

const STAMPED = row<StampedCommand>({
  atMs: number,
  principal: row<Caller>({ user: text, groups: texts, superuser: flag }),
  requestId: optional(row<RequestId>({ client: text, sequence: number, acknowledgedBelow: number })),
  command: union(COMMANDS),
});

/** What a journal entry says. */
export type JournalEntry =
  | { readonly kind: 'command'; readonly stamped: StampedCommand }
  /** Says nothing any more: leaders of old versions noted so up to where all members held the journal. */
  | { readonly kind: 'heldByAll'; readonly index: number };

const ENTRY = union<JournalEntry>({
  command: [1, row({ stamped: STAMPED })],
  heldByAll: [2, row({ index: number })],
});

const FORMAT = 1;

const FORMATTED: Shape<JournalEntry> = {
  write(writer, entry) {
    writer.array(2);
    writer.number(FORMAT);
    ENTRY.write(writer, entry);
  },
  read(reader) {
    const items = reader.array('journal entry');
    const format = items === 2 ? reader.number() : 0;
    if (format === FORMAT) return ENTRY.read(reader);
    throw new SluiceError('UNSUPPORTED', `Journal entry has format ${format}, this version knows ${FORMAT}`);
  },
};

export function encodeJournalEntry(entry: JournalEntry): Uint8Array {
  return toBytes(FORMATTED, entry);
}

/** @throws SluiceError CORRUPT, or UNSUPPORTED when a newer version wrote it. */
export function decodeJournalEntry(bytes: Uint8Array): JournalEntry {
  return fromBytes(FORMATTED, bytes);
}
