import { cp, open, readdir, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { must } from '../base/assert.ts';
import type { Timers } from '../base/clock.ts';
import { DataFolder } from '../host/data-folder.ts';
import { opening, type Scope } from '../host/scope.ts';
import { SluiceError } from '../model/errors.ts';
import type { LogStore } from '../raft/log-store.ts';
import type { MemberInfo } from '../raft/membership.ts';
import type { LogIndex, Position } from '../raft/position.ts';
import { applyEntry } from './apply-entry.ts';
import { beginLog } from './begin-log.ts';
import { clusterIdOf, newMemberId } from './cluster-id.ts';
import { type BornBinding, readBinding, writeBinding } from './folder-binding.ts';
import type { InspectionProgress, JournalInspection } from './journal-inspection.ts';
import { journalFiles, storeKindOf } from './journal-store-kind.ts';
import { LevelLogStore } from './level-log-store.ts';
import { LevelStateStore } from './level-state-store.ts';
import { renewNamespace } from './renewed-namespace.ts';
import { SegmentLogStore } from './segment-log-store.ts';

/** What a recovery would keep. */
export interface RecoveryPlan {
  /** Data folder of the master that is left. */
  readonly folder: string;
  readonly member: string;
  /** The cluster that ends. */
  readonly clusterId: string;
  /** The last entry that this master has. */
  readonly last: Position;
  /** The last entry that it knows to be committed. */
  readonly commit: LogIndex;
}

/** A cluster of one master, made of what another one left. */
export interface Recovery {
  /** Its data folder. */
  readonly folder: string;
  readonly clusterId: string;
  readonly member: string;
  /** How the others name this member. */
  readonly identity: string;
  /** The state that it begins with. */
  readonly position: Position;
}

/** Ends the name of a folder that is not complete. */
const UNFINISHED = '.unfinished';

/**
 * Makes a new cluster out of one master's data folder, when a majority of the old one is lost for ever. All entries
 * that the master has take effect, also those that it does not know to be committed: some of them may have been
 * acknowledged, and nobody is left to ask. What only others had is lost. The folder stays as it is; the new one has the
 * state as the last entry leaves it, an empty journal behind that, a membership of this master alone under a new id,
 * and a new id of the cluster, so that masters of the old one are refused.
 */
export class JournalRecovery {
  readonly plan: RecoveryPlan;
  readonly #inspection: JournalInspection;
  readonly #bound: BornBinding;
  readonly #ballotTerm: number;
  readonly #timers: Timers;

  private constructor(
    plan: RecoveryPlan,
    inspection: JournalInspection,
    bound: BornBinding,
    ballotTerm: number,
    timers: Timers,
  ) {
    this.plan = plan;
    this.#inspection = inspection;
    this.#bound = bound;
    this.#ballotTerm = ballotTerm;
    this.#timers = timers;
  }

  /** Verifies what is there. @throws SluiceError CORRUPT when it is not sound, NOT_FOUND when nothing is there */
  static async open(
    inspection: JournalInspection,
    timers: Timers,
    progress: InspectionProgress,
    signal: AbortSignal,
  ): Promise<JournalRecovery> {
    const report = await inspection.check(progress, signal);
    const [problem] = report.problems;
    if (problem !== undefined)
      throw new SluiceError(problem.code, `${problem.message}: use the data folder of another master that is left`);
    if (report.installing !== undefined) {
      const message = `A snapshot comes into ${report.folder}: start and stop this master once`;
      throw new SluiceError('UNAVAILABLE', message);
    }
    const bound = await readBinding(inspection.folder);
    const { last, state, ballot, commit = 0 } = report;
    if (bound?.state !== 'member' || last === undefined || state === undefined || last.index === 0)
      throw new SluiceError('NOT_FOUND', `${report.folder} has nothing to keep: use the data folder of another master`);
    const { member, clusterId } = bound;
    const plan = { folder: report.folder, member, clusterId, last, commit: Math.max(commit, state.index) };
    return new JournalRecovery(plan, inspection, bound, ballot?.term ?? 0, timers);
  }

  /**
   * Makes the folder `into`.
   * @param address where other masters shall reach this one; where they did when it is absent
   * @throws SluiceError ALREADY_EXISTS when something is there, INVALID_ARGUMENT when no address is known
   */
  async recover(into: string, address: string | undefined, signal: AbortSignal): Promise<Recovery> {
    const there = await readdir(into).catch((thrown: NodeJS.ErrnoException): string[] => {
      if (thrown.code === 'ENOENT') return [];
      throw SluiceError.from(thrown, 'INVALID_ARGUMENT', `${into} cannot be used`);
    });
    if (there.length > 0)
      throw new SluiceError('ALREADY_EXISTS', `${into} is not empty: name a folder that is not there`);
    const unfinished = `${into}${UNFINISHED}`;
    await rm(unfinished, { recursive: true, force: true });
    const recovery = await opening((scope) =>
      this.#fill(scope, unfinished, address, signal).finally(() => scope.close()),
    );
    await syncAll(unfinished);
    await rename(unfinished, into);
    await sync(dirname(into));
    return { ...recovery, folder: into };
  }

  async #fill(scope: Scope, path: string, address: string | undefined, signal: AbortSignal): Promise<Recovery> {
    const { cluster, member } = this.#bound;
    const { last } = this.plan;
    const id = newMemberId(member);
    const clusterId = clusterIdOf(cluster, [id]);
    const position = { term: Math.max(last.term, this.#ballotTerm), index: last.index + 1 };
    const folder = scope.own('data folder', await DataFolder.open(path, 'master'));
    await cp(this.#inspection.folder.at('state'), folder.at('state'), { recursive: true });
    const state = scope.own('state', await this.#openState(folder.at('state')));
    await this.#applyRest(state, signal);
    const info = this.#infoOf(state, id, address);
    this.#begin(state, clusterId, info, position);
    await state.flush();
    await this.#beginJournal(folder.at('journal'), position);
    await writeBinding(folder, { state: 'member', cluster, clusterId, member, id, birth: [info] });
    return { folder: path, clusterId, member, identity: id, position };
  }

  #openState(folder: string): Promise<LevelStateStore> {
    const onFatal = (): void => undefined;
    return LevelStateStore.open({ folder, cacheBytes: 64 * 1024 * 1024, timers: this.#timers, onFatal });
  }

  /** What is in the journal and not in the state. */
  async #applyRest(state: LevelStateStore, signal: AbortSignal): Promise<void> {
    const { last } = this.plan;
    if (state.applied.index >= last.index) return;
    for await (const entries of this.#inspection.entries(state.applied.index + 1, last.index, signal))
      for (const entry of entries) {
        applyEntry(state, entry);
        if (!state.pause()) await new Promise<void>((resolve) => state.whenRoom(resolve));
      }
  }

  #infoOf(state: LevelStateStore, id: string, address: string | undefined): MemberInfo {
    const known = [...(state.membership?.members ?? []), ...this.#bound.birth].find(
      (info) => info.id === this.#bound.id,
    );
    const reached = address ?? known?.address;
    if (reached === undefined) {
      const message = `Where other masters reach ${this.plan.member} is not known: say it with --address HOST:PORT`;
      throw new SluiceError('INVALID_ARGUMENT', message);
    }
    return { id, address: reached, clientAddress: known?.clientAddress ?? '', priority: known?.priority ?? 0 };
  }

  /** One entry that was never in any journal: the begin of the new cluster. */
  #begin(state: LevelStateStore, clusterId: string, info: MemberInfo, position: Position): void {
    const cluster = state.get('cluster', '');
    if (cluster !== undefined) {
      const counters = must(state.get('counters', ''), 'A formatted namespace has counters');
      const renewed = renewNamespace(cluster, counters, clusterId);
      state.put('cluster', '', renewed.cluster);
      state.put('counters', '', renewed.counters);
    }
    state.putMembership({ voters: [info.id], outgoing: [], learners: [], members: [info] });
    state.finishEntry(position);
  }

  async #beginJournal(folder: string, position: Position): Promise<void> {
    const kind = storeKindOf(await journalFiles(this.#inspection.folder.at('journal')));
    const log: LogStore = kind === 'segments' ? new SegmentLogStore(folder) : new LevelLogStore(folder);
    await beginLog(log, position, position.term);
  }
}

/** Makes everything below a folder durable: a copy is not. */
async function syncAll(path: string): Promise<void> {
  for (const entry of await readdir(path, { withFileTypes: true })) {
    const below = join(path, entry.name);
    if (entry.isDirectory()) await syncAll(below);
    else await sync(below);
  }
  await sync(path);
}

async function sync(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
