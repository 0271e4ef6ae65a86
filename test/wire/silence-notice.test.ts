import { beforeEach, describe, expect, test } from 'vitest';
import type { LogFields, Logger } from '../../src/host/logger.ts';
import { SluiceError } from '../../src/model/errors.ts';
import { SilenceNotice } from '../../src/wire/silence-notice.ts';
import { ManualTime } from '../support/manual-time.ts';

const REASON = new SluiceError('UNAVAILABLE', 'nobody is there');

describe('a notice of silence', () => {
  let time: ManualTime;
  let said: LogFields[];
  let waiting: boolean;
  let reached: boolean;
  let notice: SilenceNotice;

  beforeEach(() => {
    time = new ManualTime();
    said = [];
    waiting = true;
    reached = false;
    const nothing = (): void => undefined;
    const warn = (fields: LogFields): void => void said.push(fields);
    const logger: Logger = { debug: nothing, info: nothing, warn, error: nothing, child: () => logger };
    const state = { waiting: () => waiting, reached: () => reached, reason: () => REASON };
    notice = new SilenceNotice({ clock: time, timers: time, logger, ...state });
  });

  test('is given once, with the reason, however many ask', async () => {
    notice.asks(true);
    await time.advance(1_900);
    notice.asks(false);
    expect(said).toEqual([]);
    await time.advance(200);
    expect(said).toEqual([{ err: REASON }]);
    notice.asks(false);
    await time.advance(10_000);
    expect(said).toHaveLength(1);
    expect(time.pending).toBe(0);
  });

  test('is given again when masters that had answered fall silent again', async () => {
    notice.asks(true);
    await time.advance(2_100);
    notice.heard();
    notice.asks(true);
    await time.advance(2_100);
    expect(said).toHaveLength(2);
  });

  test('is not given while answers come, nor when nobody waits', async () => {
    notice.asks(true);
    for (let i = 0; i < 10; i += 1) {
      await time.advance(1_000);
      notice.heard();
      notice.asks(true);
    }
    waiting = false;
    await time.advance(10_000);
    expect(said).toEqual([]);
    expect(time.pending).toBe(0);
  });

  test('counts from the first who waits', async () => {
    notice.asks(true);
    notice.heard();
    await time.advance(1_900);
    notice.asks(true);
    await time.advance(1_900);
    expect(said).toEqual([]);
    await time.advance(200);
    expect(said).toHaveLength(1);
  });

  test('counts from the last answer, when others still wait', async () => {
    notice.asks(true);
    await time.advance(1_900);
    notice.heard();
    await time.advance(1_900);
    expect(said).toEqual([]);
    await time.advance(200);
    expect(said).toHaveLength(1);
  });

  test('is not given of masters that are at work, but when they are lost', async () => {
    notice.asks(true);
    reached = true;
    await time.advance(10_000);
    expect(said).toEqual([]);
    reached = false;
    await time.advance(2_000);
    expect(said).toHaveLength(1);
  });

  test('is not given by who was closed', async () => {
    notice.asks(true);
    notice.close();
    notice.asks(true);
    expect(time.pending).toBe(0);
    await time.advance(10_000);
    expect(said).toEqual([]);
  });
});
