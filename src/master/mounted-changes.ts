import { must } from '../base/assert.ts';
import type { Clock } from '../base/clock.ts';
import { admit } from '../model/apply-session.ts';
import type { Command, CommandOf, Outcome, UfsFact } from '../model/command.ts';
import { SluiceError } from '../model/errors.ts';
import type { Inode } from '../model/inode.ts';
import type { Mount } from '../model/mount.ts';
import { inodeAt, notFormatted, target, ufsPathOf, type Walk, walk } from '../model/namespace.ts';
import type { RequestId } from '../model/operations.ts';
import { nameOf, parentOf, parsePath } from '../model/path.ts';
import type { Caller } from '../model/principal.ts';
import { isRefusal } from '../model/refusal.ts';
import type { Ufs, UfsAttributes } from '../ufs/ufs.ts';
import { dryRun } from './dry-run.ts';
import type { LockRequest, PathLocks } from './path-locks.ts';
import type { ReplicatedState } from './replicated-state.ts';
import { proposeLoad, type SyncParts } from './sync-parts.ts';
import { differs } from './ufs-difference.ts';
import type { UfsRegistry } from './ufs-registry.ts';
import type { Looked, UfsSync } from './ufs-sync.ts';

/** Who asks for a change, how it is remembered, and when it is given up. */
export interface Asker {
  readonly principal: Caller;
  readonly requestId?: RequestId;
  readonly signal: AbortSignal;
}

/** Stands for the version of a file that is not written yet, where a dry run needs one. Never proposed. */
const PENDING_VERSION = 'pending';

/**
 * Changes of paths that a UFS backs. Each one locks its paths, asks whether it was answered before, lets a dry run
 * refuse
 * what would be refused, changes the UFS, and only then proposes. Each step may be repeated: a retry after a failover
 * finds what its first try left in the UFS, recognises it, and goes on.
 */
export class MountedChanges {
  readonly #state: ReplicatedState;
  readonly #ufs: UfsRegistry;
  readonly #sync: UfsSync;
  readonly #locks: PathLocks;
  readonly #parts: SyncParts;
  readonly #clock: Clock;

  constructor(parts: SyncParts, sync: UfsSync, clock: Clock) {
    this.#parts = parts;
    this.#state = parts.state;
    this.#ufs = parts.ufs;
    this.#locks = parts.locks;
    this.#sync = sync;
    this.#clock = clock;
  }

  /** Whether a UFS backs this path, which need not be normal or even valid. */
  backs(text: string): boolean {
    const mounts = this.#state.state.get('mountIndex', '')?.mounts;
    if (mounts === undefined || mounts.length === 0) return false;
    const path = parsePath(text);
    if (isRefusal(path)) return false;
    return mounts.some((mount) => covers(mount.path, path));
  }

  /**
   * A file that is made in the journal only needs no proof that this master still leads: the journal gives it. So
   * nobody is asked for it before something is refused, or the UFS is changed.
   */
  createFile(command: CommandOf<'createFile'>, asker: Asker): Promise<Outcome> {
    const path = normal(command.path);
    const locks: LockRequest[] = [{ path, mode: 'exclusive' }];
    if (command.empty && command.writeType !== 'MUST_CACHE')
      return this.#locked(locks, command, asker, () => this.#createEmpty(path, command, asker));
    const create = async (confirmed: boolean): Promise<Outcome> => {
      await this.#sync.load(await this.#sync.lookUpLocked(path));
      const dry = this.#dry({ ...command, ufsVersion: '' }, asker);
      const { mount, inode } = this.#now(path);
      const replaces = command.writeType === 'MUST_CACHE' && inode !== undefined && isInUfs(inode);
      if (!confirmed && (dry.kind === 'refused' || replaces))
        return this.#confirmed(command, asker, () => create(true));
      if (dry.kind === 'refused') return this.#refuse(command, asker, dry);
      if (replaces) await this.#use(mount, (ufs, at) => ufs.delete(at(path), { recursive: false }));
      const outcome = await this.#propose({ ...command, ufsVersion: '' }, asker);
      this.#appeared(path);
      return outcome;
    };
    return this.#holding(locks, asker, () => this.#unlessAnswered(command, asker, () => create(false)));
  }

