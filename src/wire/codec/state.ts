import type { Outcome } from '../../model/command.ts';
import { type ErrorCode, isErrorCode, type Refusal, SluiceError } from '../../model/errors.ts';
import type { DirectoryInode, FileInode, Inode, Persistence } from '../../model/inode.ts';
import type { Mount } from '../../model/mount.ts';
import type { MountIndexEntry, TableName, Tables, WorkerRow } from '../../model/state-store.ts';
import type { WorkerState } from '../../model/worker.ts';
import type { MemberInfo, Membership } from '../../raft/membership.ts';
import type { Position } from '../../raft/position.ts';
import { TTL_ACTION, WRITE_TYPE } from './command.ts';
import {
  dictionary,
  type FieldShapes,
  flag,
  fromOwnBytes,
  fromSealedBytes,
  listOf,
  number,
  optional,
  row,
  type Shape,
  text,
  texts,
  toSealedBytes,
  union,
  word,
} from './shape.ts';

/** The fields that files and directories share. */
type InodeBase = Pick<Inode, Exclude<keyof Inode, 'kind'>>;

const PERSISTENCE = word<Persistence>(['cached', 'persisted']);

/** Field orders are for ever: append only, behind the fields of the variant. */
const INODE_BASE: FieldShapes<InodeBase> = {
  id: number,
  owner: text,
  group: text,
  mode: number,
  createdMs: number,
  modifiedMs: number,
  accessedMs: number,
  changedMs: number,
  pinned: flag,
  ttlMs: number,
  ttlAction: TTL_ACTION,
  persistence: PERSISTENCE,
};

const INODE: Shape<Inode> = union<Inode>({
  file: [
    1,
    row<Omit<FileInode, 'kind'>>({
      ...INODE_BASE,
      lengthBytes: number,
      blockSizeBytes: number,
      complete: flag,
      writeType: WRITE_TYPE,
      version: text,
    }),
  ],
  directory: [
    2,
    row<Omit<DirectoryInode, 'kind'>>({
      ...INODE_BASE,
      childCount: number,
      childrenLoaded: flag,
      mountPoint: flag,
      mountsBelow: number,
    }),
  ],
});

const MOUNT = row<Mount>({
  id: number,
  path: text,
  inodeId: number,
  uri: text,
  options: dictionary<string>(),
  readOnly: flag,
  syncIntervalMs: number,
  mountedMs: number,
});

const ERROR_CODE: Shape<ErrorCode> = {
  write: (writer, code) => text.write(writer, code),
  read(reader) {
    const code = text.read(reader);
    if (isErrorCode(code)) return code;
    throw new SluiceError('UNSUPPORTED', `Stored error code ${code} is not known: a newer version wrote it`);
  },
};

const REFUSAL = row<Refusal>({
  code: ERROR_CODE,
  message: text,
  details: optional(dictionary<string | number | boolean>()),
});

const OUTCOME = union<Outcome>({
  done: [1, row<Record<never, never>>({})],
  inode: [2, row({ path: text, inode: INODE, mountId: number, ufsPath: text })],
  mount: [3, row({ mount: MOUNT })],
  refused: [4, row({ refusal: REFUSAL })],
});

const ROWS: { readonly [T in TableName]: Shape<Tables[T]> } = {
  inode: INODE,
  place: row({ parentId: number, name: text }),
  mount: MOUNT,
  session: row({ client: text, acknowledgedBelow: number, lastSequence: number, lastSeenMs: number }),
  reply: row({ outcome: OUTCOME }),
  worker: row<WorkerRow>({
    id: text,
    address: text,
    host: text,
    capacityBytes: number,
    state: word<WorkerState>(['live', 'lost']),
    registeredMs: number,
  }),
  trash: row({ id: number }),
  mountIndex: row({ mounts: listOf(row<MountIndexEntry>({ id: number, path: text, uri: text, endpoint: text })) }),
  cluster: row({
    clusterId: text,
    formattedMs: number,
    epoch: optional(number),
    skippedIds: optional(listOf(row({ from: number, below: number }))),
  }),
  counters: row({
    nextInodeId: number,
    nextMountId: number,
    inodeCount: number,
    logTimeMs: number,
    workersVersion: number,
    mountsVersion: number,
  }),
};

/** A row of a table for storage, with a checksum: LevelDB returns damaged bytes without a word. */
export function encodeRow<T extends TableName>(table: T, value: Tables[T]): Uint8Array {
  return toSealedBytes<Tables[T]>(ROWS[table], value);
}

/** What `encodeRow` gave, when the bytes were in this process's memory all the time. */
export function decodeOwnRow<T extends TableName>(table: T, bytes: Uint8Array): Tables[T] {
  return fromOwnBytes<Tables[T]>(ROWS[table], bytes);
}

/** @throws SluiceError CORRUPT when the bytes are damaged, UNSUPPORTED when a newer version wrote them. */
export function decodeRow<T extends TableName>(table: T, bytes: Uint8Array): Tables[T] {
  return fromSealedBytes<Tables[T]>(ROWS[table], bytes, `row of table ${table}`);
}

const APPLIED = row<Position>({ term: number, index: number });

/** The position of the last entry whose changes are in the state store. */
export function encodeApplied(position: Position): Uint8Array {
  return toSealedBytes(APPLIED, position);
}

/** @throws SluiceError CORRUPT */
export function decodeApplied(bytes: Uint8Array): Position {
  return fromSealedBytes(APPLIED, bytes, 'position of a state store');
}

const MEMBERSHIP = row<Membership>({
  voters: texts,
  outgoing: texts,
  learners: texts,
  members: listOf(row<MemberInfo>({ id: text, address: text, clientAddress: text, priority: number })),
});

/** The membership as of the position of a state store. */
export function encodeStoredMembership(membership: Membership): Uint8Array {
  return toSealedBytes(MEMBERSHIP, membership);
}

/** @throws SluiceError CORRUPT */
export function decodeStoredMembership(bytes: Uint8Array): Membership {
  return fromSealedBytes(MEMBERSHIP, bytes, 'membership of a state store');
}

/** How far a snapshot has been received. */
export interface SnapshotReceipt {
  /** Which snapshot. */
  readonly id: string;
  /** The last key that is here; empty before the first. */
  readonly after: string;
  /** See `SnapshotChunk`. */
  readonly chain: number;
  readonly bytes: number;
}

const RECEIPT = row<SnapshotReceipt>({ id: text, after: text, chain: number, bytes: number });

export function encodeSnapshotReceipt(receipt: SnapshotReceipt): Uint8Array {
  return toSealedBytes(RECEIPT, receipt);
}

/** @throws SluiceError CORRUPT */
export function decodeSnapshotReceipt(bytes: Uint8Array): SnapshotReceipt {
  return fromSealedBytes(RECEIPT, bytes, 'receipt of a snapshot');
}
