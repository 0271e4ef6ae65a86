import { expect, test, vi } from 'vitest';
import { BlockRouter } from '../../src/client/block-router.ts';
import { FileSystem } from '../../src/client/file-system.ts';
import { own } from '../support/owned.ts';
import { startMaster } from '../wire/cluster.ts';

test('a client that meets another cluster where it knew one forgets the workers of that one', async () => {
  const forget = vi.spyOn(BlockRouter.prototype, 'forget');
  const exists = async () => ({ exists: true });
  const before = await startMaster({ exists }, { cluster: 'one/0' });
  const files = own(await FileSystem.connect({ masters: [before.address] }));
  await files.exists('/');
  expect(forget).not.toHaveBeenCalled();
  await before.close();
  own(await startMaster({ exists }, { cluster: 'one/1', port: Number(before.address.split(':')[1]) }));
  await files.exists('/');
  expect(forget).toHaveBeenCalledTimes(1);
  forget.mockRestore();
});
