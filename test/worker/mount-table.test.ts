import { expect, test } from 'vitest';
import { createLogger } from '../../src/host/logger.ts';
import { SluiceError } from '../../src/model/errors.ts';
import { MountTable } from '../../src/worker/mount-table.ts';
import { ScriptedUfs } from './scripted-ufs.ts';
import { mountOf } from './service-fixture.ts';

function tableWith(): { table: MountTable; opened: ScriptedUfs[] } {
  const opened: ScriptedUfs[] = [];
  const table = new MountTable({
    logger: createLogger('silent', {}),
    open(mount) {
      if (mount.uri.startsWith('bad:')) throw new SluiceError('UNSUPPORTED', `${mount.uri} is of no known kind`);
      const ufs = new ScriptedUfs();
      opened.push(ufs);
      return ufs;
    },
  });
  return { table, opened };
}

test('a mount is opened once, opened anew when it changes, and closed when it is gone', async () => {
  const { table, opened } = tableWith();
  table.update(1, [mountOf(1), mountOf(2)], true);
  table.update(2, [mountOf(1), { ...mountOf(2), options: { 's3.secret': 'new' } }], false);
  expect(opened.map((ufs) => ufs.closed)).toEqual([0, 1, 0]);
  table.update(3, [mountOf(1)], false);
  expect(opened.map((ufs) => ufs.closed)).toEqual([0, 1, 1]);
  expect(() => table.acquire(2)).toThrow(/does not know mount 2/);
  await table.close();
  expect(opened.map((ufs) => ufs.closed)).toEqual([1, 1, 1]);
});

test('a storage stays open while somebody uses it', async () => {
  const { table, opened } = tableWith();
  table.update(1, [mountOf(1)], true);
  const [first, second] = [table.acquire(1), table.acquire(1)];
  table.update(2, [], false);
  first.release();
  first.release();
  expect(opened[0]?.closed).toBe(0);
  second.release();
  expect(opened[0]?.closed).toBe(1);
  await table.close();
});

test('an older table is left aside, unless another leader tells it', () => {
  const { table } = tableWith();
  table.update(5, [mountOf(1)], true);
  table.update(4, [], false);
  expect(table.acquire(1).readOnly).toBe(false);
  table.update(1, [], true);
  expect(() => table.acquire(1)).toThrow();
});

test('a mount that cannot be opened says why, and does not touch others', () => {
  const { table } = tableWith();
  table.update(1, [{ ...mountOf(1), uri: 'bad://x' }, mountOf(2)], true);
  expect(() => table.acquire(1)).toThrow(/cannot be opened by this worker: bad:\/\/x is of no known kind/);
  expect(table.acquire(2).ufs.uri).toBe('scripted://files');
  table.update(2, [mountOf(1), mountOf(2)], false);
  expect(table.acquire(1).ufs.uri).toBe('scripted://files');
});
