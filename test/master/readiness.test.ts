import { expect, test } from 'vitest';
import { MasterReadiness } from '../../src/master/readiness.ts';
import type { StateListener } from '../../src/master/replicated-state.ts';
import { SluiceError } from '../../src/model/errors.ts';
import { MemoryStateStore } from '../../src/model/memory-state-store.ts';
import { ManualTime, turns } from '../support/manual-time.ts';

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

function setUp(rootUfs = '') {
  const said = new Said();
  const time = new ManualTime();
  const refused = new Map<string, string>();
  const refusals = () => refused;
  const readiness = new MasterReadiness({ journal: said, refusals, rootUfs, clock: time, timers: time });
  const reason = () => (readiness.now.ready ? 'ready' : readiness.now.reason);
  return { said, time, readiness, reason, refused };
}

function format(said: Said): void {
  said.state.put('cluster', '', { clusterId: 'c', formattedMs: 1 });
}

/** Takes the only question that waits. */
function question(said: Said) {
  expect(said.questions).toHaveLength(1);
  return said.questions.splice(0)[0] as Said['questions'][number];
}

test('a master that starts says how far it is, and is ready when it has what the leader had', async () => {
  const { said, reason } = setUp();
  said.commit = 300;
  expect(reason()).toBe('No leader is known: a majority must be up; 0 of 200 entries of the journal applied (0 %)');
  said.lead('m2');
  said.applied = 299;
  expect(reason()).toBe('Catching up with the leader; 199 of 200 entries of the journal applied (99 %)');
  // Everything that this master knows to be committed is not everything.
  said.applied = 300;
  const first = question(said);
  first.named(1100);
  expect(reason()).toBe('Catching up with the leader; 200 of 1000 entries of the journal applied (20 %)');
  said.applied = 1100;
  first.resolve();
  await turns();
  expect(said.questions).toEqual([]);
  expect(reason()).toMatch(/not formatted/);
  format(said);
  expect(reason()).toBe('ready');
  // A little behind, as every standby is.
  said.commit = 1101;
  expect(reason()).toBe('ready');
});

test('what was written while it caught up has to be taken over, too', async () => {
  const { said, time, reason } = setUp();
  format(said);
  said.lead('m2');
  const first = question(said);
  first.named(500);
  await time.advance(60_000);
  said.applied = 500;
  first.resolve();
  await turns();
  const second = question(said);
  second.named(900);
  expect(reason()).toBe('Catching up with the leader; 400 of 800 entries of the journal applied (50 %)');
  await time.advance(900);
  second.resolve();
  await turns();
  expect([reason(), said.questions]).toEqual(['ready', []]);
});

test('each leader that becomes known is asked, and what an earlier one had counts no more', async () => {
  const { said, reason } = setUp();
  format(said);
  said.lead('m2');
  question(said).resolve();
  await turns();
  expect(reason()).toBe('ready');
  said.lead(undefined);
  expect(reason()).toBe('No leader is known: a majority must be up');
  said.lead('m3');
  const old = question(said);
  said.lead('m1');
  old.resolve();
  await turns();
  expect(reason()).toBe('Catching up with the leader');
  question(said).resolve();
  await turns();
  expect(reason()).toBe('ready');
});

test('a leader that does not answer is asked again after a while, and not once it is closed', async () => {
  const { said, time, readiness, reason } = setUp();
  format(said);
  said.lead('m2');
  question(said).reject(new SluiceError('UNAVAILABLE', 'late'));
  await turns();
  expect([reason(), said.questions]).toEqual(['Catching up with the leader; it did not say how far it is', []]);
  await time.advance(1_000);
  question(said).reject(new SluiceError('UNAVAILABLE', 'late'));
  await turns();
  readiness.close();
  await time.advance(1_000);
  expect([said.questions, time.pending]).toEqual([[], 0]);
});

test('who is refused by other masters says so instead of waiting in silence', () => {
  const { said, reason, refused } = setUp();
  refused.set('m2@0123456789ab', 'The token is not the one of this cluster');
  expect(reason()).toBe(
    'No leader is known: a majority must be up; m2 refuses this master: The token is not the one of this cluster',
  );
  said.lead('m1');
  expect(reason()).toMatch(/^Catching up/);
});

test('the root must be mounted when one was asked for', async () => {
  const { said, readiness } = setUp('file:///data');
  said.lead('m2');
  format(said);
  const counters = { nextInodeId: 2, inodeCount: 1, logTimeMs: 0, workersVersion: 0, mountsVersion: 0 };
  said.state.put('counters', '', { ...counters, nextMountId: 1 });
  question(said).resolve();
  await turns();
  expect(readiness.now).toMatchObject({
    ready: false,
    reason: expect.stringContaining('file:///data is not mounted'),
  });
  said.state.put('counters', '', { ...counters, nextMountId: 2 });
  expect(readiness.now).toEqual({ ready: true });
});
