import { afterEach, beforeEach, expect, it } from 'vitest';
import { createLogger } from '../../src/host/logger.ts';
import { Metrics } from '../../src/host/metrics.ts';
import { Purger } from '../../src/master/purger.ts';
import { SessionSweeper } from '../../src/master/session-sweeper.ts';
import { LocalState, ROOT_CALLER, sharedState } from '../support/local-state.ts';
import { ManualTime } from '../support/manual-time.ts';
import { createFile, deletion } from '../support/requests.ts';

const log = createLogger('silent', {});
let time: ManualTime;
let shared: ReturnType<typeof sharedState>;
let state: LocalState;

beforeEach(() => {
  time = new ManualTime();
  shared = sharedState();
  state = new LocalState(time, { shared });
});

function purger(of: LocalState): Purger {
  return new Purger({ state: of, system: ROOT_CALLER, clock: time, timers: time, log, metrics: new Metrics() });
}

async function tree(files: number): Promise<void> {
  for (let i = 0; i < files; i++) {
    const request = createFile(`/t/d${i % 7}/e${i % 3}/f${i}`, {
      writeType: 'MUST_CACHE',
      empty: true,
      recursive: true,
    });
    await state.propose(
      { ...request, kind: 'createFile', blockSizeBytes: 1, ufsVersion: '' },
      { principal: ROOT_CALLER },
    );
  }
}

const remove = () =>
  state.propose({ ...deletion('/t', { recursive: true }), kind: 'delete' }, { principal: ROOT_CALLER });

/** Rows that a clean namespace has: the root alone. */
function expectClean(): void {
  expect(state.state.rows('inode').length).toBe(1);
  expect(state.state.rows('place').length).toBe(1);
  expect(state.state.rows('trash')).toEqual([]);
  expect(state.state.get('counters', '')?.inodeCount).toBe(1);
}

const open: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const service of open.splice(0)) await service.close();
});

it('purges what is detached while it leads, in bounded commands', async () => {
  open.push(purger(state));
  await tree(2_500);
  await remove();
  await time.advance(60_000);
  expectClean();
  const sizes = state.commands.flatMap((command) => (command.kind === 'purge' ? [command.entries.length] : []));
  expect(Math.max(...sizes)).toBeLessThanOrEqual(1_000);
  expect(sizes.length).toBeGreaterThan(2);
});

it('purges at its start what the leader before left, and again what comes later', async () => {
  await tree(20);
  await remove();
  open.push(purger(state));
  await time.advance(1_000);
  expectClean();
  await tree(5);
  await remove();
  await time.advance(1_000);
  expectClean();
});

it('is taken over by the next leader in the middle', async () => {
  await tree(3_000);
  open.push(purger(state));
  let purges = 0;
  state.after = (command) => {
    if (command.kind === 'purge' && ++purges === 2) state.lead(false);
  };
  await remove();
  await time.advance(60_000);
  expect(purges).toBe(2);
  expect(state.state.rows('trash').length).toBeGreaterThan(0);
  const next = new LocalState(time, { shared });
  open.push(purger(next));
  await time.advance(60_000);
  expectClean();
});

it('tries again what failed', async () => {
  await tree(10);
  let failures = 3;
  state.before = (command) => {
    if (command.kind === 'purge' && failures-- > 0) throw new Error('full');
  };
  open.push(purger(state));
  await remove();
  await time.advance(10_000);
  expectClean();
});

it('does nothing while it does not lead', async () => {
  await tree(10);
  await remove();
  state.lead(false);
  open.push(purger(state));
  await time.advance(10_000);
  expect(state.count('purge')).toBe(0);
  state.lead(true);
  await time.advance(10_000);
  expectClean();
});

it('forgets sessions that were idle for too long in log time', async () => {
  const session = async (client: string) =>
    state.propose(
      { kind: 'makeDirectory', path: `/${client}`, mode: 0o755, recursive: false, allowExists: true, persisted: false },
      { principal: ROOT_CALLER, requestId: { client, sequence: 1, acknowledgedBelow: 1 } },
    );
  open.push(new SessionSweeper({ state, system: ROOT_CALLER, timers: time, log, idleMs: 3_600_000 }));
  await session('old');
  await time.advance(7_200_000);
  // Log time stands still: who came last is not idle.
  expect(state.state.rows('session').map(({ key }) => key)).toEqual(['old']);
  await session('new');
  await time.advance(3_600_000);
  expect(state.state.rows('session').map(({ key }) => key)).toEqual(['new']);
  expect(state.state.rows('reply').length).toBe(1);
});
