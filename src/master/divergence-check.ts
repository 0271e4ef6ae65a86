import type { CancelTimer, Clock, Timers } from '../base/clock.ts';
import type { Logger } from '../host/logger.ts';
import { type Counter, type Histogram, type Metrics, SECONDS_BUCKETS } from '../host/metrics.ts';
import type { DigestVerdict, Notice } from '../model/command.ts';
import { SluiceError } from '../model/errors.ts';
import type { Caller } from '../model/principal.ts';
import type { DigestRound, QuorumMember, StateDigest } from '../model/report.ts';
import { compareDigests } from './digest-comparison.ts';
import { whileLeading } from './leader-service.ts';
import type { ReplicatedState } from './replicated-state.ts';
import { digestState } from './state-digest.ts';
import type { StateView } from './state-view.ts';

export interface DivergenceCheckParts {
  /** Name of this master. */
  readonly self: string;
  readonly state: ReplicatedState;
  /** Who proposes. */
  readonly system: Caller;
  readonly version: string;
  /** Between two comparisons; -1: never by itself. */
  readonly intervalMs: number;
  /** Of a core, for taking digests; above 0 and at most 1. */
  readonly share: number;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** All rows as of the entry that was applied last. */
  view(): StateView;
  /** Asks another master; waits as long as it lives. */
  ask(address: string, index: number): Promise<StateDigest>;
  /** This master cannot read its state: it must stop. */
  stop(error: SluiceError): void;
  /** The state of this master is wrong: it must stop, and not start with this state again. */
  condemn(error: SluiceError): void;
}

/** A digest that is there or is being taken. */
interface Taken {
  readonly index: number;
  readonly digest: Promise<StateDigest>;
}

/** How long a master waits for the entry at which it is asked for its digest. */
const PATIENCE_MS = 60_000;

/**
 * Compares the states of all masters. The leader puts an order to take a digest into the journal; every master, when it
 * applies it, takes a view of its state and reads it at its leisure. The leader collects the digests. When they are not
 * all the same, the verdict goes through the journal too, so that each master acts by itself: who differs from what
 * more than half of the voters have stops, also when it is the leader; without such a majority nobody stops, because
 * nobody knows who is right, and everybody says so. Who cannot read its own rows stops in any case.
 */
export class DivergenceCheck {
  readonly #parts: DivergenceCheckParts;
  readonly #rounds: Readonly<Record<DigestRound['outcome'], Counter>>;
  readonly #mismatches: Counter;
  readonly #seconds: Histogram;
  readonly #stops: readonly (() => void)[];
  readonly #closing = new AbortController();
  /** Entries up to here were in the journal when this master started: nobody waits for digests of that time. */
  readonly #replayedTo: number;
  #taken: Taken | undefined;
  #taking: Promise<unknown> = Promise.resolve();
  #busy = false;
  #round: Promise<DigestRound> | undefined;
  #cancel: CancelTimer | undefined;
  readonly #waiting = new Set<() => void>();

  constructor(parts: DivergenceCheckParts) {
    const { state, timers, metrics, intervalMs } = parts;
    this.#parts = parts;
    this.#replayedTo = state.quorum().lastIndex;
    const round = (outcome: string) =>
      metrics.counter('sluice_master_digest_rounds_total', 'Comparisons of the states of all masters', { outcome });
    this.#rounds = { same: round('same'), different: round('different'), incomplete: round('incomplete') };
    const doc = 'Comparisons, known to this master, in which states were not all the same';
    this.#mismatches = metrics.counter('sluice_master_digest_mismatches_total', doc);
    const taken = 'How long taking a digest of the state took';
    this.#seconds = metrics.histogram('sluice_master_digest_seconds', taken, SECONDS_BUCKETS);
    const unsubscribe = state.subscribe({
      applied: (index, notices) => {
        if (notices.length > 0) this.#noticed(index, notices);
      },
    });
    const stopLeading = whileLeading(state, {
      began: () => {
        if (intervalMs >= 0) this.#cancel = timers.every(intervalMs, () => this.#compareNow());
      },
      ended: () => this.#cancel?.(),
    });
    this.#stops = [unsubscribe, stopLeading];
  }

