import type { CancelTimer, Clock, Timers } from '../base/clock.ts';
import type { Logger } from '../host/logger.ts';
import { SluiceError } from '../model/errors.ts';
import { type MemberInfo, memberName } from '../raft/membership.ts';
import type { NodeId } from '../raft/position.ts';
import type { Greeting } from '../wire/greeting.ts';
import { sayHello } from '../wire/hello.ts';
import { type BirthDecision, decideBirth } from './birth.ts';
import { clusterIdOf } from './cluster-id.ts';
import type { BornBinding, UnbornBinding } from './folder-binding.ts';
import type { MasterPlace } from './master-place.ts';

export interface BirthParts {
  readonly binding: UnbornBinding;
  readonly place: MasterPlace;
  readonly token: string;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly logger: Logger;
}

const ASK_TIMEOUT_MS = 2_000;
const ASK_FIRST_MS = 50;
const ASK_MAX_MS = 1_000;
const SAY_MS = 5_000;

/** A master with an empty folder, which asks the others until it knows what it belongs to. */
export class AwaitedBirth {
  readonly #parts: BirthParts;
  readonly #heard = new Map<string, Greeting>();
  /** Asks a master at once, by its name. */
  readonly #hurry = new Map<string, () => void>();
  readonly #cancelSay: CancelTimer;
  readonly #settled: Promise<BornBinding>;
  #settle: (binding: BornBinding) => void = () => undefined;
  #fail: (error: SluiceError) => void = () => undefined;
  #over = false;
  #missing: readonly string[] = [];
  /** What masters say that will not talk to this one, by their names. */
  readonly #refusals = new Map<string, string>();

  constructor(parts: BirthParts) {
    this.#parts = parts;
    this.#settled = new Promise((resolve, reject) => {
      this.#settle = resolve;
      this.#fail = reject;
    });
    // Whoever gives up may have nobody that waits.
    this.#settled.catch(() => undefined);
    this.#cancelSay = parts.timers.every(SAY_MS, () => this.#say());
    this.#decide();
    for (const [name, address] of parts.place.others) void this.#ask(name, address);
  }

  /** What this master belongs to. @throws SluiceError CANCELLED */
  get settled(): Promise<BornBinding> {
    return this.#settled;
  }

  giveUp(): void {
    this.#end(() => this.#fail(new SluiceError('CANCELLED', 'The start was interrupted')));
  }

  /** What the start waits for. */
  get reason(): string {
    const refusals = [...this.#refusals].map(([name, why]) => `${name} refuses this master: ${why}`);
    return `This master has an empty folder and waits for the others: ${[...this.#missing, ...refusals].join('; ')}`;
  }

  /** What this master says of itself. */
  get greeting(): Greeting {
    const { binding, place } = this.#parts;
    const { cluster, address, clientAddress } = place;
    const heard = [binding.id, ...[...this.#heard.values()].map(({ id }) => id)].sort();
    const nothing = { clusterId: '', removed: false, birth: [], committed: undefined, timing: undefined };
    return { cluster, id: binding.id, address, clientAddress, heard, ...nothing };
  }

  /** Answers another master; who says something new is asked at once. */
  answer(sender: Greeting): Greeting {
    const name = memberName(sender.id);
    const known = this.#heard.get(name);
    const news =
      known?.id !== sender.id || known.clusterId !== sender.clusterId || `${known.heard}` !== `${sender.heard}`;
    if (news) this.#hurry.get(name)?.();
    return this.greeting;
  }

  /** Asks one master again and again, one question after the other: see `decideBirth`. */
  async #ask(name: string, address: string): Promise<void> {
    const { token, clock, timers, logger } = this.#parts;
    for (let waitMs = ASK_FIRST_MS; !this.#over; waitMs = Math.min(1.5 * waitMs, ASK_MAX_MS)) {
      let early = false;
      let wake = (): void => {
        early = true;
      };
      this.#hurry.set(name, () => wake());
      try {
        const deadlineMs = clock.wallMs() + ASK_TIMEOUT_MS;
        this.#heard.set(name, await sayHello(this.greeting, { address, token, deadlineMs }));
        this.#refusals.delete(name);
      } catch (thrown) {
        const error = SluiceError.from(thrown);
        const refused = error.code === 'UNAUTHENTICATED' || error.code === 'INVALID_ARGUMENT';
        if (refused) this.#refusals.set(name, error.message);
        else this.#refusals.delete(name);
        logger.debug({ peer: name, err: thrown }, 'no hello from a master');
        this.#heard.delete(name);
      }
      this.#decide();
      if (this.#over) return;
      await new Promise<void>((resolve) => {
        const cancel = timers.after(early ? 0 : waitMs, resolve);
        wake = () => {
          cancel();
          resolve();
        };
      });
    }
  }

  #decide(): void {
    if (this.#over) return;
    const { binding, place } = this.#parts;
    const { cluster, listed, others } = place;
    const decision = decideBirth({ cluster, self: binding.id, listed, others: [...others.keys()], heard: this.#heard });
    if (decision.kind === 'wait') this.#missing = decision.missing;
    else this.#end(() => this.#settle(this.#born(decision)));
  }

  #born(decision: Exclude<BirthDecision, { kind: 'wait' }>): BornBinding {
    const { binding, place, logger } = this.#parts;
    const { cluster } = place;
    const { member, id } = binding;
    const bound = { state: 'member', cluster, member, id } as const;
    if (decision.kind === 'found') {
      const clusterId = clusterIdOf(cluster, decision.roster);
      logger.info({ clusterId, masters: decision.roster }, 'a new cluster');
      return { ...bound, clusterId, birth: decision.roster.map((each) => this.#info(each, undefined)) };
    }
    const { clusterId } = decision;
    if (decision.kind === 'born') {
      const birth = decision.roster.map((info) => this.#info(info.id, info));
      logger.info({ clusterId, masters: birth.map((each) => each.id) }, 'one of the first masters of a new cluster');
      return { ...bound, clusterId, birth };
    }
    const add = `sluice admin quorum add ${member}=${place.address}`;
    const { replaces } = decision;
    if (replaces === undefined) logger.info({ clusterId, way: add }, 'this master waits to be added to its cluster');
    else {
      const fields = { clusterId, member: replaces, way: `if that disk is lost, run: ${add}; else use its folder` };
      logger.error(fields, 'this folder is empty, but the cluster knows a master of this name with data');
    }
    return { ...bound, clusterId, birth: [] };
  }

  /** What is known of a first member: addresses as this master was told them, then as others say. */
  #info(id: NodeId, told: MemberInfo | undefined): MemberInfo {
    const { binding, place } = this.#parts;
    if (id === binding.id) return { id, address: place.address, clientAddress: place.clientAddress, priority: 0 };
    const name = memberName(id);
    const said = this.#heard.get(name);
    const address = place.others.get(name) ?? told?.address ?? said?.address ?? '';
    const clientAddress = told?.clientAddress || said?.clientAddress || place.clientAddressOf(name);
    return { id, address, clientAddress, priority: told?.priority ?? 0 };
  }

  #say(): void {
    const way = 'start them all; a new cluster begins when each has heard all of master.peers';
    this.#parts.logger.warn({ missing: this.#missing, way }, 'this master has an empty folder and waits for others');
  }

  #end(how: () => void): void {
    if (this.#over) return;
    this.#over = true;
    this.#cancelSay();
    for (const wake of this.#hurry.values()) wake();
    how();
  }
}
