import type { Counter, Metrics } from '../host/metrics.ts';
import type { PageStoreUsage } from './page-store.ts';

/** What a page store counts. */
export interface PageStoreMetrics {
  readonly hits: Counter;
  readonly misses: Counter;
  readonly stored: Counter;
  readonly evicted: Counter;
  /** Pages that were not cached because there was no room. */
  readonly refused: Counter;
  readonly damaged: Counter;
  readonly diskErrors: Counter;
  readonly foreign: Counter;
}

export function pageStoreMetrics(metrics: Metrics, usage: () => PageStoreUsage): PageStoreMetrics {
  metrics.gaugeOf('sluice_cache_capacity_bytes', 'Quota of the page store', () => usage().capacityBytes);
  metrics.gaugeOf('sluice_cache_used_bytes', 'Bytes that pages take on disk', () => usage().usedBytes);
  metrics.gaugeOf('sluice_cache_protected_bytes', 'Bytes that may not be evicted', () => usage().protectedBytes);
  metrics.gaugeOf('sluice_cache_pages', 'Pages in the store', () => usage().pageCount);
  return {
    hits: metrics.counter('sluice_cache_page_hits_total', 'Pages that were asked for and found'),
    misses: metrics.counter('sluice_cache_page_misses_total', 'Pages that were asked for and not found'),
    stored: metrics.counter('sluice_cache_pages_stored_total', 'Pages written'),
    evicted: metrics.counter('sluice_cache_pages_evicted_total', 'Pages dropped to make room'),
    refused: metrics.counter('sluice_cache_pages_refused_total', 'Pages not kept because no room could be made'),
    damaged: metrics.counter(
      'sluice_cache_pages_damaged_total',
      'Pages dropped because their file was damaged or gone',
    ),
    diskErrors: metrics.counter('sluice_cache_disk_errors_total', 'Operations on page files that the disk refused'),
    foreign: metrics.counter('sluice_cache_foreign_files_total', 'Files dropped at start because they were no pages'),
  };
}
