import type { CancelTimer, Clock, Timers } from '../base/clock.ts';
import type { Logger } from '../host/logger.ts';
import type { Counter, Metrics } from '../host/metrics.ts';
import { SluiceError } from '../model/errors.ts';
import type { InodeId } from '../model/inode.ts';
import type { Caller } from '../model/principal.ts';
import { dentryPrefix } from '../model/state-store.ts';
import { whileLeading } from './leader-service.ts';
import type { ReplicatedState } from './replicated-state.ts';

export interface PurgerParts {
  readonly state: ReplicatedState;
  readonly system: Caller;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly log: Logger;
  readonly metrics: Metrics;
}

const ENTRIES_PER_COMMAND = 1_000;
const DIRECTORIES_PER_SCAN = 64;
const MIN_PAUSE_MS = 1;
const MAX_PAUSE_MS = 100;
const RETRY_MS = 1_000;

/**
 * Removes what deletes and unmounts have detached, in bounded commands. Its only memory is the replicated trash table,
 * so that the next leader goes on where this one ended. After each command it rests for as long as that took:
 * foreground
 * work has at least half of the journal.
 */
export class Purger {
  readonly #parts: PurgerParts;
  readonly #purged: Counter;
  readonly #stop: () => void;
  #leading = false;
  #run: Promise<void> | undefined;
  /** Something was detached since the trash was found empty. */
  #wanted = false;
  #cancelPause: CancelTimer | undefined;
  #endPause: (() => void) | undefined;

  constructor(parts: PurgerParts) {
    this.#parts = parts;
    this.#purged = parts.metrics.counter('sluice_master_purged_inodes_total', 'Detached inodes asked to be removed');
    this.#stop = whileLeading(parts.state, {
      began: () => {
        this.#leading = true;
        this.#wake();
      },
      ended: () => {
        this.#leading = false;
        this.#endPause?.();
      },
      noticed: (notices) => {
        if (notices.some((notice) => notice.kind === 'detached')) this.#wake();
      },
    });
  }

  async close(): Promise<void> {
    this.#stop();
    await this.#run;
  }

  #wake(): void {
    this.#wanted = true;
    this.#run ??= this.#runUntilEmpty().finally(() => {
      this.#run = undefined;
      if (this.#wanted && this.#leading) this.#wake();
    });
  }

  async #runUntilEmpty(): Promise<void> {
    while (this.#wanted && this.#leading) {
      this.#wanted = false;
      try {
        while (this.#leading && (await this.#purgeSome()));
      } catch (thrown) {
        const { code } = SluiceError.from(thrown);
        this.#wanted = true;
        if (code !== 'NOT_LEADER') this.#parts.log.warn({ err: thrown }, 'purging failed, it is tried again');
        await this.#pause(RETRY_MS);
      }
    }
  }

  /** One round over the trash. @returns whether there was anything to do */
  async #purgeSome(): Promise<boolean> {
    const { state } = this.#parts.state;
    const range = { prefix: '', after: '', limit: DIRECTORIES_PER_SCAN };
    const trash = await state.scan('trash', range);
    let found = false;
    let entries: { readonly parentId: InodeId; readonly name: string }[] = [];
    for (const { row } of trash) {
      const prefix = dentryPrefix(row.id);
      const limit = ENTRIES_PER_COMMAND - entries.length;
      const children = await state.scan('inode', { prefix, after: '', limit });
      found ||= children.length > 0;
      for (const { key } of children) entries.push({ parentId: row.id, name: key.slice(prefix.length) });
      if (entries.length < ENTRIES_PER_COMMAND) continue;
      await this.#purge(entries);
      entries = [];
      if (!this.#leading) return false;
    }
    if (entries.length > 0) await this.#purge(entries);
    // A directory vanishes with its last child: without one, the rows were read before a purge that came late.
    if (!found && trash.length > 0) await this.#pause(MAX_PAUSE_MS);
    return trash.length > 0;
  }

  async #purge(entries: readonly { readonly parentId: InodeId; readonly name: string }[]): Promise<void> {
    const { state, system, clock } = this.#parts;
    const beganMs = clock.monotonicMs();
    const outcome = await state.propose({ kind: 'purge', entries }, { principal: system });
    if (outcome.kind === 'refused') throw SluiceError.of(outcome.refusal);
    this.#purged.add(entries.length);
    await this.#pause(Math.min(MAX_PAUSE_MS, Math.max(MIN_PAUSE_MS, clock.monotonicMs() - beganMs)));
  }

  /** Rests; the end of leadership ends the rest. */
  async #pause(ms: number): Promise<void> {
    if (!this.#leading) return;
    await new Promise<void>((resolve) => {
      this.#endPause = resolve;
      this.#cancelPause = this.#parts.timers.after(ms, resolve);
    });
    this.#cancelPause?.();
    this.#cancelPause = undefined;
    this.#endPause = undefined;
  }
}
