import type { Timers } from '../base/clock.ts';
import type { Logger } from '../host/logger.ts';
import type { LoadMetadataCommand } from '../model/command.ts';
import { SluiceError } from '../model/errors.ts';
import type { Caller } from '../model/principal.ts';
import type { PathLocks } from './path-locks.ts';
import type { ReplicatedState } from './replicated-state.ts';
import type { SyncMemory } from './sync-memory.ts';
import type { SyncMetrics } from './sync-metrics.ts';
import type { UfsRegistry } from './ufs-registry.ts';

/** What loading metadata from UFSs works with. */
export interface SyncParts {
  readonly state: ReplicatedState;
  readonly ufs: UfsRegistry;
  readonly locks: PathLocks;
  readonly memory: SyncMemory;
  readonly timers: Timers;
  readonly log: Logger;
  readonly metrics: SyncMetrics;
  /** The leader itself: loads are made on nobody's behalf. */
  readonly system: Caller;
  /** Block size of files that are found in a UFS. */
  readonly blockSizeBytes: number;
  /** A UFS that does not answer a call, or does not give the next page of a listing, within this time has failed. */
  readonly ufsTimeoutMs: number;
}

/** Proposes what a look proved. @returns false when the directory is gone. @throws what `propose` throws */
export async function proposeLoad(
  parts: SyncParts,
  load: Pick<LoadMetadataCommand, 'directoryId'> & Partial<LoadMetadataCommand>,
): Promise<boolean> {
  const { upserts = [], removals = [], complete = false, directoryId } = load;
  const { blockSizeBytes, system } = parts;
  parts.metrics.loaded(upserts.length, removals.length);
  const outcome = await parts.state.propose(
    { kind: 'loadMetadata', directoryId, upserts, removals, complete, blockSizeBytes },
    { principal: system },
  );
  if (outcome.kind !== 'refused') return true;
  if (outcome.refusal.code === 'NOT_FOUND') return false;
  throw SluiceError.of(outcome.refusal);
}

/** What is said when a UFS did not answer in time. */
export function ufsTimedOut(parts: SyncParts, uri: string): SluiceError {
  const message = `UFS ${uri} did not answer within ${parts.ufsTimeoutMs} ms: check it, or raise master.ufs.timeout`;
  return new SluiceError('UNAVAILABLE', message, { details: { ufs: uri } });
}
