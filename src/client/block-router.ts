import type { Clock } from '../base/clock.ts';
import { HashRing } from '../base/hash-ring.ts';
import type { WorkerList, WorkerState, WorkerStatus } from '../model/worker.ts';

/** A worker as a place for a block. */
export interface Candidate {
  readonly id: string;
  readonly address: string;
  readonly state: WorkerState;
}

export interface BlockRouterOptions {
  /** Asks the masters. */
  fetchWorkers(): Promise<WorkerList>;
  readonly clock: Clock;
  /** Age at which the list is asked anew. */
  readonly refreshMs: number;
  /** How long a worker that could not be reached is asked last. */
  readonly banMs: number;
}

interface Routes {
  readonly list: WorkerList;
  readonly ring: HashRing;
  readonly byId: ReadonlyMap<string, WorkerStatus>;
  readonly fetchedMs: number;
}

/** A failed refresh, and a failed worker, ask for the next refresh after this long at the earliest. */
const REFRESH_GAP_MS = 500;

/**
 * Says which workers a block belongs to. Every client that sees the same workers gives the same answer, and none asks a
 * master for it: the list of workers is fetched once, and again when it is old or a worker failed.
 */
export class BlockRouter {
  readonly #options: BlockRouterOptions;
  /** Address → when its ban ends. Only known addresses are kept. */
  readonly #bans = new Map<string, number>();
  #routes: Routes | undefined;
  #refreshing: Promise<Routes> | undefined;
  #triedMs = Number.NEGATIVE_INFINITY;
  #doubted = false;

  constructor(options: BlockRouterOptions) {
    this.#options = options;
  }

  /**
   * All workers in the order in which to ask for the block: as the ring has them, those that failed lately behind the
   * others, lost ones last.
   */
  async candidates(fileId: number, block: number): Promise<readonly Candidate[]> {
    const { ring, byId } = await this.#current();
    const now = this.#options.clock.monotonicMs();
    const ranked: Candidate[][] = [[], [], []];
    for (const id of ring.place(fileId, block, byId.size)) {
      const worker = byId.get(id);
      if (worker === undefined) continue;
      const rank = worker.state === 'lost' ? 2 : (this.#bans.get(worker.address) ?? 0) > now ? 1 : 0;
      ranked[rank]?.push({ id, address: worker.address, state: worker.state });
    }
    return ranked.flat();
  }

  /** What is known is of another cluster. */
  forget(): void {
    this.#routes = undefined;
    this.#bans.clear();
  }

  /** The worker could not be reached: others come first for a while, and the masters are asked who lives. */
  failed(address: string): void {
    this.#bans.set(address, this.#options.clock.monotonicMs() + this.#options.banMs);
    this.#doubted = true;
  }

  /** The worker answered. */
  reached(address: string): void {
    this.#bans.delete(address);
  }

  /** The list as the masters have it now. */
  async refresh(): Promise<WorkerList> {
    return (await this.#fetch()).list;
  }

  /** An old list serves while the new one is fetched; without a live worker the new one is awaited. */
  async #current(): Promise<Routes> {
    const routes = this.#routes;
    if (routes === undefined) return this.#fetch();
    const now = this.#options.clock.monotonicMs();
    const live = routes.list.workers.some((worker) => worker.state === 'live');
    const old = this.#doubted || !live || now - routes.fetchedMs >= this.#options.refreshMs;
    if (!old || now - this.#triedMs < REFRESH_GAP_MS) return routes;
    const fetched = this.#fetch().catch(() => routes);
    return live ? routes : fetched;
  }

  #fetch(): Promise<Routes> {
    this.#refreshing ??= this.#fetchOnce().finally(() => {
      this.#refreshing = undefined;
    });
    return this.#refreshing;
  }

  async #fetchOnce(): Promise<Routes> {
    this.#triedMs = this.#options.clock.monotonicMs();
    this.#doubted = false;
    const list = await this.#options.fetchWorkers();
    const before = this.#routes;
    const ring = before !== undefined && sameRing(before.list, list) ? before.ring : ringOf(list);
    const byId = new Map(list.workers.map((worker) => [worker.id, worker]));
    this.#routes = { list, ring, byId, fetchedMs: this.#options.clock.monotonicMs() };
    const addresses = new Set(list.workers.map((worker) => worker.address));
    for (const address of this.#bans.keys()) if (!addresses.has(address)) this.#bans.delete(address);
    return this.#routes;
  }
}

/** Lost workers keep their place, so that they find their blocks when they return. */
function ringOf(list: WorkerList): HashRing {
  return new HashRing(list.workers.map((worker) => ({ id: worker.id, weight: Math.max(1, worker.capacityBytes) })));
}

function sameRing(a: WorkerList, b: WorkerList): boolean {
  return (
    a.workers.length === b.workers.length &&
    a.workers.every((worker, index) => {
      const other = b.workers[index];
      return other?.id === worker.id && other.capacityBytes === worker.capacityBytes;
    })
  );
}
