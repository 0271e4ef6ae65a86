import type { Metrics, Reading } from '../host/metrics.ts';
import type { Role } from '../raft/effect.ts';
import type { LogIndex } from '../raft/position.ts';
import type { ProgressState } from '../raft/progress.ts';
import type { Raft, RaftStatus } from '../raft/raft.ts';
import type { AppendPump } from './append-pump.ts';
import type { ApplyPump } from './apply-pump.ts';
import type { JournalReads } from './journal-reads.ts';
import type { JournalRing } from './journal-ring.ts';
import type { LevelStateStore } from './level-state-store.ts';
import type { StoragePump } from './storage-pump.ts';
import type { Waiters } from './waiters.ts';

/** Numbers of the roles in the metric. */
const ROLES: Readonly<Record<Role, number>> = { follower: 0, preCandidate: 1, candidate: 2, leader: 3 };
/** Numbers of a peer's states in the metric. */
const STATES: Readonly<Record<ProgressState, number>> = { probe: 0, replicate: 1, snapshot: 2 };

/** The parts of a journal, which are read when somebody asks for the metrics. */
export interface JournalGauges {
  readonly raft: Raft;
  readonly waiters: Waiters;
  readonly reads: JournalReads;
  readonly ring: JournalRing;
  readonly storage: StoragePump;
  readonly appends: AppendPump;
  readonly apply: ApplyPump;
  readonly state: LevelStateStore;
  /** What has come for the next turn. */
  arriving(): number;
}

export function exposeJournal(metrics: Metrics, read: JournalGauges): void {
  const { raft, apply, storage, state } = read;
  const gauge = (noun: string, doc: string, value: () => number) =>
    metrics.gaugeOf(`sluice_master_${noun}`, doc, value);
  const index = (name: string, doc: string, value: (status: RaftStatus) => number) =>
    gauge(`journal_${name}_index`, doc, () => value(raft.status()));
  gauge('raft_role_number', '0 follower, 1 pre-candidate, 2 candidate, 3 leader', () => ROLES[raft.status().role]);
  gauge('raft_term_number', 'Term that this master is in', () => raft.status().term);
  index('first', 'First entry that the journal keeps', ({ base }) => base.index + 1);
  index('commit', 'Last entry known to be committed', ({ commit }) => commit);
  index('durable', 'Last entry that is on the disk of this master', ({ durable }) => durable);
  index('last', 'Last entry of the journal', ({ last }) => last.index);
  gauge('journal_applied_index', 'Last entry applied', () => state.applied.index);
  gauge('apply_lag_entries', 'Entries that are committed, on disk, and not applied', () => apply.backlog);
  gauge('apply_lag_seconds', 'For how long the oldest of them has been committed', () => apply.lagMs / 1000);
  gauge('journal_write_age_seconds', 'Age of the write in flight, 0 without one', () => storage.ageMs / 1000);
  gauge('state_cache_bytes', 'Memory of rows of the state store', () => state.cachedBytes);
  const counter = (noun: string, doc: string, value: (status: RaftStatus) => number) =>
    metrics.readWhenAsked(`sluice_master_${noun}_total`, 'counter', doc, () => [{ value: value(raft.status()) }]);
  counter('raft_lease_reads', 'Reads that needed no round because of a lease', ({ leaseReads }) => leaseReads);
  counter('raft_read_rounds', 'Rounds by which a leader confirmed reads', ({ readRounds }) => readRounds);
  counter(
    'raft_campaigns_vetoed',
    'Campaigns put off because a write of the own disk took too long',
    ({ campaignsVetoed }) => campaignsVetoed,
  );
  metrics.readWhenAsked('sluice_master_raft_leader_info', 'gauge', 'Who leads, as far as this master knows', () => {
    const { leader } = raft.status();
    return leader === undefined ? [] : [{ labels: { leader }, value: 1 }];
  });
  exposeQueues(metrics, read);
  exposePeers(metrics, raft);
}

/** Name, entries, and bytes where entries are not of one small size. */
type QueueReading = readonly [queue: string, entries: number, bytes?: number];

function exposeQueues(metrics: Metrics, read: JournalGauges): void {
  const { waiters, reads, ring, storage, appends, apply, state } = read;
  const queues = (): readonly QueueReading[] => {
    const { commit, last, uncommittedBytes, pendingReads } = read.raft.status();
    return [
      ['events', read.arriving()],
      ['proposals', waiters.size],
      ['uncommitted', last.index - commit, uncommittedBytes],
      ['recent', ring.count, ring.bytes],
      ['append', appends.waiting],
      ['held', storage.held],
      ['apply', apply.backlog],
      ['state', state.pendingRows],
      ['readers', reads.waiting],
      ['reads', pendingReads],
    ];
  };
  metrics.readWhenAsked('sluice_master_queue_entries', 'gauge', 'What waits in the queues of the journal', () =>
    queues().map(([queue, value]) => ({ labels: { queue }, value })),
  );
  metrics.readWhenAsked('sluice_master_queue_bytes', 'gauge', 'Memory of what waits, where it varies', () =>
    queues().flatMap(([queue, , value]) => (value === undefined ? [] : [{ labels: { queue }, value }])),
  );
}

/** Only a leader knows them. */
function exposePeers(metrics: Metrics, raft: Raft): void {
  type Peer = RaftStatus['peers'] extends ReadonlyMap<string, infer P> ? P : never;
  const each = (noun: string, doc: string, value: (peer: Peer, last: LogIndex) => number) =>
    metrics.readWhenAsked(`sluice_master_peer_${noun}`, 'gauge', doc, (): Reading[] => {
      const { peers, last } = raft.status();
      return [...peers].map(([peer, facts]) => ({ labels: { peer }, value: value(facts, last.index) }));
    });
  each('lag_entries', 'Entries of the leader that a peer has not acknowledged', ({ match }, last) => last - match);
  each('window_frames', 'Append messages on their way to a peer', ({ framesInFlight }) => framesInFlight);
  each('window_bytes', 'Bytes of them', ({ bytesInFlight }) => bytesInFlight);
  each('state_number', '0 probe, 1 replicate, 2 needs a snapshot', ({ state }) => STATES[state]);
}
