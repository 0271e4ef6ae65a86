import {
  COUNT_BUCKETS,
  type Counter,
  type Gauge,
  type Histogram,
  type Metrics,
  SECONDS_BUCKETS,
} from '../host/metrics.ts';
import type { Role } from '../raft/effect.ts';

/** Numbers of the roles in the metric. */
const ROLES: Readonly<Record<Role, number>> = { follower: 0, preCandidate: 1, candidate: 2, leader: 3 };

/** Bounds for bytes of a batch, 256 B to 16 MiB. */
const BYTE_BUCKETS: readonly number[] = Array.from({ length: 9 }, (_, i) => 256 * 4 ** i);

/** What the journal tells of itself. */
export class JournalMetrics {
  readonly #turn: Histogram;
  readonly #writeSeconds: Histogram;
  readonly #writeEntries: Histogram;
  readonly #writeBytes: Histogram;
  readonly #applySeconds: Histogram;
  readonly #appliedEntries: Counter;
  readonly #role: Gauge;
  readonly #term: Gauge;
  readonly #stalls: Histogram;
  readonly #roleChanges: Counter;
  readonly #unknown: Counter;
  readonly #dropped: Counter;

  constructor(metrics: Metrics) {
    const seconds = (noun: string, doc: string) =>
      metrics.histogram(`sluice_master_${noun}_seconds`, doc, SECONDS_BUCKETS);
    const count = (noun: string, doc: string) => metrics.counter(`sluice_master_${noun}_total`, doc);
    this.#turn = seconds('raft_turn', 'Duration of one turn of the journal');
    this.#writeSeconds = seconds('journal_write', 'Duration of one synced write of the journal');
    this.#writeEntries = metrics.histogram(
      'sluice_master_journal_write_entries',
      'Entries of one write',
      COUNT_BUCKETS,
    );
    this.#writeBytes = metrics.histogram('sluice_master_journal_write_bytes', 'Bytes of one write', BYTE_BUCKETS);
    this.#applySeconds = seconds('apply_slice', 'Duration of one slice of applying');
    this.#appliedEntries = count('applied_entries', 'Journal entries applied');
    this.#role = metrics.gauge('sluice_master_raft_role_number', '0 follower, 1 pre-candidate, 2 candidate, 3 leader');
    this.#term = metrics.gauge('sluice_master_raft_term_number', 'Term that this master is in');
    this.#stalls = seconds('raft_stall', 'How late ticks were after this process stood still');
    this.#roleChanges = count('raft_role_changes', 'Changes of role, term or leader');
    this.#unknown = count('journal_proposals_unknown', 'Proposals whose fate was unknown when leadership was lost');
    this.#dropped = count('journal_proposals_dropped', 'Proposals that never entered the journal');
  }

  turned(ms: number): void {
    this.#turn.observe(ms / 1000);
  }

  wrote(entries: number, bytes: number, ms: number): void {
    this.#writeEntries.observe(entries);
    this.#writeBytes.observe(bytes);
    this.#writeSeconds.observe(ms / 1000);
  }

  applied(entries: number, ms: number): void {
    this.#appliedEntries.add(entries);
    this.#applySeconds.observe(ms / 1000);
  }

  stalled(ms: number): void {
    this.#stalls.observe(ms / 1000);
  }

  roleChanged(role: Role, term: number): void {
    this.#roleChanges.add(1);
    this.#role.set(ROLES[role]);
    this.#term.set(term);
  }

  lost(unknown: number): void {
    this.#unknown.add(unknown);
  }

  dropped(): void {
    this.#dropped.add(1);
  }
}

/** What is read when somebody asks for the metrics. */
export interface JournalGauges {
  commit(): number;
  applied(): number;
  last(): number;
  waiting(): number;
  ringBytes(): number;
  pendingRows(): number;
  cachedBytes(): number;
}

export function exposeGauges(metrics: Metrics, read: JournalGauges): void {
  const gauge = (noun: string, doc: string, value: () => number) =>
    metrics.gaugeOf(`sluice_master_${noun}`, doc, value);
  gauge('journal_commit_index', 'Last entry known to be committed', read.commit);
  gauge('journal_applied_index', 'Last entry applied', read.applied);
  gauge('journal_last_index', 'Last entry of the journal', read.last);
  gauge('journal_waiting_proposals', 'Proposals that wait for their outcome', read.waiting);
  gauge('journal_recent_bytes', 'Memory of recent entries', read.ringBytes);
  gauge('state_pending_rows', 'Changed rows that are not on disk', read.pendingRows);
  gauge('state_cache_bytes', 'Memory of decoded rows', read.cachedBytes);
}
