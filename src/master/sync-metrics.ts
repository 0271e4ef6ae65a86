import type { Counter, Metrics } from '../host/metrics.ts';

/** Counts of what loading metadata from UFSs does. */
export class SyncMetrics {
  readonly stats: Counter;
  readonly listings: Counter;
  /** Looks that failed although something was known, which was served instead. */
  readonly servedStale: Counter;
  readonly failures: Counter;
  /** Names that the namespace cannot have. */
  readonly unnameable: Counter;
  readonly #upserts: Counter;
  readonly #removals: Counter;

  constructor(metrics: Metrics) {
    this.stats = metrics.counter('sluice_master_sync_stats_total', 'Looks at single paths of under storages');
    this.listings = metrics.counter('sluice_master_sync_listings_total', 'Listings of directories of under storages');
    this.servedStale = metrics.counter(
      'sluice_master_sync_served_stale_total',
      'Reads that were answered with what was known because the under storage failed',
    );
    this.failures = metrics.counter('sluice_master_sync_failures_total', 'Looks at under storages that failed');
    this.unnameable = metrics.counter(
      'sluice_master_sync_unnameable_total',
      'Entries of under storages that were left out because of their names',
    );
    this.#upserts = metrics.counter('sluice_master_sync_upserts_total', 'Entries proposed as new or changed');
    this.#removals = metrics.counter('sluice_master_sync_removals_total', 'Entries proposed as gone');
  }

  loaded(upserts: number, removals: number): void {
    this.#upserts.add(upserts);
    this.#removals.add(removals);
  }
}
