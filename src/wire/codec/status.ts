import type { Persistence, TtlAction, WriteType } from '../../model/inode.ts';
import type { FileStatus } from '../../model/status.ts';
import {
  NodeKind as NodeKindNumber,
  Persistence as PersistenceNumber,
  type FileStatus as StatusMessage,
  TtlAction as TtlActionNumber,
  WriteType as WriteTypeNumber,
} from '../gen/sluice/v1/model.ts';
import { WordTable } from './word-table.ts';

const KINDS = new WordTable<FileStatus['kind'], NodeKindNumber>('kind', {
  file: NodeKindNumber.NODE_KIND_FILE,
  directory: NodeKindNumber.NODE_KIND_DIRECTORY,
});

const PERSISTENCES = new WordTable<Persistence, PersistenceNumber>('persistence', {
  cached: PersistenceNumber.PERSISTENCE_CACHED,
  persisted: PersistenceNumber.PERSISTENCE_PERSISTED,
});

export const WRITE_TYPES = new WordTable<WriteType, WriteTypeNumber>('write_type', {
  MUST_CACHE: WriteTypeNumber.WRITE_TYPE_MUST_CACHE,
  THROUGH: WriteTypeNumber.WRITE_TYPE_THROUGH,
  CACHE_THROUGH: WriteTypeNumber.WRITE_TYPE_CACHE_THROUGH,
});

export const TTL_ACTIONS = new WordTable<TtlAction, TtlActionNumber>('ttl_action', {
  free: TtlActionNumber.TTL_ACTION_FREE,
  delete: TtlActionNumber.TTL_ACTION_DELETE,
});

export function toStatusMessage(status: FileStatus): StatusMessage {
  return {
    ...status,
    kind: KINDS.number(status.kind),
    ttlAction: TTL_ACTIONS.number(status.ttlAction),
    persistence: PERSISTENCES.number(status.persistence),
    writeType: WRITE_TYPES.number(status.writeType),
  };
}

export function fromStatusMessage(message: StatusMessage): FileStatus {
  return {
    ...message,
    kind: KINDS.word(message.kind),
    ttlAction: TTL_ACTIONS.word(message.ttlAction),
    persistence: PERSISTENCES.word(message.persistence),
    writeType: WRITE_TYPES.word(message.writeType),
  };
}
