import type { LogStore } from '../raft/log-store.ts';
import type { JournalStoreKind } from './journal-store-kind.ts';
import { LevelLogStore } from './level-log-store.ts';
import { SegmentLogStore } from './segment-log-store.ts';

/** The store for the log of a data folder, not open yet. */
export function newLogStore(
  folder: string,
  { store, segmentSize }: { readonly store: JournalStoreKind; readonly segmentSize: number },
): LogStore {
  const path = `${folder}/journal`;
  return store === 'level' ? new LevelLogStore(path) : new SegmentLogStore(path, { segmentBytes: segmentSize });
}
