import type { Clock } from '../../src/base/clock.ts';
import type { Leadership, ReplicatedState, StateListener } from '../../src/master/replicated-state.ts';
import { apply } from '../../src/model/apply.ts';
import type { Command, Notice, Outcome } from '../../src/model/command.ts';
import { SluiceError } from '../../src/model/errors.ts';
import { MemoryStateStore } from '../../src/model/memory-state-store.ts';
import type { RequestId } from '../../src/model/operations.ts';
import type { Caller } from '../../src/model/principal.ts';
import type { QuorumInfo } from '../../src/model/report.ts';

/** The caller that may do everything. */
export const ROOT_CALLER: Caller = { user: 'root', groups: ['root'], superuser: true };

/** The state that several `LocalState`s share, as the masters of a cluster do. */
export interface SharedState {
  readonly store: MemoryStateStore;
  index: number;
}

export function sharedState(): SharedState {
  return { store: new MemoryStateStore(), index: 0 };
}

/**
 * A journal of one master: applies what is proposed in a later turn. Leadership is given and taken by the test; a
 * proposal
 * that meets its end may be told to take effect or not.
 */
export class LocalState implements ReplicatedState {
  readonly state: MemoryStateStore;
  readonly #shared: SharedState;
  readonly commands: Command[] = [];
  readonly #clock: Clock;
  readonly #listeners = new Set<StateListener>();
  #leadership: Leadership;
  /** Asked before each proposal enters the journal; throwing refuses it. */
  before: (command: Command) => void | Promise<void> = () => undefined;
  /** Asked after a command was applied, before it is answered; throwing loses the answer. */
  after: (command: Command) => void | Promise<void> = () => undefined;

  /** Whether reads are confirmed while another master leads. */
  confirmed = false;
  /** Another master leads, which this one has not heard of yet. */
  deposed = false;
  /** How often somebody asked whether this master still leads. */
  barriers = 0;
  /** What happens before that is answered. */
  beforeBarrier: () => void | Promise<void> = () => undefined;

  constructor(
    clock: Clock,
    options: { readonly leading?: boolean; readonly format?: boolean; readonly shared?: SharedState } = {},
  ) {
    this.#clock = clock;
    this.#shared = options.shared ?? sharedState();
    this.state = this.#shared.store;
    this.#leadership = { leading: options.leading ?? true, term: 1, leader: 'm1' };
    if (options.format === false || this.state.get('cluster', '') !== undefined) return;
    this.#apply({ kind: 'format', clusterId: 'test', owner: 'root', group: 'root' }, { principal: ROOT_CALLER });
  }

  async propose(
    command: Command,
    by: { readonly principal: Caller; readonly requestId?: RequestId },
  ): Promise<Outcome> {
    this.#mustLead();
    await Promise.resolve();
    await this.before(command);
    this.#mustLead();
    const outcome = this.#apply(command, by);
    await this.after(command);
    return outcome;
  }

  async barrier(): Promise<void> {
    this.barriers += 1;
    await this.beforeBarrier();
    if (!this.confirmed) this.#mustLead();
    await Promise.resolve();
    if (!this.confirmed) this.#mustLead();
  }

  leadership(): Leadership {
    return this.#leadership;
  }

  quorum(): QuorumInfo {
    const { index } = this.#shared;
    const { leader = '', term } = this.#leadership;
    const indexes = { commitIndex: index, appliedIndex: index, lastIndex: index };
    return { clusterId: 'test', self: 'm1', leader, term, ...indexes, changing: false, members: [] };
  }

  async transferLeadership(to = 'm2'): Promise<string> {
    this.lead(to === 'm1', to);
    return to;
  }

  subscribe(listener: StateListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  lead(leading: boolean, leader: string | undefined = leading ? 'm1' : 'm2'): void {
    this.#leadership = { leading, term: this.#leadership.term + 1, leader };
    for (const listener of this.#listeners) listener.leadershipChanged?.(this.#leadership);
  }

  /** How many commands of a kind were applied. */
  count(kind: Command['kind']): number {
    return this.commands.filter((command) => command.kind === kind).length;
  }

  #mustLead(): void {
    if (this.deposed || !this.#leadership.leading) throw new SluiceError('NOT_LEADER', 'Does not lead');
  }

  #apply(command: Command, by: { readonly principal: Caller; readonly requestId?: RequestId }): Outcome {
    const { principal, requestId } = by;
    const stamp = { atMs: this.#clock.wallMs(), principal, command };
    const { outcome, notices } = apply(this.state, requestId === undefined ? stamp : { ...stamp, requestId });
    this.commands.push(command);
    this.#tell(++this.#shared.index, notices);
    return outcome;
  }

  #tell(index: number, notices: readonly Notice[]): void {
    for (const listener of this.#listeners) listener.applied?.(index, notices);
  }
}
