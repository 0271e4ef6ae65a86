import { type AddressInfo, createServer } from 'node:net';
import { describe, expect, test, vi } from 'vitest';
import { SluiceError } from '../../src/model/errors.ts';
import { ManualTime } from '../support/manual-time.ts';
import { own } from '../support/owned.ts';
import { pause } from '../support/process-cluster.ts';
import { makeDirectory } from '../support/requests.ts';
import { openChannel, type Running, STATUS, startMaster } from './cluster.ts';

const DIRECTORY = makeDirectory('/d');
/** Three masters of which the one at `leader.at` leads; the others say so. */
async function three(): Promise<{ masters: readonly Running[]; leader: { at: number } }> {
  const leader = { at: 0 };
  const masters: Running[] = [];
  for (const index of [0, 1, 2]) {
    const makeDirectory = async () => {
      if (leader.at === index) return STATUS;
      throw new SluiceError('NOT_LEADER', 'standby', { details: { leader: masters[leader.at]?.address ?? '' } });
    };
    masters.push(own(await startMaster({ makeDirectory })));
  }
  return { masters, leader };
}

async function sessions(masters: readonly Running[]): Promise<number[]> {
  return Promise.all(masters.map((master) => master.sessions()));
}

const addressesOf = (masters: readonly Running[]): string[] => masters.map(({ address }) => address);

describe('connections to masters', () => {
  test('a client dials nobody but the leader until it has been at work for a second', async () => {
    const { masters } = await three();
    const time = new ManualTime();
    const channel = own(openChannel(addressesOf(masters), { timers: time }));
    await channel.call('makeDirectory', DIRECTORY);
    await time.advance(900);
    expect(await sessions(masters)).toEqual([1, 0, 0]);
    await time.advance(200);
    await vi.waitFor(async () => expect(await sessions(masters)).toEqual([1, 1, 1]));
  });

  test('leaders change without a new connection, and none is given up', async () => {
    const { masters, leader } = await three();
    const time = new ManualTime();
    const channel = own(openChannel(addressesOf(masters), { timers: time }));
    await channel.call('makeDirectory', DIRECTORY);
    await time.advance(1_000);
    await vi.waitFor(async () => expect(await sessions(masters)).toEqual([1, 1, 1]));
    for (const at of [2, 1, 0, 2]) {
      leader.at = at;
      await channel.call('makeDirectory', DIRECTORY);
      await time.advance(10_000);
      expect(await sessions(masters)).toEqual([1, 1, 1]);
    }
    expect(masters.map(({ sessionsOpened }) => sessionsOpened)).toEqual([1, 1, 1]);
  });

  test('a master that was away is dialled again, as soon as there is work', async () => {
    const { masters } = await three();
    const time = new ManualTime();
    const channel = own(openChannel(addressesOf(masters), { timers: time }));
    await channel.call('makeDirectory', DIRECTORY);
    await time.advance(1_000);
    await vi.waitFor(async () => expect(await sessions(masters)).toEqual([1, 1, 1]));
    const [, gone] = masters as [Running, Running];
    await gone.close();
    const port = Number(gone.address.split(':')[1]);
    const back = own(await startMaster({}, { port }));
    await time.advance(60_000);
    expect(await back.sessions()).toBe(0);
    await channel.call('makeDirectory', DIRECTORY);
    await time.advance(10_000);
    await vi.waitFor(async () => expect(await back.sessions()).toBe(1));
  });

  test('a refusal by the leader is an answer, too', async () => {
    const { masters } = await three();
    const time = new ManualTime();
    const channel = own(openChannel(addressesOf(masters), { timers: time }));
    await expect(channel.call('exists', { path: '/' })).rejects.toMatchObject({ code: 'UNSUPPORTED' });
    await time.advance(1_000);
    await vi.waitFor(async () => expect(await sessions(masters)).toEqual([1, 1, 1]));
  });

  test('a client that is closed leaves no timer behind', async () => {
    const { masters } = await three();
    const time = new ManualTime();
    const channel = own(openChannel(addressesOf(masters), { timers: time }));
    await channel.call('makeDirectory', DIRECTORY);
    await channel.close();
    expect(time.pending).toBe(0);
  });

  test('a standby that was away while another one led is followed at once when it leads', async () => {
    const { masters, leader } = await three();
    const time = new ManualTime();
    const [first, second, third] = masters as [Running, Running, Running];
    const channel = own(openChannel(addressesOf(masters), { timers: time }));
    await channel.call('makeDirectory', DIRECTORY);
    await time.advance(1_000);
    await vi.waitFor(async () => expect(await sessions(masters)).toEqual([1, 1, 1]));
    await second.close();
    const asked: string[] = [];
    const port = Number(second.address.split(':')[1]);
    const lead = async () => {
      asked.push('second');
      return STATUS;
    };
    own(await startMaster({ makeDirectory: lead }, { port }));
    leader.at = 1;
    await first.close();
    await channel.call('makeDirectory', DIRECTORY);
    expect(asked).toEqual(['second']);
    expect(third.sessionsOpened).toBe(1);
  });

  test.each([
    ['stream', 1],
    ['unary', 0],
  ] as const)('with the protocol %s, other masters get %d connections', async (protocol, expected) => {
    const [leader] = (await three()).masters as [Running];
    let dialled = 0;
    const other = createServer((socket) => {
      dialled += 1;
      socket.destroy();
    });
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    own({ close: () => new Promise<void>((resolve) => other.close(() => resolve())) });
    const { port } = other.address() as AddressInfo;
    const time = new ManualTime();
    const channel = own(openChannel([leader.address, `127.0.0.1:${port}`], { timers: time, protocol }));
    await channel.call('makeDirectory', DIRECTORY);
    await time.advance(1_000);
    if (expected > 0) await vi.waitFor(() => expect(dialled).toBeGreaterThanOrEqual(expected));
    else {
      await pause(200);
      expect(dialled).toBe(0);
    }
  });

  test('the one to a master that is none any more is closed when it owes nothing', async () => {
    const { masters, leader } = await three();
    const time = new ManualTime();
    const [first, second, third] = masters as [Running, Running, Running];
    const channel = own(openChannel(addressesOf([first, second]), { timers: time }));
    leader.at = 2;
    await channel.call('makeDirectory', DIRECTORY);
    leader.at = 0;
    await channel.call('makeDirectory', DIRECTORY);
    await time.advance(1_000);
    await vi.waitFor(async () => expect(await sessions([first, second, third])).toEqual([1, 1, 0]));
  });
});
