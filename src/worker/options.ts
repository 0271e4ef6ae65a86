import { bytes, duration, integer, list, text } from '../host/config/option.ts';
import { MAX_PAGE_SIZE_BYTES } from '../wire/block-protocol.ts';

/** What the operator of a worker may set. */
export const workerOptions = Object.freeze({
  dataFolder: text({
    key: 'worker.data',
    doc: 'Folder with the identity of the worker and, unless set otherwise, its cache',
    fallback: '.sluice/worker',
  }),
  masters: list({
    key: 'worker.masters',
    doc: 'Addresses of the masters, host:port, separated by commas',
    fallback: '127.0.0.1:19998',
  }),
  host: text({
    key: 'worker.host',
    doc: 'Address to listen on for block requests; other than loopback needs security.token',
    fallback: '127.0.0.1',
  }),
  port: integer(
    { key: 'worker.port', doc: 'Port of the block service; 0 takes a free one', fallback: '29999' },
    { max: 65535 },
  ),
  advertisedHost: text({
    key: 'worker.advertised-host',
    doc: 'Host name under which clients reach this worker; empty takes the bind host',
    fallback: '',
  }),
  cacheFolder: text({
    key: 'worker.cache.dir',
    doc: 'Folder of the cached pages, for this worker alone; empty takes cache in the data folder',
    fallback: '',
  }),
  cacheCapacityBytes: bytes({
    key: 'worker.cache.capacity',
    doc: 'Bytes of disk that cached pages may take',
    fallback: '8GiB',
  }),
  pageSizeBytes: bytes(
    {
      key: 'worker.cache.page-size',
      doc: 'Bytes per page, the unit of caching; fixed for the life of a cache folder',
      fallback: '1MiB',
    },
    { min: 2 ** 16, max: MAX_PAGE_SIZE_BYTES },
  ),
  readAheadBytes: bytes(
    {
      key: 'worker.ufs.read-size',
      doc: 'Bytes that one read of a UFS fetches at most, and how far sequential reads are fetched ahead',
      fallback: '8MiB',
    },
    { min: 2 ** 16, max: 2 ** 26 },
  ),
  memoryBytes: bytes(
    {
      key: 'worker.memory',
      doc: 'Bytes of pages on their way between disk, UFS and network; requests wait when it is used up',
      fallback: '256MiB',
    },
    { min: 2 ** 27 },
  ),
  heartbeatMs: duration(
    {
      key: 'worker.heartbeat',
      doc: 'How often the worker tells the leader that it lives',
      fallback: '1s',
    },
    { min: 10 },
  ),
  httpIdleMs: duration(
    {
      key: 'worker.http.idle-timeout',
      doc: 'A connection on which nothing moves for this long is closed',
      fallback: '2m',
    },
    { min: 100 },
  ),
  uploadIdleMs: duration(
    {
      key: 'worker.upload.idle-timeout',
      doc: 'An upload into a UFS that nobody continues for this long is aborted',
      fallback: '10m',
    },
    { min: 100 },
  ),
  uploadMax: integer(
    { key: 'worker.upload.max', doc: 'Uploads that may be open at a time', fallback: '256' },
    { min: 1, max: 65536 },
  ),
});