  async #createEmpty(path: string, command: CommandOf<'createFile'>, asker: Asker): Promise<Outcome> {
    const looked = await this.#sync.lookUpLocked(path);
    const ours = looked.unknown?.fact.kind === 'file' && looked.unknown.fact.lengthBytes === 0;
    if (!ours) await this.#sync.load(looked);
    const dry = this.#dry({ ...command, ufsVersion: PENDING_VERSION }, asker);
    if (dry.kind === 'refused') return this.#refuse(command, asker, dry);
    const mount = must(this.#now(path).mount, `${path} is mounted`);
    const { version: ufsVersion } = await this.#putEmpty(mount, path, dry);
    const outcome = await this.#propose({ ...command, ufsVersion }, asker);
    this.#appeared(path);
    return outcome;
  }

  /** The worker has changed the UFS; the lock only keeps looks at it apart. */
  completeFile(command: CommandOf<'completeFile'>, asker: Asker): Promise<Outcome> {
    const path = normal(command.path);
    return this.#holding([{ path, mode: 'exclusive' }], asker, async () => {
      const outcome = await this.#propose(command, asker);
      this.#appeared(path);
      return outcome;
    });
  }

  makeDirectory(command: CommandOf<'makeDirectory'>, asker: Asker): Promise<Outcome> {
    const path = normal(command.path);
    return this.#locked([{ path, mode: 'exclusive' }], command, asker, async () => {
      const looked = await this.#sync.lookUpLocked(path);
      if (!(await this.#isEmptyDirectory(looked, path))) await this.#sync.load(looked);
      const dry = this.#dry(command, asker);
      if (dry.kind === 'refused') return this.#refuse(command, asker, dry);
      const { mount, inode } = this.#now(path);
      if (inode === undefined) await this.#use(mount, (ufs, at) => ufs.makeDirectory(at(path), attributesOf(dry)));
      const outcome = await this.#propose(command, asker);
      this.#appeared(path);
      return outcome;
    });
  }

  delete(command: CommandOf<'delete'>, asker: Asker): Promise<Outcome> {
    const path = normal(command.path);
    return this.#locked([{ path, mode: 'exclusive' }], command, asker, async () => {
      await this.#sync.load(await this.#sync.lookUpLocked(path));
      const dry = this.#dry(command, asker);
      if (dry.kind === 'refused') return this.#refuse(command, asker, dry);
      const { mount, inode, parent } = this.#now(path);
      if (inode !== undefined && !command.keepUfs && isInUfs(inode)) {
        try {
          await this.#use(mount, (ufs, at) => ufs.delete(at(path), { recursive: command.recursive }));
        } catch (thrown) {
          this.#sync.forgetListing(inode.id);
          throw thrown;
        }
      }
      const outcome = await this.#propose(command, asker);
      if (parent !== undefined) this.#sync.forgetAbsent(parent.id, nameOf(path));
      return outcome;
    });
  }

  rename(command: CommandOf<'rename'>, asker: Asker): Promise<Outcome> {
    const source = normal(command.source);
    const path = normal(command.target);
    const locks: LockRequest[] = [
      { path: source, mode: 'exclusive' },
      { path, mode: 'exclusive' },
    ];
    return this.#locked(locks, command, asker, async () => {
      await this.#sync.load(await this.#sync.lookUpLocked(source));
      const moving = this.#now(source);
      const looked = await this.#sync.lookUpLocked(path);
      const moved = await this.#movedBefore(moving.mount, moving.inode, source, looked);
      if (moved === undefined) await this.#sync.load(looked);
      const dry = this.#dry(command, asker);
      if (dry.kind === 'refused' || source === path) return this.#refuse(command, asker, dry);
      const inode = must(moving.inode, `${source} exists, or the dry run refuses`);
      const fact = moved ?? (await this.#renameInUfs(source, path, inode));
      const ufsVersion = fact?.kind === 'file' ? fact.version : '';
      const outcome = await this.#propose({ ...command, ufsVersion }, asker);
      this.#appeared(path);
      return outcome;
    });
  }

  setAttributes(command: CommandOf<'setAttributes'>, asker: Asker): Promise<Outcome> {
    const path = normal(command.path);
    return this.#locked([{ path, mode: 'exclusive' }], command, asker, async () => {
      await this.#sync.load(await this.#sync.lookUpLocked(path));
      const dry = this.#dry(command, asker);
      if (dry.kind === 'refused') return this.#refuse(command, asker, dry);
      const { mount, inode, parent } = this.#now(path);
      const kept = keptByUfs(command, dry);
      const inUfs = inode?.persistence === 'persisted' && kept !== undefined && path !== mount?.path;
      if (inUfs) await this.#use(mount, (ufs, at) => ufs.setAttributes(at(path), kept));
      const outcome = await this.#propose(command, asker);
      // A changed time may be a part of the version: it is not a foreign change.
      if (inUfs && kept.modifiedMs !== undefined && mount !== undefined && parent !== undefined) {
        const fact = await this.#sync.stat(mount, path);
        if (fact !== undefined && differs(inode, fact)) {
          await proposeLoad(this.#parts, { directoryId: parent.id, upserts: [{ ...fact, name: nameOf(path) }] });
          const after = this.#now(path).inode;
          if (outcome.kind === 'inode' && after !== undefined) return { ...outcome, inode: after };
        }
      }
      return outcome;
    });
  }

  mount(command: CommandOf<'mount'>, asker: Asker): Promise<Outcome> {
    const path = normal(command.path);
    return this.#locked([{ path, mode: 'exclusive' }], command, asker, async () => {
      await this.#sync.load(await this.#sync.lookUpLocked(path));
      const dry = this.#dry(command, asker);
      if (dry.kind === 'refused') return this.#refuse(command, asker, dry);
      const ufs = await this.#ufs.probe(command.uri, command.options, command.readOnly).catch((thrown: unknown) => {
        throw SluiceError.from(thrown, 'UNAVAILABLE', `Cannot mount ${command.uri} at ${path}`);
      });
      const outcome = await this.#propose(command, asker).catch(async (thrown: unknown) => {
        await ufs.close();
        throw thrown;
      });
      if (outcome.kind === 'mount') this.#ufs.adopt(outcome.mount, ufs);
      else await ufs.close();
      return outcome;
    });
  }

  unmount(command: CommandOf<'unmount'>, asker: Asker): Promise<Outcome> {
    const path = normal(command.path);
    return this.#holding([{ path, mode: 'exclusive' }], asker, () => this.#propose(command, asker));
  }

  /** Runs `change` with the locks, unless the request was answered, or must not run. */
  #locked(
    requests: readonly LockRequest[],
    command: Command,
    asker: Asker,
    change: () => Promise<Outcome>,
  ): Promise<Outcome> {
    return this.#holding(requests, asker, () => this.#confirmed(command, asker, change));
  }

  /** Runs `change` when this master leads and knows everything, unless the request was answered, or must not run. */
  async #confirmed(command: Command, asker: Asker, change: () => Promise<Outcome>): Promise<Outcome> {
    await this.#state.barrier();
    // Another leader may have confirmed that nothing is missing here.
    if (!this.#state.leadership().leading) throw new SluiceError('NOT_LEADER', 'This master leads no longer');
    return this.#unlessAnswered(command, asker, change);
  }

  async #unlessAnswered(command: Command, asker: Asker, change: () => Promise<Outcome>): Promise<Outcome> {
    if (this.#state.state.get('cluster', '') === undefined) throw SluiceError.of(notFormatted());
    if (asker.requestId === undefined) return change();
    const admission = admit(this.#state.state, asker.requestId);
    if (admission.kind === 'remembered') return admission.outcome;
    // The same refusal, but from the journal.
    if (admission.kind === 'refused') return this.#propose(command, asker);
    return change();
  }

  async #holding<T>(requests: readonly LockRequest[], asker: Asker, task: () => Promise<T>): Promise<T> {
    const release = await this.#locks.acquire(requests, asker.signal);
    try {
      return await task();
    } finally {
      release();
    }
  }

  /**
   * Answers what a dry run refused. A request that opens a session must enter the journal nevertheless, or the
   * session's
   * next one would be refused; it comes to the same refusal there, because its paths are locked.
   */
  async #refuse(command: Command, asker: Asker, dry: Outcome): Promise<Outcome> {
    const { requestId } = asker;
    const opens = requestId !== undefined && this.#state.state.get('session', requestId.client) === undefined;
    return opens ? this.#propose(command, asker) : dry;
  }

  #propose(command: Command, asker: Asker): Promise<Outcome> {
    return this.#state.propose(command, asker);
  }

  #dry(command: Command, asker: Asker): Outcome {
    return dryRun(this.#state.state, { atMs: this.#clock.wallMs(), principal: asker.principal, command });
  }

  #now(path: string): {
    readonly mount: Mount | undefined;
    readonly inode: Inode | undefined;
    readonly parent: Inode | undefined;
  } {
    const walked = walk(this.#state.state, path);
    return { mount: walked.mount, inode: target(walked), parent: parentIn(walked) };
  }

  #use<T>(mount: Mount | undefined, task: (ufs: Ufs, at: (path: string) => string) => Promise<T>): Promise<T> {
    const mounted = must(mount, 'A change of a UFS is within a mount');
    return this.#ufs.use(mounted, (ufs) => task(ufs, (path) => ufsPathOf(mounted, path)));
  }

  #putEmpty(mount: Mount, path: string, dry: Outcome): Promise<UfsFact> {
    return this.#use(mount, async (ufs, at) => (await ufs.create(at(path), attributesOf(dry))).complete());
  }

  /** A path that we made is as the UFS has it, and is no longer absent. */
  #appeared(path: string): void {
    const { inode, parent } = this.#now(path);
    if (inode?.persistence === 'persisted') this.#sync.saw(inode.id);
    if (parent !== undefined) this.#sync.forgetAbsent(parent.id, nameOf(path));
  }

  /** What a first try of `makeDirectory` would have left. */
  async #isEmptyDirectory({ unknown }: Looked, path: string): Promise<boolean> {
    if (unknown?.fact.kind !== 'directory') return false;
    return this.#use(this.#now(parentOf(path)).mount, async (ufs, at) => {
      for await (const page of ufs.list(at(path))) if (page.length > 0) return false;
      return true;
    });
  }

  /** What a first try of `rename` would have left: the source gone, and what it was at a target that we do not know. */
  async #movedBefore(
    mount: Mount | undefined,
    inode: Inode | undefined,
    source: string,
    { unknown }: Looked,
  ): Promise<UfsFact | undefined> {
    if (mount === undefined || inode === undefined || !isInUfs(inode)) return undefined;
    if (unknown === undefined || !looksLike(inode, unknown.fact)) return undefined;
    return (await this.#sync.stat(mount, source)) === undefined ? unknown.fact : undefined;
  }

  async #renameInUfs(source: string, path: string, inode: Inode): Promise<UfsFact | undefined> {
    const { mount, inode: replaced } = this.#now(path);
    const makeRoom = async () => {
      if (replaced === undefined || !isInUfs(replaced)) return undefined;
      await this.#use(mount, (ufs, at) => ufs.delete(at(path), { recursive: false }));
      return undefined;
    };
    if (!isInUfs(inode)) return makeRoom();
    try {
      return await this.#use(mount, (ufs, at) => ufs.rename(at(source), at(path)));
    } catch (thrown) {
      if (SluiceError.from(thrown).code !== 'NOT_FOUND') throw thrown;
      if (inode.kind === 'directory' && inode.persistence === 'cached') return makeRoom();
      const fact = await this.#sync.stat(must(mount, `${path} is mounted`), path);
      if (fact !== undefined && looksLike(inode, fact)) return fact;
      throw thrown;
    }
  }
}

