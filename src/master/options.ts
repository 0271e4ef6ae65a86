import { bytes, duration, integer, list, text } from '../host/config/option.ts';

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
    doc: 'All masters of the cluster, this one included, as name=host:port separated by commas',
    fallback: 'master-1=127.0.0.1:19998',
  }),
  tick: duration(
    { key: 'master.raft.tick', doc: 'Step of the clock of elections and heartbeats', fallback: '15ms' },
    { min: 1, max: 1000 },
  ),
  electionTimeout: duration(
    {
      key: 'master.raft.election-timeout',
      doc: 'A leader that was not heard for this long is doubted; campaigns begin after one to two times of it',
      fallback: '225ms',
    },
    { min: 10, max: 60_000 },
  ),
  heartbeat: duration(
    { key: 'master.raft.heartbeat', doc: 'How often an idle leader shows that it lives', fallback: '45ms' },
    { min: 1, max: 10_000 },
  ),
};

/** What the journal and the state store may keep in memory and on disk. */
export const journalOptions = {
  stateCache: bytes(
    { key: 'master.state.cache', doc: 'Memory for decoded rows of the state store', fallback: '64MiB' },
    { min: 1024 * 1024 },
  ),
  recentEntries: bytes(
    {
      key: 'master.journal.recent',
      doc: 'Memory for recent journal entries that peers are sent from',
      fallback: '64MiB',
    },
    { min: 1024 * 1024 },
  ),
  keepEntries: integer(
    { key: 'master.journal.keep-entries', doc: 'Applied entries that stay on disk at most', fallback: '200000' },
    { min: 1000 },
  ),
  keepSize: bytes(
    { key: 'master.journal.keep-size', doc: 'Applied entries that stay on disk at most, by size', fallback: '64MiB' },
    { min: 1024 * 1024 },
  ),
};
