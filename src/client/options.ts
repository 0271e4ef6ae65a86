import { bytes, choice, duration, integer, list, text } from '../host/config/option.ts';

/** What a program that uses a cluster may set. */
export const clientOptions = Object.freeze({
  masters: list({
    key: 'client.masters',
    doc: 'Addresses of the masters, host:port, separated by commas; any of them finds the leader',
    fallback: '127.0.0.1:19998,127.0.0.1:19999,127.0.0.1:20000',
  }),
  readFrom: choice(
    {
      key: 'client.read-from',
      doc: 'Which masters answer reads of metadata: the leader, or any; any is as fresh, and spares the leader',
      fallback: 'leader',
    },
    ['leader', 'any'],
  ),
  user: text({
    key: 'client.user',
    doc: 'Name to act under; empty takes the user of the operating system',
    fallback: '',
  }),
  groups: list({
    key: 'client.groups',
    doc: 'Groups to act with, separated by commas',
    fallback: '',
  }),
  writeType: choice(
    {
      key: 'client.write-type',
      doc: 'How new files become safe: in the UFS and the cache, in the UFS alone, or in the cache alone',
      fallback: 'CACHE_THROUGH',
    },
    ['CACHE_THROUGH', 'THROUGH', 'MUST_CACHE'],
  ),
  blockSizeBytes: bytes(
    {
      key: 'client.block-size',
      doc: 'Bytes per block of new files, the unit that is placed on workers; 0 takes the setting of the masters',
      fallback: '0',
    },
    { max: 2 ** 40 },
  ),
  readRangeBytes: bytes(
    {
      key: 'client.read.range',
      doc: 'Bytes that a streaming read asks of a worker at a time',
      fallback: '4MiB',
    },
    { min: 2 ** 16, max: 2 ** 28 },
  ),
  readAhead: integer(
    {
      key: 'client.read.ahead',
      doc: 'Ranges that a streaming read has under way at a time; they and the range are its memory',
      fallback: '4',
    },
    { min: 1, max: 64 },
  ),
  socketsPerWorker: integer(
    {
      key: 'client.worker.sockets',
      doc: 'Connections to one worker at most; further requests wait',
      fallback: '32',
    },
    { min: 1, max: 1024 },
  ),
  workerTimeoutMs: duration(
    {
      key: 'client.worker.timeout',
      doc: 'A worker whose connection makes no progress for this long is taken for dead',
      fallback: '30s',
    },
    { min: 10 },
  ),
  workerBanMs: duration({
    key: 'client.worker.ban',
    doc: 'How long a worker that could not be reached is asked last',
    fallback: '10s',
  }),
  workerRefreshMs: duration(
    {
      key: 'client.worker.refresh',
      doc: 'Age at which the list of workers is asked anew',
      fallback: '10s',
    },
    { min: 10 },
  ),
  masterTimeoutMs: duration(
    {
      key: 'client.master.timeout',
      doc: 'How long an operation is tried at the masters, elections and retries included',
      fallback: '30s',
    },
    { min: 10 },
  ),
});
