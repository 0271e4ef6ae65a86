import { access, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Timers } from '../base/clock.ts';
import { DataFolder } from '../host/data-folder.ts';
import { systemFiles } from '../host/file-operations.ts';
import { copyLevel } from '../host/level-copy.ts';
import { findTableDamage } from '../host/level-table-check.ts';
import { opening, type Scope } from '../host/scope.ts';
import { type ErrorCode, SluiceError } from '../model/errors.ts';
import type { Ballot } from '../raft/effect.ts';
import type { Entry } from '../raft/entry.ts';
import type { LogIndex, Position } from '../raft/position.ts';
import { decodeJournalEntry } from '../wire/codec/command.ts';
import { type FolderBinding, readBinding } from './folder-binding.ts';
import { type JournalScan, LevelJournalScan, SegmentJournalScan } from './journal-scan.ts';
import { journalFiles, storeKindOf } from './journal-store-kind.ts';
import { damaged, WAY_OUT } from './level-log-scan.ts';
import { LevelStateStore } from './level-state-store.ts';
import { readMarker } from './snapshot-install.ts';
import { checkStatePosition } from './state-position.ts';

/** What is wrong, and what to do about it. */
export interface JournalProblem {
  readonly code: ErrorCode;
  readonly message: string;
  readonly advice: string;
}

/** What a look at a journal has found; what could not be read is absent. */
export interface JournalReport {
  readonly folder: string;
  readonly clusterId?: string;
  readonly member?: string;
  /** Id of the member. */
  readonly identity?: string;
  /** The entry before the first one kept. */
  readonly base?: Position;
  /** The last entry that is whole, with all before it. */
  readonly last?: Position;
  /** Term of the first entry. */
  readonly firstTerm?: number;
  readonly ballot?: Ballot;
  /** Commit index that was durably noted. */
  readonly commit?: LogIndex;
  /** The last entry that the state on disk contains. */
  readonly state?: Position;
  /** A snapshot of this entry is taking the place of the state: the next start of the master finishes that. */
  readonly installing?: Position;
  /** Empty when the master can be started. */
  readonly problems: readonly JournalProblem[];
}

/** Told of entries that were verified, and of how many there should be. */
export type InspectionProgress = (verified: number, expected: number) => void;

/**
 * Looks at the journal of a stopped master. It takes the data folder as a master does (which writes `lock` and
 * `process.pid` in it), and reads LevelDBs from temporary copies, see `copyLevel`: nothing in them is changed,
 * however damaged they are. LevelDB's own log, and the checksums of its tables, are verified before LevelDB sees
 * them. Of the state nothing more than these and its position is verified.
 */
export class JournalInspection {
  /** Held until the inspection is closed. */
  readonly folder: DataFolder;
  readonly #scratch: string;
  readonly #timers: Timers;
  readonly #scope: Scope;

  private constructor(folder: DataFolder, scratch: string, timers: Timers, scope: Scope) {
    this.folder = folder;
    this.#scratch = scratch;
    this.#timers = timers;
    this.#scope = scope;
  }

  /** @throws SluiceError NOT_FOUND when no master was ever started there; as `DataFolder.open` */
  static async open(path: string, timers: Timers): Promise<JournalInspection> {
    await access(join(path, 'identity.json')).catch((thrown: unknown) => {
      const message = `${path} is not the data folder of a master: choose one with --folder, or set master.data`;
      throw new SluiceError('NOT_FOUND', message, { cause: thrown });
    });
    return opening(async (scope) => {
      const folder = scope.own('data folder', await DataFolder.open(path, 'master'));
      const scratch = await mkdtemp(join(tmpdir(), 'sluice-inspection-'));
      scope.onClose('copies', () => rm(scratch, { recursive: true, force: true }));
      return new JournalInspection(folder, scratch, timers, scope);
    });
  }