  /** Compares now; one comparison at a time. @throws SluiceError NOT_LEADER, UNAVAILABLE */
  compare(): Promise<DigestRound> {
    this.#round ??= this.#compare().finally(() => {
      this.#round = undefined;
    });
    return this.#round;
  }

  /**
   * The digest as entry `index` left the state; waits until that entry is applied and the digest is there.
   * @throws SluiceError NOT_FOUND when this master has not taken it then
   */
  async digestAt(index: number): Promise<StateDigest> {
    const { state, timers } = this.#parts;
    if (this.#taken?.index !== index && state.quorum().appliedIndex < index)
      await new Promise<void>((resolve) => {
        const look = () => {
          cancel();
          this.#waiting.delete(look);
          resolve();
        };
        const cancel = timers.after(PATIENCE_MS, look);
        this.#waiting.add(look);
      });
    if (this.#taken?.index === index) return this.#taken.digest;
    throw new SluiceError('NOT_FOUND', `Master ${this.#parts.self} took no digest at entry ${index}: ask for another`);
  }

  /** Ends what runs; before the state is closed. */
  async close(): Promise<void> {
    this.#closing.abort();
    for (const stop of this.#stops) stop();
    this.#release();
    await this.#taking;
  }

  #noticed(index: number, notices: readonly Notice[]): void {
    for (const notice of notices) {
      if (notice.kind === 'takeDigest') {
        this.#take(index);
        this.#release();
      } else if (notice.kind === 'judgeDigests') this.#judged(notice);
    }
  }

  /** Between two entries. */
  #take(index: number): void {
    if (this.#busy || index <= this.#replayedTo || this.#closing.signal.aborted) return;
    this.#busy = true;
    const digest = this.#digest(index, this.#parts.view());
    this.#taken = { index, digest };
    this.#taking = digest.catch((thrown: unknown) => this.#failed(thrown));
  }

  async #digest(index: number, view: StateView): Promise<StateDigest> {
    const { self: member, version, clock, timers, share } = this.#parts;
    const beganMs = clock.monotonicMs();
    try {
      const found = await digestState(view, { clock, timers, share, signal: this.#closing.signal });
      this.#seconds.observe((clock.monotonicMs() - beganMs) / 1000);
      return { member, index, ...found, version };
    } finally {
      this.#busy = false;
      await view.close();
    }
  }

  #failed(thrown: unknown): void {
    const error = SluiceError.from(thrown);
    if (error.code === 'CORRUPT') this.#parts.stop(error);
    else if (error.code !== 'CANCELLED') this.#parts.log.error({ err: error }, 'the digest of the state was not taken');
  }

  /** Whoever waits looks again. */
  #release(): void {
    for (const look of [...this.#waiting]) look();
  }

  #compareNow(): void {
    this.compare().catch((err: unknown) => {
      this.#parts.log.warn({ err }, 'states of masters were not compared, it is tried again');
    });
  }

  async #compare(): Promise<DigestRound> {
    const { state, system, self, log } = this.#parts;
    const before = this.#taken;
    const outcome = await state.propose({ kind: 'takeDigest' }, { principal: system });
    if (outcome.kind === 'refused') throw SluiceError.of(outcome.refusal);
    const taken = this.#taken;
    if (taken === undefined || taken === before)
      throw new SluiceError('UNAVAILABLE', `Master ${self} is still taking another digest: try again later`);
    const members = state.quorum().members;
    const reports = await Promise.all(members.map((member) => this.#report(member, taken)));
    const digests = reports.flatMap(({ digest }) => (digest === undefined ? [] : [digest]));
    const voters = members.filter(({ role }) => role !== 'learner').length;
    const comparable = digests.filter(({ version }) => version === this.#parts.version);
    const verdict = compareDigests(comparable, voters);
    const complete = comparable.length === members.length;
    const result = verdict !== undefined ? 'different' : complete ? 'same' : 'incomplete';
    this.#rounds[result].add(1);
    const round: DigestRound = { index: taken.index, outcome: result, reports };
    if (verdict === undefined) log.info({ ...summary(round) }, 'states of masters were compared');
    else await this.#propose(verdict, round);
    return round;
  }

  async #report({ id, address }: QuorumMember, taken: Taken): Promise<DigestRound['reports'][number]> {
    try {
      const own = id === this.#parts.self;
      return { member: id, digest: await (own ? taken.digest : this.#parts.ask(address, taken.index)) };
    } catch (thrown) {
      return { member: id, digest: undefined, missing: SluiceError.from(thrown).message };
    }
  }

  async #propose(verdict: DigestVerdict, round: DigestRound): Promise<void> {
    const { state, system, log } = this.#parts;
    log.error({ ...summary(round), tables: differingTables(round) }, 'states of masters differ');
    const command = { kind: 'judgeDigests' as const, ...verdict };
    const outcome = await state.propose(command, { principal: system });
    if (outcome.kind === 'refused') throw SluiceError.of(outcome.refusal);
  }

  #judged({ index, digest, differing }: DigestVerdict): void {
    const { self, log } = this.#parts;
    const taken = this.#taken;
    // Of comparisons before this master started it knows nothing, nor was its state of now part of them.
    if (taken?.index !== index) return;
    this.#mismatches.add(1);
    log.error({ index, digest, differing }, 'states of masters differ');
    if (!differing.includes(self)) return;
    taken.digest.then(
      (own) => {
        if (own.digest !== digest) this.#parts.condemn(diverged(self, own, digest));
      },
      () => undefined,
    );
  }
}

function diverged(self: string, own: StateDigest, majority: string): SluiceError {
  const short = (digest: string) => digest.slice(0, 12);
  const message =
    `The state of master ${self} differs from that of most masters at entry ${own.index} ` +
    `(digest ${short(own.digest)}, theirs ${short(majority)})`;
  return new SluiceError('CORRUPT', message, { details: { index: own.index } });
}

function summary({ index, outcome, reports }: DigestRound): Record<string, unknown> {
  const digests = reports.map(({ member, digest, missing }) => [member, digest?.digest ?? missing ?? '']);
  return { index, outcome, digests: Object.fromEntries(digests) };
}

/** Where the digests are not all the same. */
function differingTables({ reports }: DigestRound): string[] {
  const seen = new Map<string, Set<string>>();
  for (const { digest } of reports)
    for (const { table, digest: each } of digest?.tables ?? [])
      seen.set(table, (seen.get(table) ?? new Set<string>()).add(each));
  return [...seen].filter(([, digests]) => digests.size > 1).map(([table]) => table);
}
