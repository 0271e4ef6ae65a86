import type { Mount } from '../model/mount.ts';
import type { WorkerList, WorkerRegistration } from '../model/worker.ts';

/** What a worker says on its stream to the leader. */
export type WorkerMessage =
  /** First on each stream. */
  | { readonly kind: 'register'; readonly worker: WorkerRegistration }
  | { readonly kind: 'heartbeat'; readonly usedBytes: number; readonly pageCount: number }
  /** A slice of the files whose pages it must not evict, ascending; the leader answers with `forget`. */
  | { readonly kind: 'protectedFiles'; readonly fileIds: readonly number[] };

/** What the leader says on the same stream. */
export type LeaderMessage =
  /** The registration is committed. */
  | { readonly kind: 'registered' }
  /** The mounts with their secrets, whole, whenever they change. */
  | { readonly kind: 'mounts'; readonly version: number; readonly mounts: readonly Mount[] }
  | { readonly kind: 'workers'; readonly list: WorkerList }
  /** The content of these files is gone: drop their pages. */
  | { readonly kind: 'forget'; readonly fileIds: readonly number[] }
  /** Where all masters are; also from one that does not lead, before it ends the stream. */
  | { readonly kind: 'masters'; readonly addresses: readonly string[] };
