import { type Counter, type Histogram, type Metrics, SECONDS_BUCKETS } from '../host/metrics.ts';

/** What a worker counts beside its page store. */
export interface WorkerMetrics {
  readonly pageHits: Counter;
  readonly pageMisses: Counter;
  readonly bytesFromCache: Counter;
  readonly bytesFromUfs: Counter;
  readonly ufsReads: Counter;
  readonly ufsReadBytes: Counter;
  readonly ufsReadErrors: Counter;
  readonly ufsWrittenBytes: Counter;
  readonly bytesReceived: Counter;
  readonly uploadsOpened: Counter;
  readonly uploadsCompleted: Counter;
  readonly uploadsAborted: Counter;
  requests(kind: string): Counter;
  seconds(kind: string): Histogram;
  errors(code: string): Counter;
}

export function workerMetrics(metrics: Metrics): WorkerMetrics {
  const served = 'Block bytes sent to clients, by source';
  return {
    pageHits: metrics.counter('sluice_worker_page_hits_total', 'Pages of reads that were in the cache'),
    pageMisses: metrics.counter('sluice_worker_page_misses_total', 'Pages of reads that were fetched from a UFS'),
    bytesFromCache: metrics.counter('sluice_worker_served_bytes_total', served, { source: 'cache' }),
    bytesFromUfs: metrics.counter('sluice_worker_served_bytes_total', served, { source: 'ufs' }),
    ufsReads: metrics.counter('sluice_worker_ufs_reads_total', 'Range reads of UFSs'),
    ufsReadBytes: metrics.counter('sluice_worker_ufs_read_bytes_total', 'Bytes read from UFSs'),
    ufsReadErrors: metrics.counter('sluice_worker_ufs_read_errors_total', 'Reads of UFSs that failed'),
    ufsWrittenBytes: metrics.counter('sluice_worker_ufs_written_bytes_total', 'Bytes written to UFSs'),
    bytesReceived: metrics.counter('sluice_worker_received_bytes_total', 'Block bytes that clients sent'),
    uploadsOpened: metrics.counter('sluice_worker_uploads_opened_total', 'Uploads begun'),
    uploadsCompleted: metrics.counter('sluice_worker_uploads_completed_total', 'Uploads completed'),
    uploadsAborted: metrics.counter('sluice_worker_uploads_aborted_total', 'Uploads given up, failed or idle'),
    requests: remembered((kind) => metrics.counter('sluice_worker_requests_total', 'HTTP requests', { kind })),
    seconds: remembered((kind) =>
      metrics.histogram('sluice_worker_request_seconds', 'Time to the end of the reply', SECONDS_BUCKETS, { kind }),
    ),
    errors: remembered((code) => metrics.counter('sluice_worker_errors_total', 'HTTP requests that failed', { code })),
  };
}

/** A series is found by its labels once: that costs more than counting. Kinds and codes are few. */
function remembered<S>(find: (label: string) => S): (label: string) => S {
  const known = new Map<string, S>();
  return (label) => {
    const series = known.get(label) ?? find(label);
    known.set(label, series);
    return series;
  };
}
