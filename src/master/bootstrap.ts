import type { CancelTimer, Timers } from '../base/clock.ts';
import type { Logger } from '../host/logger.ts';
import { SluiceError } from '../model/errors.ts';
import type { MountRequest } from '../model/operations.ts';
import type { Caller } from '../model/principal.ts';
import { whileLeading } from './leader-service.ts';
import type { MountedChanges } from './mounted-changes.ts';
import { requireDone } from './outcomes.ts';
import type { ReplicatedState } from './replicated-state.ts';

export interface BootstrapParts {
  readonly state: ReplicatedState;
  readonly mounted: MountedChanges;
  readonly system: Caller;
  readonly timers: Timers;
  readonly log: Logger;
  readonly clusterId: string;
  /** Group of the root. */
  readonly group: string;
  /** Mounted at `/` in a cluster that never had a mount. */
  readonly root: Omit<MountRequest, 'path'> | undefined;
}

const RETRY_MS = 5_000;

/** What the first leader of a cluster does before anybody: formats the namespace and mounts the root. */
export class Bootstrap {
  readonly #parts: BootstrapParts;
  readonly #stop: () => void;
  #leading = false;
  #running: Promise<void> | undefined;
  #cancel: CancelTimer | undefined;
  #abort = new AbortController();

  constructor(parts: BootstrapParts) {
    this.#parts = parts;
    this.#stop = whileLeading(parts.state, {
      began: () => {
        this.#leading = true;
        this.#abort = new AbortController();
        this.#start();
      },
      ended: () => {
        this.#leading = false;
        this.#cancel?.();
        this.#abort.abort();
      },
    });
  }

  async close(): Promise<void> {
    this.#stop();
    await this.#running;
  }

  #start(): void {
    this.#running ??= this.#run()
      .catch((err: unknown) => {
        if (!this.#leading) return;
        this.#parts.log.error({ err }, 'the namespace cannot be prepared, it is tried again');
        this.#cancel = this.#parts.timers.after(RETRY_MS, () => this.#start());
      })
      .finally(() => {
        this.#running = undefined;
      });
  }

  async #run(): Promise<void> {
    const { state, system, clusterId, group, root, log } = this.#parts;
    const cluster = state.state.get('cluster', '');
    if (cluster !== undefined && cluster.clusterId !== clusterId) {
      const message = `The namespace belongs to cluster ${cluster.clusterId}, not to ${clusterId}: use its data folder`;
      throw new SluiceError('INVALID_ARGUMENT', message);
    }
    if (cluster === undefined) {
      const format = { kind: 'format', clusterId, owner: system.user, group } as const;
      requireDone(await state.propose(format, { principal: system }));
      log.info({ clusterId }, 'the namespace is formatted');
    }
    if (root === undefined || state.state.get('counters', '')?.nextMountId !== 1) return;
    const mount = { ...root, kind: 'mount', path: '/' } as const;
    requireDone(await this.#parts.mounted.mount(mount, { principal: system, signal: this.#abort.signal }));
    log.info({ uri: root.uri }, 'the root is mounted');
  }
}
