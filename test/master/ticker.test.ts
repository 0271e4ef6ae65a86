import { expect, test } from 'vitest';
import { Ticker } from '../../src/master/ticker.ts';
import { ManualTime } from '../support/manual-time.ts';

/** A clock that a test can let run on while no timer fires, as a busy event loop does. */
class StallingTime extends ManualTime {
  lateMs = 0;
  override monotonicMs(): number {
    return super.monotonicMs() + this.lateMs;
  }
}

function ticker() {
  const time = new StallingTime();
  const seen: string[] = [];
  const made = new Ticker({
    clock: time,
    timers: time,
    periodMs: 10,
    stallMs: 50,
    tick: () => seen.push('tick'),
    stalled: (lateMs) => seen.push(`stalled ${lateMs}`),
  });
  return { time, seen, made };
}

test('one tick a period', async () => {
  const { time, seen, made } = ticker();
  await time.advance(35);
  expect(seen).toEqual(['tick', 'tick', 'tick']);
  made.stop();
  await time.advance(50);
  expect(seen.length).toBe(3);
});

test('a short delay costs nothing, and is not made up', async () => {
  const { time, seen } = ticker();
  time.lateMs = 40;
  await time.advance(20);
  expect(seen).toEqual(['tick', 'tick']);
});

test('after a stall the ticks in which messages are read are skipped', async () => {
  const { time, seen } = ticker();
  await time.advance(10);
  time.lateMs = 200;
  await time.advance(40);
  expect(seen).toEqual(['tick', 'stalled 200', 'tick', 'tick']);
});

test('however late a tick was, the next one does not come at once', async () => {
  const { time, seen } = ticker();
  time.lateMs = 9;
  await time.advance(10);
  time.lateMs = 2;
  await time.advance(10);
  expect(seen).toEqual(['tick']);
  time.lateMs = 0;
  await time.advance(10);
  expect(seen).toEqual(['tick', 'tick']);
});