function covers(mountPath: string, path: string): boolean {
  if (mountPath === '/') return true;
  return path.startsWith(mountPath) && (path.length === mountPath.length || path[mountPath.length] === '/');
}

/** @throws SluiceError INVALID_ARGUMENT */
function normal(text: string): string {
  const path = parsePath(text);
  if (isRefusal(path)) throw SluiceError.of(path);
  return path;
}

function parentIn(walked: Walk): Inode | undefined {
  const depth = walked.names.length - 1;
  return depth >= 0 && walked.chain.length > depth ? inodeAt(walked, depth) : undefined;
}

/** Whether the UFS may have something at the place of `inode` that belongs to it, or to what it overwrote. */
function isInUfs(inode: Inode): boolean {
  return inode.kind === 'directory' || inode.persistence === 'persisted' || inode.writeType !== 'MUST_CACHE';
}

function looksLike(inode: Inode, fact: UfsFact): boolean {
  return inode.kind === fact.kind && (inode.kind === 'directory' || inode.lengthBytes === fact.lengthBytes);
}

/** Owner, group and mode that a dry run gave to what it made. */
function attributesOf(dry: Outcome): UfsAttributes {
  if (dry.kind !== 'inode') return {};
  const { owner, group, mode } = dry.inode;
  return { owner, group, mode };
}

/** What of a change of attributes concerns the UFS; undefined when nothing does. */
function keptByUfs(command: CommandOf<'setAttributes'>, dry: Outcome): UfsAttributes | undefined {
  const after = attributesOf(dry);
  const { mode, owner, group, modifiedMs } = command;
  if ([mode, owner, group, modifiedMs].every((value) => value === undefined)) return undefined;
  return {
    ...(mode === undefined || after.mode === undefined ? {} : { mode: after.mode }),
    ...(owner === undefined ? {} : { owner }),
    ...(group === undefined ? {} : { group }),
    ...(modifiedMs === undefined ? {} : { modifiedMs }),
  };
}
