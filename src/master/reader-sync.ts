import type { InodeId } from '../model/inode.ts';
import type { Walk } from '../model/namespace.ts';
import type { Located } from '../model/status.ts';

/** Keeps what readers see of mounted UFSs as fresh as each mount asks. */
export interface ReaderSync {
  /** Whether what is known of a path may be served without a look at the UFS. */
  isCurrent(walked: Walk): boolean;
  /**
   * Brings a path up to date; `anew` looks although it may be so already.
   * @throws SluiceError what the UFS said when nothing is known; CANCELLED; NOT_LEADER
   */
  lookUp(walked: Walk, signal: AbortSignal, anew?: boolean): Promise<void>;
  /**
   * Makes the known children of a directory those that the UFS has, when they are not young enough, or `anew`.
   * @throws SluiceError what the UFS said when the children are not known; CANCELLED; NOT_LEADER
   */
  list(path: string, id: InodeId, signal: AbortSignal, anew?: boolean): Promise<void>;
  /** Whether loading a directory before somebody enters it saves him work. */
  mayListAhead(directory: Located): boolean;
}
