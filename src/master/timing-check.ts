import type { ValuesOf } from '../host/config/option.ts';
import type { Logger } from '../host/logger.ts';
import type { NodeId } from '../raft/position.ts';
import type { Greeting, RaftTiming } from '../wire/greeting.ts';
import type { quorumOptions } from './options.ts';

export function timingOf({ electionTimeout, heartbeat }: ValuesOf<typeof quorumOptions>): RaftTiming {
  return { electionTimeoutMs: electionTimeout, heartbeatMs: heartbeat };
}

/**
 * Masters with different timing still agree, but the one with the shorter election timeout doubts leaders that nobody
 * else doubts. So every master says hello to the others when it starts, and both compare.
 */
export class TimingCheck {
  readonly #own: RaftTiming;
  readonly #clusterId: string;
  readonly #log: Logger;
  /** What was warned of. */
  readonly #different = new Map<NodeId, string>();

  constructor(own: RaftTiming, clusterId: string, log: Logger) {
    this.#own = own;
    this.#clusterId = clusterId;
    this.#log = log;
  }

  /** Compares with what another master of this cluster says of itself, and warns of each difference once. */
  compare({ id, clusterId, timing }: Greeting): void {
    if (timing === undefined || clusterId !== this.#clusterId) return;
    const [own, theirs] = [textOf(this.#own), textOf(timing)];
    if (theirs === own || this.#different.get(id) === theirs) return;
    this.#different.set(id, theirs);
    this.#log.warn({ peer: id }, `master ${id} has ${theirs}, this one has ${own}: give all masters the same`);
  }

  /** Says hello to all; who does not answer says it when it starts. */
  async ask(addresses: readonly string[], hello: (address: string) => Promise<Greeting>): Promise<void> {
    const asked = addresses.map(async (address) => this.compare(await hello(address)));
    for (const result of await Promise.allSettled(asked))
      if (result.status === 'rejected') this.#log.debug({ err: result.reason as unknown }, 'no hello');
  }
}

function textOf({ electionTimeoutMs, heartbeatMs }: RaftTiming): string {
  return `master.raft.election-timeout ${electionTimeoutMs} ms and master.raft.heartbeat ${heartbeatMs} ms`;
}
