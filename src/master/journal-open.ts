import type { Clock, Timers } from '../base/clock.ts';
import type { Random } from '../base/random.ts';
import type { ValuesOf } from '../host/config/option.ts';
import { folderBytes } from '../host/folder-bytes.ts';
import type { Logger } from '../host/logger.ts';
import type { Metrics } from '../host/metrics.ts';
import { SluiceError } from '../model/errors.ts';
import type { Membership } from '../raft/membership.ts';
import { DEFAULT_RAFT_LIMITS, type RaftLimits } from '../raft/options.ts';
import type { NodeId } from '../raft/position.ts';
import type { TransportListener } from '../raft/transport.ts';
import { Journal } from './journal.ts';
import type { MemberLinks } from './journal-parts.ts';
import { LevelStateStore } from './level-state-store.ts';
import { newLogStore } from './new-log-store.ts';
import type { journalOptions, quorumOptions } from './options.ts';
import type { SnapshotLink } from './snapshot-exchange.ts';
import { resumeInstall } from './snapshot-install.ts';
import { checkStatePosition } from './state-position.ts';
import { SHORTEST_TICK } from './ticker.ts';

export interface JournalEnvironment {
  /** Folder for `journal` and `state`; held exclusively by the caller. */
  readonly folder: string;
  readonly id: NodeId;
  /** See `JournalParts`. */
  readonly birth: Membership;
  readonly quorum: ValuesOf<typeof quorumOptions>;
  readonly values: ValuesOf<typeof journalOptions>;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** See `JournalParts`. */
  connect(listener: TransportListener, addresses: ReadonlyMap<NodeId, string>): MemberLinks;
  /** Connects to the snapshots of a member. @throws SluiceError UNAVAILABLE when nobody knows where it is */
  link(member: NodeId): SnapshotLink;
  /** See `JournalParts`. */
  onFatal(error: SluiceError): void;
  /** See `JournalParts`. */
  onRemoved(): void;
}

/** How much slower or faster clocks of two masters may run, as a factor. */
const CLOCK_DRIFT = 0.9;

/** Turns durations into ticks. @throws SluiceError INVALID_ARGUMENT when they do not fit each other. */
export function raftLimits(quorum: ValuesOf<typeof quorumOptions>): RaftLimits {
  const electionTicks = Math.round(quorum.electionTimeout / quorum.tick);
  const heartbeatTicks = Math.max(1, Math.round(quorum.heartbeat / quorum.tick));
  if (electionTicks < 3 * heartbeatTicks)
    throw new SluiceError(
      'INVALID_ARGUMENT',
      `master.raft.election-timeout must be at least three times master.raft.heartbeat and of master.raft.tick`,
    );
  // The first of the ticks that a promise lasts may come at once.
  const promisedMs = Math.floor((electionTicks - 1) * quorum.tick * SHORTEST_TICK * CLOCK_DRIFT);
  const leaseMs = quorum.leaseReads ? promisedMs : 0;
  return { ...DEFAULT_RAFT_LIMITS, electionTicks, heartbeatTicks, stalledWriteTicks: 2 * electionTicks, leaseMs };
}

/** What the databases take on the disk. */
function exposeDiskUse(metrics: Metrics, folder: string): void {
  for (const name of ['journal', 'state']) {
    const read = async () => [{ value: await folderBytes(`${folder}/${name}`) }];
    metrics.readWhenAsked(`sluice_master_${name}_disk_bytes`, 'gauge', `Bytes of the files of the ${name}`, read);
  }
}

/**
 * Opens state and journal, checks that they belong together, and starts.
 * @throws SluiceError CORRUPT when the journal lost entries, and as the stores do.
 */
export async function openJournal(environment: JournalEnvironment): Promise<Journal> {
  const { folder, id, birth, quorum, values, clock, timers, random, logger, metrics } = environment;
  const limits = raftLimits(quorum);
  // The state store may fail before there is a journal to stop.
  let fatal = (error: SluiceError): void => environment.onFatal(error);
  const newLog = () => newLogStore(folder, values);
  if (await resumeInstall(folder, newLog)) logger.info({ folder }, 'the install of a snapshot was finished');
  const state = await LevelStateStore.open({
    folder: `${folder}/state`,
    cacheBytes: values.stateCache,
    timers,
    onFatal: (error) => fatal(error),
  });
  const log = newLog();
  exposeDiskUse(metrics, folder);
  try {
    const stored = await log.open();
    checkStatePosition(folder, state.applied, stored);
    const journal = new Journal({
      id,
      birth,
      limits,
      tickMs: quorum.tick,
      recentBytes: values.recentEntries,
      keepEntries: values.keepEntries,
      keepBytes: values.keepSize,
      log,
      stored,
      state,
      snapshots: { folder, bandwidth: values.snapshotBandwidth, link: environment.link },
      clock,
      timers,
      random,
      logger,
      metrics,
      connect: (listener, addresses) => environment.connect(listener, addresses),
      onFatal: (error) => environment.onFatal(error),
      onRemoved: () => environment.onRemoved(),
    });
    fatal = (error) => journal.fail(error);
    return journal;
  } catch (thrown) {
    await state.close();
    await log.close();
    throw thrown;
  }
}
