import type { Clock, Timers } from '../base/clock.ts';
import type { Random } from '../base/random.ts';
import type { Logger } from '../host/logger.ts';
import type { Metrics } from '../host/metrics.ts';
import type { SluiceError } from '../model/errors.ts';
import type { LogStore, StoredLog } from '../raft/log-store.ts';
import type { Membership } from '../raft/membership.ts';
import type { RaftLimits } from '../raft/options.ts';
import type { NodeId } from '../raft/position.ts';
import type { Transport, TransportListener } from '../raft/transport.ts';
import type { LevelStateStore } from './level-state-store.ts';
import type { SnapshotExchangeParts } from './snapshot-exchange.ts';

/** Connections with the members. */
export interface MemberLinks extends Transport {
  /** Connects with these instead; addresses by id. */
  setPeers(addresses: ReadonlyMap<NodeId, string>): void;
}

/** What a journal is made of. */
export interface JournalParts {
  readonly id: NodeId;
  /** The members as long as no entry of the log has changed them: the first ones, or nobody in who came later. */
  readonly birth: Membership;
  readonly limits: RaftLimits;
  readonly tickMs: number;
  /** Memory for entries that peers are sent from. */
  readonly recentBytes: number;
  /** What stays on disk behind the last applied entry. */
  readonly keepEntries: number;
  readonly keepBytes: number;
  /** Open. */
  readonly log: LogStore;
  /** What `log.open` told. */
  readonly stored: StoredLog;
  readonly state: LevelStateStore;
  readonly snapshots: Pick<SnapshotExchangeParts, 'folder' | 'bandwidth' | 'link'>;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** Connects to the members, whose addresses by id are given; called once. */
  connect(listener: TransportListener, addresses: ReadonlyMap<NodeId, string>): MemberLinks;
  /** The journal has stopped for ever and answers nobody: the process must report the error and exit. Called once. */
  onFatal(error: SluiceError): void;
  /** This master was a member and is none any more; others lead. The process must say so and exit. Called once. */
  onRemoved(): void;
}
