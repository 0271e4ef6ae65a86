import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type * as LogModule from '../../src/raft/log.ts';
import type * as QuorumModule from '../../src/raft/quorum.ts';
import { type Bounds, explore, SMALL_BOUNDS } from './explore.ts';

const LOG = '../../src/raft/log.ts';
const QUORUM = '../../src/raft/quorum.ts';

describe('whatever happens within small bounds, no promise is broken', () => {
  test.each<[string, Partial<Bounds>]>([
    ['writes that end at any moment', {}],
    ['two who campaign', { slowDisks: false, timeouts: 2, proposals: 0 }],
    ['a crash', { crashes: 1, proposals: 0 }],
    ['a loss and a heartbeat', { slowDisks: false, drops: 1, beats: 1, proposals: 0 }],
  ])('%s', (name, bounds) => {
    const { states, steps, ...found } = explore({ ...SMALL_BOUNDS, ...bounds });
    expect(found).toMatchObject({ complete: true, broken: undefined, path: [], leaders: 1 });
    expect(found.committed).toBeGreaterThan(0);
    console.log(`${name}: ${states} states, ${steps} steps, paths of up to ${found.depth}`);
  });
});

describe('exploration finds planted bugs, by a shortest path', () => {
  beforeEach(() => vi.resetModules());
  afterEach(() => {
    vi.doUnmock(LOG);
    vi.doUnmock(QUORUM);
  });

  test('entries count as durable when they are in memory', async () => {
    vi.doMock(LOG, async (original) => {
      const { RaftLog } = await original<typeof LogModule>();
      class Hasty extends RaftLog {
        override get durable() {
          return this.last.index;
        }
      }
      return { RaftLog: Hasty };
    });
    const { explore: exploreMutant } = await import('./explore.ts');
    const { broken, path } = exploreMutant(SMALL_BOUNDS);
    expect(broken).toMatch(/^I17: n\d acknowledged 1 before it was durable/);
    expect(path.at(-2)).toContain('appendReply t1 match 1');
  });

  test('refused votes are counted', async () => {
    vi.doMock(QUORUM, async (original) => {
      const real = await original<typeof QuorumModule>();
      const voteOutcome: typeof real.voteOutcome = ({ voters }, voteOf) =>
        voters.filter((voter) => voteOf(voter) !== undefined).length * 2 > voters.length ? 'won' : 'pending';
      return { ...real, voteOutcome };
    });
    const { explore: exploreMutant } = await import('./explore.ts');
    const { broken, path } = exploreMutant({ ...SMALL_BOUNDS, timeouts: 2, slowDisks: false });
    expect(broken).toMatch(/^I1: n\d and n\d lead in 1/);
    expect(path.filter((line) => line.includes('leader t1 leader'))).toHaveLength(2);
  });
});
