import { afterEach, describe, expect, test } from 'vitest';
import { SluiceError } from '../../src/model/errors.ts';
import { openChannel, startMaster, STATUS } from './cluster.ts';

const open: { close(): Promise<void> }[] = [];

function own<T extends { close(): Promise<void> }>(thing: T): T {
  open.push(thing);
  return thing;
}

afterEach(async () => {
  for (const thing of open.splice(0).reverse()) await thing.close();
});

describe.each(['stream', 'unary'] as const)('%s', (protocol) => {
  test('an operation reaches its handler and its reply comes back', async () => {
    const master = own(await startMaster({ getStatus: async ({ path }) => ({ ...STATUS, path }) }));
    const channel = own(openChannel([master.address], { protocol }));
    const replies = await Promise.all(['/a', '/b', '/c'].map((path) => channel.call('getStatus', { path })));
    expect(replies.map((reply) => reply.path)).toEqual(['/a', '/b', '/c']);
    expect(replies[0]).toEqual({ ...STATUS, path: '/a' });
  });

  test('a refusal comes back with code, message and details', async () => {
    const error = new SluiceError('NOT_EMPTY', 'Größe', { details: { count: 3, text: 'x', flag: true } });
    const master = own(await startMaster({ delete: () => Promise.reject(error) }));
    const channel = own(openChannel([master.address], { protocol }));
    const request = { path: '/a', recursive: false, keepUfs: false, id: 0 };
    await expect(channel.call('delete', request)).rejects.toMatchObject({
      code: 'NOT_EMPTY',
      message: 'Größe',
      details: { count: 3, text: 'x', flag: true },
    });
  });
});
