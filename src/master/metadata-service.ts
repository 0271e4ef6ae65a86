import { must } from '../base/assert.ts';
import type { Clock } from '../base/clock.ts';
import type { Command, CommandOf, Outcome } from '../model/command.ts';
import { SluiceError } from '../model/errors.ts';
import { listPage } from '../model/listing.ts';
import { visibleOptions } from '../model/mount.ts';
import { located, notFound, target, type Walk, walk, walkFor } from '../model/namespace.ts';
import type { ListReply, ListRequest, OperationName, Operations } from '../model/operations.ts';
import { isRefusal } from '../model/refusal.ts';
import { fileStatus, type Located } from '../model/status.ts';
import type { WorkerList } from '../model/worker.ts';
import type { OperationContext, OperationHandlers } from '../wire/operation-handlers.ts';
import type { Callers } from './callers.ts';
import type { LeaderGate } from './leader-gate.ts';
import { ListingAhead } from './listing-ahead.ts';
import type { Asker, MountedChanges } from './mounted-changes.ts';
import type { OperationMetrics } from './operation-metrics.ts';
import { mountOfOutcome, requireDone, statusOfOutcome } from './outcomes.ts';
import type { ReplicatedState } from './replicated-state.ts';
import type { UfsSync } from './ufs-sync.ts';

export interface MetadataParts {
  readonly state: ReplicatedState;
  readonly gate: LeaderGate;
  readonly callers: Callers;
  readonly sync: UfsSync;
  readonly mounted: MountedChanges;
  readonly metrics: OperationMetrics;
  readonly clock: Clock;
  /** Block size of files that are created without one. */
  readonly blockSizeBytes: number;
  /** The workers as the leader publishes them. */
  workers(): Promise<WorkerList>;
}

/**
 * A page of a listing that took so long enters no further directory: its client gives up an operation after some time,
 * and a page may enter a thousand directories of a slow UFS.
 */
const PAGE_MS = 2000;

const NOTHING = Object.freeze({});

/**
 * The metadata operations on the leader. Reads are linearizable (`barrier`). Changes of paths that no UFS backs go
 * straight into the journal; the others take the way of `MountedChanges`.
 */
class MetadataService {
  readonly #parts: MetadataParts;

  constructor(parts: MetadataParts) {
    this.#parts = parts;
  }