  /** Verifies everything that can be read, and goes on behind a problem where that makes sense. */
  async check(progress: InspectionProgress, signal: AbortSignal): Promise<JournalReport> {
    const problems: JournalProblem[] = [];
    const attempt = async <T>(act: () => Promise<T>): Promise<T | undefined> => {
      try {
        return await act();
      } catch (thrown) {
        signal.throwIfAborted();
        problems.push(this.#problem(thrown));
        return undefined;
      }
    };
    const bound = await attempt(() => readBinding(this.folder));
    const scan = await attempt(() => this.#begin(signal));
    let verified = false;
    if (scan !== undefined) {
      verified = (await attempt(() => this.#verify(scan, progress, signal))) ?? false;
      await scan.close();
    }
    const order = await attempt(() => readMarker(this.folder.path));
    const state = order === undefined ? await attempt(() => this.#statePosition(signal)) : undefined;
    if (verified && scan !== undefined && state !== undefined)
      await attempt(async () => checkStatePosition(this.folder.path, state, scan));
    const found = scan === undefined ? {} : reported(scan);
    const { path } = this.folder;
    const reached = { ...(state && { state }), ...(order && { installing: order.position }) };
    return { folder: path, ...boundTo(bound), ...found, ...reached, problems };
  }

  /**
   * The entries `from … to` (both included, all when absent), verified from the first one kept.
   * @throws SluiceError NOT_FOUND when the journal does not have them; CORRUPT behind the last whole entry
   */
  async *entries(
    from: LogIndex | undefined,
    to: LogIndex | undefined,
    signal: AbortSignal,
  ): AsyncGenerator<readonly Entry[]> {
    const scan = await this.#begin(signal);
    try {
      const [first, last] = [scan.base.index + 1, await scan.findLast()];
      if ((from ?? first) < first || (from ?? 0) > last || (to ?? last) > last || (to ?? first) < first) {
        const has = last < first ? 'no entries' : `entries ${first} to ${last}`;
        throw new SluiceError('NOT_FOUND', `The journal in ${this.folder.path} has ${has}: ask for some of these`);
      }
      const inside = ({ index }: Entry) => index >= (from ?? first) && index <= (to ?? last);
      let shown = first - 1;
      for await (const entries of scan.entries()) {
        signal.throwIfAborted();
        shown = entries.at(-1)?.index ?? shown;
        yield entries.filter(inside);
        if (to !== undefined && shown >= to) return;
      }
    } catch (thrown) {
      signal.throwIfAborted();
      throw this.#named(thrown);
    } finally {
      await scan.close();
    }
  }

  close(): Promise<void> {
    return this.#scope.close();
  }

  async #begin(signal: AbortSignal): Promise<JournalScan> {
    const folder = this.folder.at('journal');
    try {
      if (storeKindOf(await journalFiles(folder)) === 'segments')
        return await SegmentJournalScan.open(systemFiles, folder);
      return await LevelJournalScan.open(await this.#copied('journal', signal), folder);
    } catch (thrown) {
      throw this.#named(thrown);
    }
  }

  async #verify(scan: JournalScan, told: InspectionProgress, signal: AbortSignal): Promise<true> {
    const { index } = scan.base;
    for await (const entries of scan.verify()) {
      signal.throwIfAborted();
      for (const entry of entries) this.#decode(entry);
      told(Math.max(0, scan.last.index - index), Math.max(0, scan.expected - index));
    }
    return true;
  }

  /** What a master does with an entry before it applies it. */
  #decode({ kind, index, bytes }: Entry): void {
    if (kind !== 'command') return;
    try {
      decodeJournalEntry(bytes);
    } catch (thrown) {
      const error = SluiceError.from(thrown);
      if (error.code === 'CORRUPT') throw damaged(this.folder.at('journal'), index, error.message, thrown);
      throw SluiceError.from(error, error.code, `Entry ${index}`);
    }
  }

  async #statePosition(signal: AbortSignal): Promise<Position> {
    const failures: SluiceError[] = [];
    const state = await LevelStateStore.open({
      folder: await this.#copied('state', signal),
      cacheBytes: 0,
      timers: this.#timers,
      onFatal: (error) => failures.push(error),
    });
    await state.close();
    const [failure] = failures;
    if (failure !== undefined) throw failure;
    return state.applied;
  }

  async #copied(name: 'journal' | 'state', signal: AbortSignal): Promise<string> {
    const table = await findTableDamage(this.folder.at(name), signal);
    if (table !== undefined)
      throw new SluiceError('CORRUPT', `Database ${this.folder.at(name)} is damaged: ${table} has a wrong checksum`);
    const copy = join(this.#scratch, name);
    await rm(copy, { recursive: true, force: true });
    await copyLevel(this.folder.at(name), copy);
    return copy;
  }

  /** An error about a copy as one about the original. */
  #named(thrown: unknown): SluiceError {
    const { code, message, details } = SluiceError.from(thrown);
    const named = message.replaceAll(this.#scratch, this.folder.path);
    return new SluiceError(code, named, { details, cause: thrown });
  }

  #problem(thrown: unknown): JournalProblem {
    const { code, message } = this.#named(thrown);
    const end = `: ${WAY_OUT}`;
    const what = message.endsWith(end) ? message.slice(0, -end.length) : message;
    return { code, message: what, advice: ADVICE[code] ?? 'see the message' };
  }
}

const ADVICE: Partial<Record<ErrorCode, string>> = {
  CORRUPT: WAY_OUT,
  UNSUPPORTED: 'start this master with the version that wrote its journal, or a newer one',
  EXHAUSTED: 'free space in the folder for temporary files, and check again',
};

function reported({ base, last, runs, ballot, commit }: JournalScan): Omit<JournalReport, 'folder' | 'problems'> {
  const firstTerm = runs[0]?.term;
  return {
    base,
    last,
    ...(firstTerm === undefined ? {} : { firstTerm }),
    ...(ballot === undefined || commit === undefined ? {} : { ballot, commit }),
  };
}

function boundTo(bound: FolderBinding | undefined): Pick<JournalReport, 'clusterId' | 'member' | 'identity'> {
  if (bound === undefined) return {};
  const { member, id: identity } = bound;
  return bound.state === 'unborn' ? { member, identity } : { clusterId: bound.clusterId, member, identity };
}
