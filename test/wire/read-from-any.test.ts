import { describe, expect, test } from 'vitest';
import { seededRandom } from '../../src/base/random.ts';
import { SluiceError } from '../../src/model/errors.ts';
import type { OperationName } from '../../src/model/operations.ts';
import type { OperationContext, OperationHandlers } from '../../src/wire/operation-handlers.ts';
import { ReadChoice } from '../../src/wire/read-choice.ts';
import { ManualTime } from '../support/manual-time.ts';
import { own } from '../support/owned.ts';
import { makeDirectory } from '../support/requests.ts';
import { openChannel, type Running, STATUS, startMaster } from './cluster.ts';

interface Seen {
  readonly running: Running;
  /** Names of operations, with `?` when any master might have answered. */
  readonly asked: string[];
}

/** A master that does everything, or a standby that answers reads which any master may answer if it is `able` to. */
async function master(leads: boolean, able = true): Promise<Seen> {
  const asked: string[] = [];
  const answer = (name: OperationName, reply: unknown) => async (_request: unknown, context: OperationContext) => {
    asked.push(context.anyMaster === true ? `${name}?` : name);
    if (!leads && !(context.anyMaster && able)) throw new SluiceError('NOT_LEADER', 'standby');
    return reply;
  };
  const handlers = {
    exists: answer('exists', { exists: true }),
    getStatus: answer('getStatus', STATUS),
    listStatus: answer('listStatus', { entries: [], cursor: '' }),
    getMountTable: answer('getMountTable', { mounts: [] }),
    getWorkers: answer('getWorkers', { version: 1, workers: [] }),
    makeDirectory: answer('makeDirectory', STATUS),
  } as Partial<OperationHandlers>;
  return { running: own(await startMaster(handlers)), asked };
}

/** Chooses the second master of two. */
const SECOND = { next: () => 0.6 };
const LISTING = { path: '/', recursive: false, cursor: '', limit: 0 };

