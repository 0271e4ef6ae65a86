import { beforeEach, describe, expect, it } from 'vitest';
import { LeaderGate } from '../../src/master/leader-gate.ts';
import { SluiceError } from '../../src/model/errors.ts';
import { LocalState } from '../support/local-state.ts';
import { ManualTime, turns } from '../support/manual-time.ts';

const PATIENCE_MS = 100;
const TO_M2 = { code: 'NOT_LEADER', details: { leader: 'two:1' } };

let time: ManualTime;
let state: LocalState;
let gate: LeaderGate;

beforeEach(() => {
  time = new ManualTime();
  state = new LocalState(time);
  const addressOf = (member: string) => ({ m1: 'one:1', m2: 'two:1' })[member];
  gate = new LeaderGate({ state, timers: time, patienceMs: PATIENCE_MS, addressOf });
});

/** What became of an operation so far. */
function asked(task: () => Promise<string> = async () => 'done'): { outcome: unknown } {
  const seen: { outcome: unknown } = { outcome: 'waiting' };
  gate.guarded(task).then(
    (value) => {
      seen.outcome = value;
    },
    (error: unknown) => {
      seen.outcome = error;
    },
  );
  return seen;
}

describe('an operation', () => {
  it('passes the leader at once', async () => {
    const seen = asked();
    await turns(1);
    expect(seen.outcome).toBe('done');
    expect(time.pending).toBe(0);
  });

  it('is sent to another leader at once', async () => {
    state.lead(false, 'm2');
    const seen = asked();
    await turns(1);
    expect(seen.outcome).toMatchObject(TO_M2);
  });

  it('is not sent to this master itself, which leads and cannot serve', async () => {
    state.lead(false, 'm1');
    const seen = asked();
    await turns();
    await time.advance(PATIENCE_MS);
    await turns();
    expect(seen.outcome).toMatchObject({ code: 'NOT_LEADER', details: {} });
    expect((seen.outcome as SluiceError).details).not.toHaveProperty('leader');
  });

  it('waits for a new leader that has not applied what came before its term', async () => {
    state.lead(false, 'm1');
    const [one, other] = [asked(), asked()];
    await turns();
    expect([one.outcome, other.outcome]).toEqual(['waiting', 'waiting']);
    state.lead(true);
    await turns();
    expect([one.outcome, other.outcome]).toEqual(['done', 'done']);
    expect(time.pending).toBe(0);
  });

  it('that meets a leader which hands over is told the successor', async () => {
    const seen = asked(() => Promise.reject(new SluiceError('NOT_LEADER', 'transferring')));
    await turns();
    expect(seen.outcome).toBe('waiting');
    state.lead(false, 'm1');
    await turns();
    expect(seen.outcome).toBe('waiting');
    state.lead(false, 'm2');
    await turns();
    expect(seen.outcome).toMatchObject(TO_M2);
    expect(time.pending).toBe(0);
  });

  it.each([
    ['no leader becomes known', () => state.lead(false, 'm1'), async () => 'done'],
    [
      'the leader keeps leadership and refuses',
      () => undefined,
      () => Promise.reject(new SluiceError('NOT_LEADER', 'transferring')),
    ],
  ])('is refused after a while when %s', async (_, prepare, task) => {
    prepare();
    const seen = asked(task as () => Promise<string>);
    await time.advance(PATIENCE_MS - 1);
    expect(seen.outcome).toBe('waiting');
    await time.advance(1);
    expect(seen.outcome).toMatchObject({ code: 'NOT_LEADER', details: {} });
    expect(time.pending).toBe(0);
  });

  it('gets other errors as they are', async () => {
    const seen = asked(() => Promise.reject(new SluiceError('NOT_FOUND', 'no')));
    await turns(1);
    expect(seen.outcome).toMatchObject({ code: 'NOT_FOUND' });
  });
});

describe('a read of who takes the answer of any master', () => {
  it.each(['NOT_LEADER', 'UNAVAILABLE', 'TIMED_OUT', 'EXHAUSTED', 'CORRUPT', 'INTERNAL'] as const)(
    'goes to the leader at once when it ends here with %s',
    async (code) => {
      state.lead(false, 'm2');
      const cause = new SluiceError(code, 'the barrier broke');
      await expect(gate.standing(() => Promise.reject(cause))).rejects.toMatchObject({ ...TO_M2, cause });
      state.lead(false, 'unheard-of');
      await expect(gate.standing(() => Promise.reject(cause))).rejects.toMatchObject({ code: 'NOT_LEADER' });
      expect(time.pending).toBe(0);
    },
  );

  it.each(['NOT_FOUND', 'PERMISSION_DENIED', 'CANCELLED'] as const)('ends here with %s', async (code) => {
    state.lead(false, 'm2');
    const refusal = new SluiceError(code, 'no');
    await expect(gate.standing(() => Promise.reject(refusal))).rejects.toBe(refusal);
  });
});
