import type { Clock } from '../base/clock.ts';
import { COUNT_BUCKETS, type Counter, type Histogram, type Metrics, SECONDS_BUCKETS } from '../host/metrics.ts';
import type { Role } from '../raft/effect.ts';
import { CommitStages } from './commit-stages.ts';
import { PeerContacts } from './peer-contacts.ts';

/** Bounds for bytes of a batch, 256 B to 16 MiB. */
const BYTE_BUCKETS: readonly number[] = Array.from({ length: 9 }, (_, i) => 256 * 4 ** i);

/** What the journal counts while it works: by turns, writes and slices, never by single proposals. */
export class JournalMetrics {
  readonly stages: CommitStages;
  readonly contacts: PeerContacts;
  readonly #turn: Histogram;
  readonly #turnEvents: Histogram;
  readonly #writeSeconds: Histogram;
  readonly #writeEntries: Histogram;
  readonly #writeBytes: Histogram;
  readonly #applySeconds: Histogram;
  readonly #appliedEntries: Counter;
  readonly #stalls: Histogram;
  readonly #proposals: Counter;
  readonly #unknown: Counter;
  readonly #dropped: Counter;
  readonly #questionReads: Histogram;
  readonly #readWait: Histogram;
  readonly #roleChanges: Counter;
  readonly #campaigns: Counter;
  readonly #preVotesLost: Counter;
  readonly #won: Counter;
  readonly #lost: Counter;
  #role: Role = 'follower';

  constructor(metrics: Metrics, clock: Clock) {
    this.stages = new CommitStages(metrics, clock);
    this.contacts = new PeerContacts(metrics, clock);
    const named = (noun: string, doc: string, buckets: readonly number[]) =>
      metrics.histogram(`sluice_master_${noun}`, doc, buckets);
    const seconds = (noun: string, doc: string) => named(`${noun}_seconds`, doc, SECONDS_BUCKETS);
    const count = (noun: string, doc: string) => metrics.counter(`sluice_master_${noun}_total`, doc);
    this.#turn = seconds('raft_turn', 'Duration of one turn of the journal');
    this.#turnEvents = named('raft_turn_events', 'What arrived for one turn', COUNT_BUCKETS);
    this.#writeSeconds = seconds('journal_write', 'Duration of one synced write of the journal');
    this.#writeEntries = named('journal_write_entries', 'Entries of one write', COUNT_BUCKETS);
    this.#writeBytes = named('journal_write_bytes', 'Bytes of one write', BYTE_BUCKETS);
    this.#applySeconds = seconds('apply_slice', 'Duration of one slice of applying');
    this.#appliedEntries = count('applied_entries', 'Journal entries applied');
    this.#stalls = seconds('raft_stall', 'How late ticks were after this process stood still; no campaign follows it');
    this.#proposals = count('journal_proposals', 'Proposals that came to the journal');
    this.#unknown = count('journal_proposals_unknown', 'Proposals whose fate was unknown when leadership was lost');
    this.#dropped = count('journal_proposals_dropped', 'Proposals that never entered the journal');
    this.#questionReads = named('read_question_readers', 'Readers behind one question to Raft', COUNT_BUCKETS);
    this.#readWait = seconds('read_wait', 'How long readers waited until the state was fresh enough');
    this.#roleChanges = count('raft_role_changes', 'Changes of role, term or leader');
    this.#campaigns = count('raft_campaigns', 'Campaigns begun, with pre-votes or on request of a leader');
    this.#preVotesLost = count('raft_prevotes_lost', 'Campaigns that ended before the vote');
    this.#won = count('raft_elections_won', 'Campaigns that made this master leader');
    this.#lost = count('raft_elections_lost', 'Campaigns that were voted upon and not won');
  }

  /** @param proposals how many of the events they are */
  turned(events: number, proposals: number, ms: number): void {
    this.#turn.observe(ms / 1000);
    this.#turnEvents.observe(events);
    this.#proposals.add(proposals);
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

  asked(readers: number): void {
    this.#questionReads.observe(readers);
  }

  readsWaited(readers: number, ms: number): void {
    this.#readWait.observe(ms / 1000, readers);
  }

  roleChanged(role: Role): void {
    const before = this.#role;
    this.#role = role;
    this.#roleChanges.add(1);
    if (role === 'preCandidate' || (role === 'candidate' && before === 'follower')) this.#campaigns.add(1);
    if (before === 'preCandidate' && role !== 'candidate') this.#preVotesLost.add(1);
    if (role === 'leader') this.#won.add(1);
    if (before === 'candidate' && role !== 'leader') this.#lost.add(1);
  }

  lost(unknown: number): void {
    this.#unknown.add(unknown);
  }

  dropped(): void {
    this.#dropped.add(1);
  }
}
