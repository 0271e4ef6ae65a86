import { bytes, choice, duration, flag, integer, list, text } from '../host/config/option.ts';
import { JOURNAL_STORES } from './journal-store-kind.ts';

/** Who the masters are and how they elect. */
export const quorumOptions = {
  data: text({
    key: 'master.data',
    doc: 'Folder of this master: its journal and its state',
    fallback: '.sluice/master',
  }),
  name: text(
    {
      key: 'master.name',
      doc: 'Name of this master among the peers, never to be given to another',
      fallback: 'master-1',
    },
    /^[A-Za-z0-9._-]{1,64}$/,
    'name of letters, digits, dots, dashes and underscores',
  ),
  peers: list({
    key: 'master.peers',
    doc: 'First masters of a new cluster, this one included, or some of an old one, as name=host:port with commas',
    fallback: 'master-1=127.0.0.1:19200',
  }),
  raftAddress: text(
    {
      key: 'master.raft.address',
      doc: 'Where the other masters reach this one, as host:port; empty takes its entry in master.peers',
      fallback: '',
    },
    /^$|^\S+:\d{1,5}$/,
    'address such as host:port',
  ),
  tick: duration(
    { key: 'master.raft.tick', doc: 'Step of the clock of elections and heartbeats', fallback: '15ms' },
    { min: 1, max: 1000 },
  ),
  electionTimeout: duration(
    {
      key: 'master.raft.election-timeout',
      doc: 'A leader that was not heard for this long is doubted; campaigns begin after one to two times of it',
      fallback: '300ms',
    },
    { min: 10, max: 60_000 },
  ),
  leaseReads: flag({
    key: 'master.raft.lease-reads',
    doc:
      'Whether a leader answers reads without asking the others while these have promised not to replace it; for ' +
      'machines that are never suspended: a dead leader is then replaced later. Before it is switched off, or the ' +
      'election timeout made shorter, a master must have been down for one election timeout',
    fallback: 'false',
  }),
  heartbeat: duration(
    { key: 'master.raft.heartbeat', doc: 'How often an idle leader shows that it lives', fallback: '45ms' },
    { min: 1, max: 10_000 },
  ),
};

/** What the journal and the state store may keep in memory and on disk. */
export const journalOptions = {
  stateCache: bytes(
    { key: 'master.state.cache', doc: 'Memory for rows of the state store', fallback: '64MiB' },
    { min: 1024 * 1024 },
  ),
  recentEntries: bytes(
    {
      key: 'master.journal.recent',
      doc: 'Memory for recent journal entries that are sent to peers',
      fallback: '16MiB',
    },
    { min: 1024 * 1024 },
  ),
  keepEntries: integer(
    {
      key: 'master.journal.keep-entries',
      doc: 'Applied entries that stay on disk for masters that are behind; who lacks more gets a snapshot',
      fallback: '200000',
    },
    { min: 1000 },
  ),
  keepSize: bytes(
    { key: 'master.journal.keep-size', doc: 'As keep-entries, by size: what is reached first', fallback: '64MiB' },
    { min: 1024 * 1024 },
  ),
  snapshotBandwidth: bytes(
    {
      key: 'master.snapshot.bandwidth',
      doc: 'Bytes per second at which a snapshot of another master is fetched; 0 is as fast as it goes',
      fallback: '0B',
    },
    { min: 0 },
  ),
  segmentSize: bytes(
    { key: 'master.journal.segment-size', doc: 'Length of a file of the store segments', fallback: '64MiB' },
    { min: 64 * 1024, max: 1024 ** 3 },
  ),
  store: choice(
    {
      key: 'master.journal.store',
      doc: 'What keeps the journal: a LevelDB, or preallocated files of our own; for a new data folder only',
      fallback: 'level',
    },
    JOURNAL_STORES,
  ),
};

/** Where a master serves, and how its services behave. */
export const serviceOptions = {
  addresses: list({
    key: 'master.addresses',
    doc: 'Where clients reach this master, as name=host:port (others may be named too); hints to the leader need it',
    fallback: '',
  }),
  blockSize: bytes(
    { key: 'master.block-size', doc: 'Bytes per block of files that are created without saying', fallback: '64MiB' },
    { min: 1024, max: 2 ** 40 },
  ),
  cluster: text(
    {
      key: 'master.cluster',
      doc: 'Name of the cluster; its id is made of this and the ids of its first masters',
      fallback: 'sluice',
    },
    /^[A-Za-z0-9._-]{1,64}$/,
    'name of letters, digits, dots, dashes and underscores',
  ),
  digestInterval: duration(
    {
      key: 'master.digest.interval',
      doc: 'How often the states of all masters are compared; one that differs from most others stops',
      fallback: '10m',
    },
    { min: 10, never: true },
  ),
  digestShare: integer(
    {
      key: 'master.digest.share',
      doc: 'How much of a core reading the state for that may take, in percent',
      fallback: '10',
    },
    { min: 1, max: 100 },
  ),
  host: text({
    key: 'master.host',
    doc: 'Address that clients, workers and monitoring are served on; beyond loopback security.token is required',
    fallback: '127.0.0.1',
  }),
  port: integer({ key: 'master.port', doc: 'Port for clients and workers', fallback: '19998' }, { max: 65_535 }),
  rootOptions: list({
    key: 'master.root.options',
    doc: 'Options of the root UFS, as key=value separated by commas',
    fallback: '',
    secret: true,
  }),
  rootReadOnly: flag({ key: 'master.root.read-only', doc: 'Whether the root UFS is left as it is', fallback: 'false' }),
  rootSyncInterval: duration(
    {
      key: 'master.root.sync-interval',
      doc: 'Age at which metadata of the root UFS is looked up anew',
      fallback: '1m',
    },
    { never: true },
  ),
  rootUfs: text({
    key: 'master.root.ufs',
    doc: 'UFS that a new cluster mounts at /, such as file:///data or s3://bucket; empty mounts none',
    fallback: '',
  }),
  sessionIdle: duration(
    {
      key: 'master.session.idle',
      doc: 'Sessions of clients that are silent for this long are forgotten',
      fallback: '1h',
    },
    { min: 60_000 },
  ),
  statusPort: integer(
    { key: 'master.status.port', doc: 'Port for /metrics, /healthz and /readyz', fallback: '19997' },
    { max: 65_535 },
  ),
  supergroup: text({
    key: 'master.supergroup',
    doc: 'Group whose members have every right, like the user that runs the masters; empty gives it to none',
    fallback: 'supergroup',
  }),
  ufsTimeout: duration(
    {
      key: 'master.ufs.timeout',
      doc: 'A UFS that does not answer a look-up, or give the next page of a listing, for this long has failed',
      fallback: '30s',
    },
    { min: 100 },
  ),
  workerRemoval: duration(
    {
      key: 'master.worker.removal',
      doc: 'A worker that is silent for this long loses its place in the ring',
      fallback: '1m',
    },
    { min: 100 },
  ),
  workerTimeout: duration(
    {
      key: 'master.worker.timeout',
      doc: 'A worker that is silent for this long is published as lost',
      fallback: '10s',
    },
    { min: 100 },
  ),
};