describe.each(['stream', 'unary'] as const)('%s', (protocol) => {
  test('reads go to the chosen master, and everything that only the leader does to the leader', async () => {
    const [leader, standby] = [await master(true), await master(false)];
    const masters = [leader.running.address, standby.running.address];
    const channel = own(openChannel(masters, { protocol, readFrom: 'any', random: SECOND }));
    await channel.call('exists', { path: '/' });
    await channel.call('getStatus', { path: '/', sync: false });
    await channel.call('listStatus', LISTING);
    await channel.call('getMountTable', {});
    expect(standby.asked).toEqual(['exists?', 'getStatus?', 'listStatus?', 'getMountTable?']);
    await channel.call('makeDirectory', makeDirectory('/d'));
    await channel.call('getWorkers', {});
    await channel.call('getStatus', { path: '/', sync: true });
    await channel.call('listStatus', { ...LISTING, sync: true });
    expect(leader.asked).toEqual(['makeDirectory', 'getWorkers', 'getStatus', 'listStatus']);
    await channel.call('exists', { path: '/' });
    expect(standby.asked).toHaveLength(5);
  });

  test('who does not ask for it reads from the leader', async () => {
    const [leader, standby] = [await master(true), await master(false)];
    const masters = [leader.running.address, standby.running.address];
    const channel = own(openChannel(masters, { protocol, random: SECOND }));
    await channel.call('exists', { path: '/' });
    expect([leader.asked, standby.asked]).toEqual([['exists'], []]);
  });

  test('a read that the chosen master refuses, and those after it, go to the leader', async () => {
    const [leader, standby] = [await master(true), await master(false, false)];
    const masters = [leader.running.address, standby.running.address];
    const time = new ManualTime();
    const options = { protocol, readFrom: 'any', random: SECOND, clock: clockOf(time) } as const;
    const channel = own(openChannel(masters, options));
    await channel.call('exists', { path: '/' });
    await channel.call('exists', { path: '/' });
    expect([standby.asked, leader.asked]).toEqual([['exists?'], ['exists', 'exists']]);
  });

  test('a standby that refuses this client does not end what the leader does for it', async () => {
    const leader = await master(true);
    const standby = own(await startMaster({}, { token: 'another-token' }));
    const masters = [leader.running.address, standby.address];
    const channel = own(openChannel(masters, { protocol, readFrom: 'any', random: SECOND }));
    const all = ['/a', '/b', '/c'].map((path) => channel.call('makeDirectory', makeDirectory(path)));
    await channel.call('exists', { path: '/' });
    await Promise.all(all);
    expect(leader.asked).toContain('exists');
  });

  test('what the namespace refuses is not asked for again', async () => {
    const leader = await master(true);
    let asked = 0;
    const getStatus = async (): Promise<never> => {
      asked += 1;
      throw new SluiceError('NOT_FOUND', 'no');
    };
    const standby = own(await startMaster({ getStatus }));
    const masters = [leader.running.address, standby.address];
    const channel = own(openChannel(masters, { protocol, readFrom: 'any', random: SECOND }));
    await expect(channel.call('getStatus', { path: '/' })).rejects.toMatchObject({ code: 'NOT_FOUND' });
    expect([asked, leader.asked]).toEqual([1, []]);
  });

  test('when the chosen master dies, the leader answers', async () => {
    const leader = await master(true);
    let dies = (): void => undefined;
    const dying = own(
      await startMaster({
        exists: () => {
          dies();
          return new Promise(() => {});
        },
      }),
    );
    dies = () => void dying.server.close();
    const masters = [leader.running.address, dying.address];
    const channel = own(openChannel(masters, { protocol, readFrom: 'any', random: SECOND }));
    await expect(channel.call('exists', { path: '/' })).resolves.toEqual({ exists: true });
    expect(leader.asked).toEqual(['exists']);
  });

  test('nobody waits for a chosen master that cannot be reached', async () => {
    const leader = await master(true);
    const gone = await startMaster({});
    await gone.close();
    const masters = [leader.running.address, gone.address];
    const channel = own(openChannel(masters, { protocol, readFrom: 'any', random: SECOND }));
    await expect(channel.call('exists', { path: '/' })).resolves.toEqual({ exists: true });
    expect(leader.asked).toEqual(['exists']);
  });

  test('many reads and changes at a time are all answered', async () => {
    const [leader, standby] = [await master(true), await master(false)];
    const masters = [leader.running.address, standby.running.address];
    const channel = own(openChannel(masters, { protocol, readFrom: 'any', random: SECOND }));
    const reads = Array.from({ length: 1200 }, () => channel.call('exists', { path: '/' }));
    const changes = Array.from({ length: 600 }, () => channel.call('makeDirectory', makeDirectory('/d')));
    await Promise.all([...reads, ...changes]);
    expect(leader.asked.filter((name) => name === 'makeDirectory')).toHaveLength(600);
    expect(standby.asked.length + leader.asked.length).toBe(1800);
    expect(standby.asked.length).toBeGreaterThan(0);
  });
});

describe('the choice', () => {
  const MASTERS = ['a:1', 'b:1', 'c:1'];

  test('is kept, and clients spread over all', () => {
    const random = seededRandom(1);
    const chosen = Array.from({ length: 60 }, () => {
      const choice = new ReadChoice(new ManualTime(), random);
      const first = choice.choose(MASTERS);
      expect(choice.choose(MASTERS)).toBe(first);
      return first;
    });
    for (const address of MASTERS) expect(chosen.filter((each) => each === address).length).toBeGreaterThan(5);
  });

  test('is the leader for a while after a failure, then another one', async () => {
    const time = new ManualTime();
    const choice = new ReadChoice(time, { next: () => 0 });
    expect(choice.choose(MASTERS)).toBe('a:1');
    choice.failed('b:1');
    expect(choice.choose(MASTERS)).toBe('a:1');
    choice.failed('a:1');
    expect([choice.choose(MASTERS), choice.current]).toEqual([undefined, undefined]);
    await time.advance(250);
    expect(choice.choose(MASTERS)).toBe('b:1');
    choice.failed('b:1');
    await time.advance(250);
    expect(choice.choose(['b:1'])).toBe('b:1');
  });

  test('is made anew when the chosen master is gone, and after half a minute', async () => {
    const time = new ManualTime();
    let next = 0;
    const choice = new ReadChoice(time, { next: () => next });
    expect(choice.choose(MASTERS)).toBe('a:1');
    expect(choice.choose(MASTERS.slice(1))).toBe('b:1');
    next = 0.99;
    expect(choice.choose(MASTERS)).toBe('b:1');
    await time.advance(30_000);
    expect(choice.choose(MASTERS)).toBe('c:1');
  });
});

/** Stands still but for what timers need. */
function clockOf(time: ManualTime) {
  return { monotonicMs: () => time.monotonicMs(), wallMs: () => Date.now() };
}
