import { expect, test } from 'vitest';
import { readinessOf } from '../../src/master/readiness.ts';
import { MemoryStateStore } from '../../src/model/memory-state-store.ts';

/** A journal that says what the test says. */
class Said {
  readonly state = new MemoryStateStore();
  applied = 100;
  commit = 100;
  leader: string | undefined;

  quorum() {
    const indexes = { appliedIndex: this.applied, commitIndex: this.commit, lastIndex: this.commit };
    return { clusterId: 'c', self: 'm1', leader: this.leader ?? '', term: 1, changing: false, members: [], ...indexes };
  }

  leadership() {
    return { leading: false, term: 1, leader: this.leader };
  }
}

test('a master that starts says how far its replay is, and is ready when it is done and a leader is known', () => {
  const said = new Said();
  said.commit = 300;
  const readiness = readinessOf(said, '');
  const reason = () => {
    const now = readiness();
    return now.ready ? 'ready' : now.reason;
  };
  expect(reason()).toBe('No leader is known: a majority must be up; 0 of 200 entries of the journal applied (0 %)');
  said.applied = 299;
  said.leader = 'm2';
  expect(reason()).toBe('Replaying the journal; 199 of 200 entries of the journal applied (99 %)');
  said.commit = 500;
  expect(reason()).toBe('Replaying the journal; 199 of 400 entries of the journal applied (49 %)');
  said.applied = 500;
  expect(reason()).toMatch(/not formatted/);
  said.state.put('cluster', '', { clusterId: 'c', formattedMs: 1 });
  expect(reason()).toBe('ready');
  // A little behind, as every standby is: no replay.
  said.commit = 501;
  expect(reason()).toBe('ready');
  said.leader = undefined;
  expect(reason()).toBe('No leader is known: a majority must be up');
});

test('the root must be mounted when one was asked for', () => {
  const said = new Said();
  said.leader = 'm2';
  said.state.put('cluster', '', { clusterId: 'c', formattedMs: 1 });
  const counters = { nextInodeId: 2, inodeCount: 1, logTimeMs: 0, workersVersion: 0, mountsVersion: 0 };
  said.state.put('counters', '', { ...counters, nextMountId: 1 });
  const readiness = readinessOf(said, 'file:///data');
  expect(readiness()).toMatchObject({ ready: false, reason: expect.stringContaining('file:///data is not mounted') });
  said.state.put('counters', '', { ...counters, nextMountId: 2 });
  expect(readiness()).toEqual({ ready: true });
});
