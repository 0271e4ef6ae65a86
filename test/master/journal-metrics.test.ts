import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { Metrics } from '../../src/host/metrics.ts';
import { systemClock } from '../../src/host/system-clock.ts';
import { JournalMetrics } from '../../src/master/journal-metrics.ts';
import type { Role } from '../../src/raft/effect.ts';
import { createFile } from '../support/requests.ts';
import { RealMasters, type ThreeMasters } from './real-masters.ts';

let real: RealMasters;
beforeEach(() => {
  real = new RealMasters();
});
afterEach(() => real.close());

/** What a scrape says: value by `name{labels}`, as Prometheus' text has it, with names of members for their ids. */
async function scrape(statusPort: number): Promise<{ values: Map<string, number>; names: Set<string> }> {
  const text = await (await fetch(`http://127.0.0.1:${statusPort}/metrics`)).text();
  const lines = text.replace(/(="m\d)@[0-9a-f]+"/g, '$1"').split('\n');
  const values = new Map(
    lines
      .filter((line) => line !== '' && !line.startsWith('#'))
      .map((line): [string, number] => [line.slice(0, line.lastIndexOf(' ')), Number(line.split(' ').at(-1))]),
  );
  const names = new Set(lines.filter((line) => line.startsWith('# HELP')).map((line) => line.split(' ')[2] ?? ''));
  return { values, names };
}

const ROLE = 'sluice_master_raft_role_number';
const FILES = 200;
const QUEUES = ['events', 'proposals', 'uncommitted', 'recent', 'append', 'held', 'apply', 'state', 'readers', 'reads'];
const STAGES = ['queue', 'disk', 'network', 'apply', 'all'];

/** @returns which of them led */
async function work({ addresses, masters }: ThreeMasters): Promise<number> {
  const asked = real.channel(addresses);
  await Promise.all(
    Array.from({ length: FILES }, (_, i) =>
      asked.call('createFile', createFile(`/f${i}`, { writeType: 'MUST_CACHE', empty: true })),
    ),
  );
  const roles = masters.map(async ({ statusPort }) => (await scrape(statusPort)).values.get(ROLE));
  const leader = (await Promise.all(roles)).indexOf(3);
  const direct = real.channel([addresses[leader] ?? '']);
  for (let i = 0; i < 20; i += 1) await direct.call('getStatus', { path: `/f${i}` });
  return leader;
}

describe('after work, three masters', () => {
  test('tell all that their journals do', async () => {
    const cluster = await real.startThree();
    const { masters, names } = cluster;
    const leader = await work(cluster);
    const self = names[leader] ?? '';
    const peers = names.filter((name) => name !== self);
    // A heartbeat comes when there was nothing else for a while.
    const { values } = await vi.waitFor(
      async () => {
        const seen = await scrape(masters[leader]?.statusPort ?? 0);
        for (const peer of peers)
          expect(seen.values.get(`sluice_master_peer_rtt_seconds_count{peer="${peer}"}`)).toBeGreaterThan(0);
        for (const queue of ['uncommitted', 'apply', 'proposals'])
          expect(seen.values.get(`sluice_master_queue_entries{queue="${queue}"}`)).toBe(0);
        return seen;
      },
      { timeout: 20_000, interval: 50 },
    );
    const value = (name: string) => values.get(`sluice_master_${name}`) ?? Number.NaN;
    const atLeast = (least: number, ...series: string[]) =>
      expect(series.filter((name) => !(value(name) >= least)).map((name) => `${name} ${value(name)}`)).toEqual([]);
    const above = (limit: number, ...series: string[]) =>
      expect(series.filter((name) => !(value(name) > limit)).map((name) => `${name} ${value(name)}`)).toEqual([]);

    expect(value('raft_role_number')).toBe(3);
    expect(value(`raft_leader_info{leader="${self}"}`)).toBe(1);
    expect(value('journal_first_index')).toBe(1);
    atLeast(1, 'raft_term_number', 'raft_campaigns_total', 'raft_elections_won_total', 'raft_role_changes_total');
    const indexes = ['commit', 'durable', 'last', 'applied'].map((name) => value(`journal_${name}_index`));
    expect(new Set(indexes).size).toBe(1);
    expect(indexes[0]).toBeGreaterThanOrEqual(FILES);
    atLeast(FILES, 'journal_proposals_total', 'applied_entries_total', 'journal_write_entries_sum');
    expect(value('journal_proposals_dropped_total')).toBe(0);
    expect(value('journal_proposals_unknown_total')).toBe(0);
    above(0, 'raft_turn_seconds_sum', 'raft_turn_events_sum', 'apply_slice_seconds_sum');
    above(FILES * 50, 'journal_write_bytes_sum', 'journal_disk_bytes', 'queue_bytes{queue="recent"}');
    above(0, 'journal_write_seconds_sum', 'state_cache_bytes', 'state_disk_bytes');
    expect(value('journal_write_age_seconds')).toBe(0);
    expect(value('apply_lag_entries')).toBe(0);
    expect(value('apply_lag_seconds')).toBe(0);
    atLeast(0, ...QUEUES.map((queue) => `queue_entries{queue="${queue}"}`), 'queue_bytes{queue="uncommitted"}');

    const stage = (name: string, part: string) => `commit_stage_seconds_${part}{stage="${name}"}`;
    const counts = STAGES.map((name) => value(stage(name, 'count')));
    expect(new Set(counts).size).toBe(1);
    expect(counts[0]).toBeGreaterThanOrEqual(FILES);
    above(0, ...STAGES.map((name) => stage(name, 'sum')));
    const sum = (name: string) => value(stage(name, 'sum'));
    const path = sum('queue') + Math.max(sum('disk'), sum('network')) + sum('apply');
    expect(sum('all')).toBeGreaterThanOrEqual(0.99 * path);
    expect(sum('all')).toBeLessThanOrEqual(sum('queue') + sum('disk') + sum('network') + sum('apply'));

    above(0, 'raft_read_rounds_total', 'read_wait_seconds_sum', 'read_question_readers_count');
    atLeast(20, 'read_wait_seconds_count', 'read_question_readers_sum');
    for (const peer of peers) {
      const of = (noun: string) => value(`peer_${noun}{peer="${peer}"}`);
      expect([of('lag_entries'), of('window_frames'), of('window_bytes'), of('state_number')]).toEqual([0, 0, 0, 1]);
      expect(of('connections_total')).toBeGreaterThanOrEqual(1);
      expect(of('silence_seconds')).toBeGreaterThanOrEqual(0);
      expect(value(`peer_rtt_seconds_sum{peer="${peer}"}`)).toBeGreaterThan(0);
      expect(values.get(`sluice_wire_raft_queue_messages{peer="${peer}"}`)).toBeGreaterThanOrEqual(0);
      expect(values.get(`sluice_wire_raft_queue_bytes{peer="${peer}"}`)).toBeGreaterThanOrEqual(0);
    }
    expect(values.get('sluice_wire_session_streams')).toBeGreaterThanOrEqual(2);
    expect(values.get('sluice_wire_session_running_operations')).toBe(0);
    expect(values.get('sluice_host_loop_busy_seconds_total')).toBeGreaterThan(0);
  });

  test('a standby tells its own side, and nothing of what only a leader knows', async () => {
    const cluster = await real.startThree();
    const { masters, names } = cluster;
    const leader = await work(cluster);
    const last = (await scrape(masters[leader]?.statusPort ?? 0)).values.get('sluice_master_journal_last_index');
    const standby = masters[(leader + 1) % 3];
    const { values } = await vi.waitFor(
      async () => {
        const seen = await scrape(standby?.statusPort ?? 0);
        expect(seen.values.get('sluice_master_journal_applied_index')).toBeGreaterThanOrEqual(last ?? 0);
        return seen;
      },
      { timeout: 20_000, interval: 50 },
    );
    expect(values.get('sluice_master_raft_role_number')).toBe(0);
    expect(values.get(`sluice_master_raft_leader_info{leader="${names[leader]}"}`)).toBe(1);
    expect(values.get('sluice_master_applied_entries_total')).toBeGreaterThanOrEqual(FILES);
    expect(values.get('sluice_master_journal_write_entries_sum')).toBeGreaterThanOrEqual(FILES);
    expect(values.get(`sluice_master_peer_silence_seconds{peer="${names[leader]}"}`)).toBeGreaterThanOrEqual(0);
    expect([...values.keys()].filter((name) => name.startsWith('sluice_master_peer_lag_entries'))).toEqual([]);
    expect(values.get('sluice_master_commit_stage_seconds_count{stage="all"}')).toBe(0);
  });

  test('METRICS.md lists every metric of masters, and no other', async () => {
    const { masters } = await real.startThree();
    const { names } = await scrape(masters[0]?.statusPort ?? 0);
    const shown = [...names].filter(
      (name) => /^sluice_(master|wire)_/.test(name) || name.startsWith('sluice_host_loop'),
    );
    const text = readFileSync(join(import.meta.dirname, '../../src/master/METRICS.md'), 'utf8');
    const listed = [...text.matchAll(/^\| `(sluice_\w+)/gm)].map(([, name]) => name);
    expect(listed.sort()).toEqual(shown.sort());
  });
});

test.each<[string, Role[], Record<string, number>]>([
  ['won', ['preCandidate', 'candidate', 'leader'], { campaigns: 1, elections_won: 1 }],
  ['on request', ['candidate', 'leader', 'follower'], { campaigns: 1, elections_won: 1 }],
  ['refused in advance', ['preCandidate', 'follower'], { campaigns: 1, prevotes_lost: 1 }],
  ['unanswered, twice', ['preCandidate', 'preCandidate', 'follower'], { campaigns: 2, prevotes_lost: 2 }],
  ['voted down', ['preCandidate', 'candidate', 'follower'], { campaigns: 1, elections_lost: 1 }],
  [
    'split, then won',
    ['preCandidate', 'candidate', 'preCandidate', 'candidate', 'leader'],
    {
      campaigns: 2,
      elections_lost: 1,
      elections_won: 1,
    },
  ],
])('a campaign that is %s is counted as that', async (_, roles, expected) => {
  const metrics = new Metrics();
  const counting = new JournalMetrics(metrics, systemClock);
  for (const role of roles) counting.roleChanged(role);
  const text = await metrics.text();
  for (const name of ['campaigns', 'prevotes_lost', 'elections_won', 'elections_lost'])
    expect(text).toContain(`\nsluice_master_raft_${name}_total ${expected[name] ?? 0}\n`);
});
