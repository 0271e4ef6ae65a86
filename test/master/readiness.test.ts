import { expect, test } from 'vitest';
import { readinessOf } from '../../src/master/readiness.ts';
import type { StateListener } from '../../src/master/replicated-state.ts';
import { SluiceError } from '../../src/model/errors.ts';
import { MemoryStateStore } from '../../src/model/memory-state-store.ts';
import { turns } from '../support/manual-time.ts';

/** A journal that says what the test says. */
class Said {
  readonly state = new MemoryStateStore();
  applied = 100;
  commit = 100;
  leader: string | undefined;
  /** Questions for how far the leader is, which have no answer. */
  readonly questions: { named(index: number): void; resolve(): void; reject(error: Error): void }[] = [];
  #listener: StateListener = {};

  patientBarrier(named: (index: number) => void): Promise<void> {
    return new Promise((resolve, reject) => {
      this.questions.push({ named, resolve, reject });
    });
  }

  subscribe(listener: StateListener): () => void {
    this.#listener = listener;
    return () => undefined;
  }

  lead(leader: string | undefined): void {
    this.leader = leader;
    this.#listener.leadershipChanged?.(this.leadership());
  }

  quorum() {
    const indexes = { appliedIndex: this.applied, commitIndex: this.commit, lastIndex: this.commit };
    return { clusterId: 'c', self: 'm1', leader: this.leader ?? '', term: 1, changing: false, members: [], ...indexes };
  }

  leadership() {
    return { leading: false, term: 1, leader: this.leader };
  }
}

test('a master that starts says how far it is, and is ready when it has what the leader had', async () => {
  const said = new Said();
  said.commit = 300;
  const readiness = readinessOf(said, '');
  const reason = () => {
    const now = readiness();
    return now.ready ? 'ready' : now.reason;
  };
  expect(reason()).toBe('No leader is known: a majority must be up; 0 of 200 entries of the journal applied (0 %)');
  said.lead('m2');
  said.applied = 299;
  expect(reason()).toBe('Catching up with the leader; 199 of 200 entries of the journal applied (99 %)');
  // Everything that this master knows to be committed is not everything.
  said.applied = 300;
  const [question] = said.questions.splice(0);
  question?.named(1100);
  expect(reason()).toBe('Catching up with the leader; 200 of 1000 entries of the journal applied (20 %)');
  said.applied = 1100;
  question?.resolve();
  await turns();
  expect(said.questions).toEqual([]);
  expect(reason()).toMatch(/not formatted/);
  said.state.put('cluster', '', { clusterId: 'c', formattedMs: 1 });
  expect(reason()).toBe('ready');
  // A little behind, as every standby is.
  said.commit = 1101;
  expect(reason()).toBe('ready');
});

test('a master that lost the leader asks the next one how far it is, again when that fails', async () => {
  const said = new Said();
  said.state.put('cluster', '', { clusterId: 'c', formattedMs: 1 });
  said.lead('m2');
  const readiness = readinessOf(said, '');
  expect(readiness()).toMatchObject({ ready: false });
  said.questions.splice(0)[0]?.resolve();
  await turns();
  expect(readiness()).toEqual({ ready: true });
  said.lead(undefined);
  expect(readiness()).toEqual({ ready: false, reason: 'No leader is known: a majority must be up' });
  said.lead('m3');
  expect(said.questions).toHaveLength(1);
  // One that changes while it is asked is asked again without anybody looking.
  said.lead('m1');
  said.questions.splice(0)[0]?.reject(new SluiceError('UNAVAILABLE', 'the leader changed'));
  await turns();
  expect(said.questions).toHaveLength(1);
  said.questions.splice(0)[0]?.reject(new SluiceError('UNAVAILABLE', 'it does not answer'));
  await turns();
  expect(said.questions).toHaveLength(0);
  expect(readiness()).toEqual({ ready: false, reason: 'Catching up with the leader; it does not answer' });
  said.questions.splice(0)[0]?.resolve();
  await turns();
  expect(readiness()).toEqual({ ready: true });
});

test('the root must be mounted when one was asked for', async () => {
  const said = new Said();
  said.leader = 'm2';
  said.state.put('cluster', '', { clusterId: 'c', formattedMs: 1 });
  const counters = { nextInodeId: 2, inodeCount: 1, logTimeMs: 0, workersVersion: 0, mountsVersion: 0 };
  said.state.put('counters', '', { ...counters, nextMountId: 1 });
  const readiness = readinessOf(said, 'file:///data');
  readiness();
  said.questions[0]?.resolve();
  await turns();
  expect(readiness()).toMatchObject({ ready: false, reason: expect.stringContaining('file:///data is not mounted') });
  said.state.put('counters', '', { ...counters, nextMountId: 2 });
  expect(readiness()).toEqual({ ready: true });
});
