import { must } from '../base/assert.ts';
import type { Clock } from '../base/clock.ts';
import { SluiceError } from '../model/errors.ts';
import { listPage } from '../model/listing.ts';
import { visibleOptions } from '../model/mount.ts';
import { located, notFound, target, type Walk, walk, walkFor } from '../model/namespace.ts';
import type { ListReply, ListRequest, Operations, StandbyRead } from '../model/operations.ts';
import { isRefusal } from '../model/refusal.ts';
import { fileStatus, type Located } from '../model/status.ts';
import type { OperationContext, OperationHandlers } from '../wire/operation-handlers.ts';
import type { Callers } from './callers.ts';
import { ListingAhead } from './listing-ahead.ts';
import type { ReaderSync } from './reader-sync.ts';
import type { ReplicatedState } from './replicated-state.ts';

export type ReadHandlers = { readonly [N in StandbyRead]: OperationHandlers[N] };

interface NamespaceReadsParts {
  readonly state: ReplicatedState;
  readonly callers: Callers;
  readonly sync: ReaderSync;
  readonly clock: Clock;
}

/**
 * A page of a listing that took so long enters no further directory: its client gives up an operation after some time,
 * and a page may enter a thousand directories of a slow UFS.
 */
const PAGE_MS = 2000;

/** The operations that only read the namespace. Linearizable on every master (`barrier`). */
export class NamespaceReads implements ReadHandlers {
  readonly #parts: NamespaceReadsParts;

  constructor(parts: NamespaceReadsParts) {
    this.#parts = parts;
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
}
