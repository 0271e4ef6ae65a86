import type { MetadataCalls } from '../../src/client/metadata-calls.ts';
import { apply } from '../../src/model/apply.ts';
import type { Command } from '../../src/model/command.ts';
import { SluiceError } from '../../src/model/errors.ts';
import { listPage } from '../../src/model/listing.ts';
import { MemoryStateStore } from '../../src/model/memory-state-store.ts';
import { statusOf } from '../../src/model/namespace.ts';
import type { OperationName, Operations } from '../../src/model/operations.ts';
import type { Caller } from '../../src/model/principal.ts';
import { isRefusal } from '../../src/model/refusal.ts';
import { fileStatus } from '../../src/model/status.ts';
import type { WorkerList } from '../../src/model/worker.ts';

/** What happens to an operation before the masters see it. */
export type Interference = (name: OperationName, request: unknown) => void | Promise<void>;

const BLOCK_BYTES = 64 * 2 ** 20;

/** The masters without Raft and UFS: `apply` on a store in memory. */
export class FakeMasters implements MetadataCalls {
  readonly store = new MemoryStateStore();
  readonly calls: { readonly name: OperationName; readonly request: unknown }[] = [];
  /** Stands before each operation; throw to refuse it. */
  interfere: Interference = () => undefined;
  workers: WorkerList = { version: 1, workers: [] };
  caller: Caller;
  #nowMs = 1_700_000_000_000;

  constructor(user = 'root') {
    this.caller = { user, groups: ['staff'], superuser: true };
    this.#apply({ kind: 'format', clusterId: 'c', owner: user, group: 'staff' });
  }

  async call<N extends OperationName>(name: N, request: Operations[N]['request']): Promise<Operations[N]['reply']> {
    this.calls.push({ name, request });
    await this.interfere(name, request);
    return (await this.#run({ name, request } as Call)) as Operations[N]['reply'];
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  async #run({ name, request }: Call): Promise<unknown> {
    switch (name) {
      case 'createFile': {
        const blockSizeBytes = request.blockSizeBytes === 0 ? BLOCK_BYTES : request.blockSizeBytes;
        const ufsVersion = request.empty && request.writeType !== 'MUST_CACHE' ? 'empty' : '';
        return this.#apply({ kind: 'createFile', ...request, blockSizeBytes, ufsVersion });
      }
      case 'makeDirectory':
        return this.#apply({ kind: name, ...request, persisted: false });
      case 'rename':
        return this.#apply({ kind: name, ...request, ufsVersion: '' });
      case 'completeFile':
      case 'delete':
      case 'setAttributes':
      case 'mount':
      case 'unmount':
        return this.#apply({ kind: name, ...request } as Command);
      case 'getStatus':
        return orThrow(statusOf(this.store, this.caller, request.path));
      case 'exists':
        return { exists: !isRefusal(statusOf(this.store, this.caller, request.path)) };
      case 'listStatus':
        return orThrow(await listPage(this.store, this.caller, request, () => Promise.resolve()));
      case 'getMountTable':
        return { mounts: this.store.rows('mount').map(({ row }) => row) };
      case 'getWorkers':
        return this.workers;
    }
  }

  #apply(command: Command): unknown {
    const { outcome } = apply(this.store, { atMs: this.#nowMs++, principal: this.caller, command });
    if (outcome.kind === 'refused') throw SluiceError.of(outcome.refusal);
    if (outcome.kind === 'inode') return fileStatus(outcome);
    return outcome.kind === 'mount' ? outcome.mount : {};
  }
}

type Call = { [N in OperationName]: { name: N; request: Operations[N]['request'] } }[OperationName];

function orThrow<T>(value: T): Exclude<T, { code: unknown }> {
  if (isRefusal(value)) throw SluiceError.of(value);
  return value as Exclude<T, { code: unknown }>;
}
