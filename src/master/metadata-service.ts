import type { Clock } from '../base/clock.ts';
import type { Command, CommandOf, Outcome } from '../model/command.ts';
import type { OperationName, Operations, StandbyRead } from '../model/operations.ts';
import type { WorkerList } from '../model/worker.ts';
import type { OperationContext, OperationHandlers } from '../wire/operation-handlers.ts';
import type { Callers } from './callers.ts';
import type { LeaderGate } from './leader-gate.ts';
import type { Asker, MountedChanges } from './mounted-changes.ts';
import { NamespaceReads, type ReadHandlers } from './namespace-reads.ts';
import type { OperationMetrics } from './operation-metrics.ts';
import { mountOfOutcome, requireDone, statusOfOutcome } from './outcomes.ts';
import type { ReplicatedState } from './replicated-state.ts';
import { StandbySync } from './standby-sync.ts';
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

const NOTHING = Object.freeze({});

/**
 * The metadata operations that only the leader does. Changes of paths that no UFS backs go straight into the journal;
 * the others take the way of `MountedChanges`.
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

  async getWorkers() {
    await this.#parts.state.barrier();
    return this.#parts.workers();
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

/**
 * The table that the wire serves. The leader answers every operation; the reads of `STANDBY_READS` any master, to those
 * who ask for that. Others are told where the leader is.
 */
export function metadataHandlers(parts: MetadataParts): OperationHandlers {
  const { gate, metrics } = parts;
  const service = new MetadataService(parts);
  const reads = new NamespaceReads(parts);
  const standby = new NamespaceReads({ ...parts, sync: new StandbySync(parts.state.state, parts.clock) });
  function handler<N extends OperationName>(name: N, run: OperationHandlers[N]): OperationHandlers[N] {
    return metrics.measured(name, gate, run) as OperationHandlers[N];
  }
  function read<N extends StandbyRead>(name: N): OperationHandlers[N] {
    const by = (handlers: ReadHandlers) => (request: Operations[N]['request'], context: OperationContext) =>
      handlers[name](request, context);
    return metrics.measured(name, gate, by(reads), by(standby)) as OperationHandlers[N];
  }
  return Object.freeze({
    createFile: handler('createFile', (request, context) => service.createFile(request, context)),
    completeFile: handler('completeFile', (request, context) => service.completeFile(request, context)),
    makeDirectory: handler('makeDirectory', (request, context) => service.makeDirectory(request, context)),
    delete: handler('delete', (request, context) => service.delete(request, context)),
    rename: handler('rename', (request, context) => service.rename(request, context)),
    setAttributes: handler('setAttributes', (request, context) => service.setAttributes(request, context)),
    getStatus: read('getStatus'),
    exists: read('exists'),
    listStatus: read('listStatus'),
    getMountTable: read('getMountTable'),
    mount: handler('mount', (request, context) => service.mount(request, context)),
    unmount: handler('unmount', (request, context) => service.unmount(request, context)),
    getWorkers: handler('getWorkers', () => service.getWorkers()),
  });
}
