import type { Clock } from '../base/clock.ts';
import { SluiceError } from '../model/errors.ts';
import type { InodeId } from '../model/inode.ts';
import { target, type Walk, walk } from '../model/namespace.ts';
import type { StateReader } from '../model/state-store.ts';
import type { ReaderSync } from './reader-sync.ts';
import { SyncMemory } from './sync-memory.ts';

/**
 * The mounted UFSs as a standby sees them: it looks at none, because only the leader may write what it finds. It serves
 * what needs no look: what is only cached, and what is known of mounts that are never looked at again.
 */
export class StandbySync implements ReaderSync {
  readonly #state: StateReader;
  /** Always empty. Not the leader's of former times, which does not know what others have done since. */
  readonly #memory: SyncMemory;

  constructor(state: StateReader, clock: Clock) {
    this.#state = state;
    this.#memory = new SyncMemory(clock);
  }

  isCurrent(walked: Walk): boolean {
    return this.#memory.isCurrent(walked);
  }

  async lookUp({ path, mount }: Walk): Promise<void> {
    if (mount !== undefined) throw needsLeader(path);
  }

  async list(path: string, id: InodeId, _signal: AbortSignal, anew = false): Promise<void> {
    const walked = walk(this.#state, path);
    const inode = target(walked);
    if (walked.mount === undefined || inode?.kind !== 'directory' || inode.id !== id) return;
    if (anew || !this.#memory.isListingFresh(inode, walked.mount)) throw needsLeader(path);
  }

  mayListAhead(): boolean {
    return false;
  }
}

function needsLeader(path: string): SluiceError {
  return new SluiceError('NOT_LEADER', `The under storage of ${path} has to be asked, which only the leader does`);
}