  async createFile(request: Operations['createFile']['request'], context: OperationContext) {
    const { mounted, blockSizeBytes } = this.#parts;
    const { path, mode, writeType, recursive, overwrite, empty } = request;
    // Not spread, because that takes as long as to decode the request.
    const command: CommandOf<'createFile'> = {
      kind: 'createFile',
      path,
      mode,
      writeType,
      blockSizeBytes: request.blockSizeBytes === 0 ? blockSizeBytes : request.blockSizeBytes,
      recursive,
      overwrite,
      empty,
      ufsVersion: '',
    };
    const backed = mounted.backs(path);
    return statusOfOutcome(
      await (backed ? mounted.createFile(command, this.#asker(context)) : this.#propose(command, context)),
    );
  }

  async completeFile(request: Operations['completeFile']['request'], context: OperationContext) {
    const { mounted } = this.#parts;
    const command = { ...request, kind: 'completeFile' } as const;
    const backed = mounted.backs(request.path);
    return statusOfOutcome(
      await (backed ? mounted.completeFile(command, this.#asker(context)) : this.#propose(command, context)),
    );
  }

  async makeDirectory(request: Operations['makeDirectory']['request'], context: OperationContext) {
    const { mounted } = this.#parts;
    const persisted = mounted.backs(request.path);
    const command = { ...request, kind: 'makeDirectory', persisted } as const;
    return statusOfOutcome(
      await (persisted ? mounted.makeDirectory(command, this.#asker(context)) : this.#propose(command, context)),
    );
  }

  async delete(request: Operations['delete']['request'], context: OperationContext) {
    const { mounted } = this.#parts;
    const { path, recursive, keepUfs, id } = request;
    const command = { kind: 'delete', path, recursive, keepUfs, id } as const;
    const backed = mounted.backs(request.path);
    requireDone(await (backed ? mounted.delete(command, this.#asker(context)) : this.#propose(command, context)));
    return NOTHING;
  }

  async rename(request: Operations['rename']['request'], context: OperationContext) {
    const { mounted } = this.#parts;
    const { source, target: to, overwrite } = request;
    const command = { kind: 'rename', source, target: to, overwrite, ufsVersion: '' } as const;
    const backed = mounted.backs(request.source) || mounted.backs(request.target);
    requireDone(await (backed ? mounted.rename(command, this.#asker(context)) : this.#propose(command, context)));
    return NOTHING;
  }

  async setAttributes(request: Operations['setAttributes']['request'], context: OperationContext) {
    const { mounted } = this.#parts;
    const command = { ...request, kind: 'setAttributes' } as const;
    const backed = mounted.backs(request.path);
    return statusOfOutcome(
      await (backed ? mounted.setAttributes(command, this.#asker(context)) : this.#propose(command, context)),
    );
  }

  async mount(request: Operations['mount']['request'], context: OperationContext) {
    return mountOfOutcome(await this.#parts.mounted.mount({ ...request, kind: 'mount' }, this.#asker(context)));
  }

  async unmount(request: Operations['unmount']['request'], context: OperationContext) {
    const command = { kind: 'unmount', path: request.path } as const;
    requireDone(await this.#parts.mounted.unmount(command, this.#asker(context)));
    return NOTHING;
  }

  async getStatus(request: Operations['getStatus']['request'], context: OperationContext) {
    const walked = await this.#look(request.path, context, request.sync);
    const inode = target(walked);
    if (inode === undefined) throw SluiceError.of(notFound(walked));
    return fileStatus(located(walked, inode));
  }

  async exists(request: Operations['exists']['request'], context: OperationContext) {
    const walked = await this.#look(request.path, context);
    return { exists: target(walked) !== undefined };
  }

  async listStatus(request: ListRequest, context: OperationContext): Promise<ListReply> {
    const { callers, state, sync, clock } = this.#parts;
    const endMs = clock.monotonicMs() + PAGE_MS;
    const anew = request.sync === true;
    const { path: top } = await this.#look(request.path, context, anew && request.cursor === '');
    const ahead = new ListingAhead(sync, context.signal);
    const enter = async (directory: Located): Promise<void> => {
      if (directory.mountId === 0) return;
      await sync.list(directory.path, directory.inode.id, context.signal, anew);
      if (directory.path !== top) return;
      const walked = walk(state.state, top);
      if (target(walked) === undefined) throw SluiceError.of(notFound(walked));
    };
    try {
      const reply = await listPage(state.state, callers.of(context.principal), request, enter, {
        foresee: (directories) => ahead.foresee(directories),
        enough: () => clock.monotonicMs() >= endMs,
      });
      if (isRefusal(reply)) throw SluiceError.of(reply);
      return reply;
    } finally {
      ahead.stop();
    }
  }

  async getMountTable() {
    const { state } = this.#parts;
    await state.barrier();
    const index = state.state.get('mountIndex', '')?.mounts ?? [];
    const mounts = index.map(({ path }) => {
      const mount = must(state.state.get('mount', path), `Mount ${path} of the index has a row`);
      return { ...mount, options: visibleOptions(mount.options) };
    });
    return { mounts };
  }

  async getWorkers() {
    await this.#parts.state.barrier();
    return this.#parts.workers();
  }

  /** What exists of a path, looked at as freshly as its mount asks, or now when `anew`. */
  async #look(text: string, context: OperationContext, anew = false): Promise<Walk> {
    const { state, callers, sync } = this.#parts;
    await state.barrier();
    const caller = callers.of(context.principal);
    const known = walkFor(state.state, caller, text);
    if (isRefusal(known)) throw SluiceError.of(known);
    if (!anew && sync.isCurrent(known)) return known;
    await sync.lookUp(known, context.signal, anew);
    const walked = walkFor(state.state, caller, text);
    if (isRefusal(walked)) throw SluiceError.of(walked);
    return walked;
  }

  #asker(context: OperationContext): Asker {
    const principal = this.#parts.callers.of(context.principal);
    const { requestId, signal } = context;
    return requestId === undefined ? { principal, signal } : { principal, requestId, signal };
  }

  /** Leaves the context's signal alone: it is made only for who reads it. */
  #propose(command: Command, context: OperationContext): Promise<Outcome> {
    const principal = this.#parts.callers.of(context.principal);
    const { requestId } = context;
    return this.#parts.state.propose(command, requestId === undefined ? { principal } : { principal, requestId });
  }
}

/** The table that the wire serves. Every operation needs the leader; others are told where it is. */
export function metadataHandlers(parts: MetadataParts): OperationHandlers {
  const service = new MetadataService(parts);
  function handler<N extends OperationName>(name: N, run: OperationHandlers[N]): OperationHandlers[N] {
    return parts.metrics.measured(name, parts.gate, run) as OperationHandlers[N];
  }
  return Object.freeze({
    createFile: handler('createFile', (request, context) => service.createFile(request, context)),
    completeFile: handler('completeFile', (request, context) => service.completeFile(request, context)),
    makeDirectory: handler('makeDirectory', (request, context) => service.makeDirectory(request, context)),
    delete: handler('delete', (request, context) => service.delete(request, context)),
    rename: handler('rename', (request, context) => service.rename(request, context)),
    setAttributes: handler('setAttributes', (request, context) => service.setAttributes(request, context)),
    getStatus: handler('getStatus', (request, context) => service.getStatus(request, context)),
    exists: handler('exists', (request, context) => service.exists(request, context)),
    listStatus: handler('listStatus', (request, context) => service.listStatus(request, context)),
    mount: handler('mount', (request, context) => service.mount(request, context)),
    unmount: handler('unmount', (request, context) => service.unmount(request, context)),
    getMountTable: handler('getMountTable', () => service.getMountTable()),
    getWorkers: handler('getWorkers', () => service.getWorkers()),
  });
}
