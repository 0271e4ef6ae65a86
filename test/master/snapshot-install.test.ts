import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { DataFolder } from '../../src/host/data-folder.ts';
import { nodeTimers } from '../../src/host/node-timers.ts';
import { IncomingState } from '../../src/master/incoming-state.ts';
import { JournalInspection } from '../../src/master/journal-inspection.ts';
import { JOURNAL_STORES, type JournalStoreKind } from '../../src/master/journal-store-kind.ts';
import { LevelLogStore } from '../../src/master/level-log-store.ts';
import { LevelStateStore } from '../../src/master/level-state-store.ts';
import { SegmentLogStore } from '../../src/master/segment-log-store.ts';
import { INCOMING_FOLDER, installState, resumeInstall } from '../../src/master/snapshot-install.ts';
import { checkStatePosition } from '../../src/master/state-position.ts';
import { SluiceError } from '../../src/model/errors.ts';
import type { LogStore } from '../../src/raft/log-store.ts';
import { membershipOf } from '../../src/raft/membership.ts';
import type { Position } from '../../src/raft/position.ts';
import { chainSnapshot, encodeSnapshotRows } from '../../src/wire/codec/snapshot-rows.ts';
import { encodeRow } from '../../src/wire/codec/state.ts';
import { inode } from '../contract/state-store.contract.ts';

let root = '';
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'sluice-install-'));
});
afterEach(() => rm(root, { recursive: true, force: true }));

const openState = (folder: string) =>
  LevelStateStore.open({
    folder: join(folder, 'state'),
    cacheBytes: 1 << 20,
    timers: nodeTimers,
    onFatal: (error) => {
      throw error;
    },
  });

const newLog = (kind: JournalStoreKind, folder: string): LogStore =>
  kind === 'level' ? new LevelLogStore(join(folder, 'journal')) : new SegmentLogStore(join(folder, 'journal'));

/** A master whose state is at 10 and whose log ends at `last`; another's state, of 50, is complete beside it. */
async function prepare(folder: string, log: LogStore, last: number): Promise<LevelStateStore> {
  const state = await openState(folder);
  for (let index = 1; index <= 10; index += 1) {
    state.put('inode', 'old', inode(index));
    state.finishEntry({ term: 1, index });
  }
  await state.flush();
  await log.open();
  const entries = Array.from({ length: last }, (_, i) => {
    return { term: i < 20 ? 1 : 2, index: i + 1, kind: 'noop' as const, bytes: new Uint8Array(0) };
  });
  await log.write({ ballot: { term: 7, votedFor: 'a' }, entries, commit: 10 });
  const incoming = new IncomingState(join(folder, INCOMING_FOLDER));
  await incoming.open();
  await incoming.begin('an-id');
  const rows = encodeSnapshotRows([['inew', encodeRow('inode', inode(50))]]);
  await incoming.add({ rows, chain: chainSnapshot(rows, 0), last: true });
  await incoming.complete({ position: { term: 2, index: 50 }, term: 7, membership: membershipOf(['b']) });
  return state;
}

/** What a master finds that starts with what a crash has left. */
async function start(kind: JournalStoreKind, folder: string) {
  const resumed = await resumeInstall(folder, () => newLog(kind, folder));
  const state = await openState(folder);
  const log = newLog(kind, folder);
  const stored = await log.open();
  checkStatePosition(folder, state.applied, stored);
  const found = {
    resumed,
    applied: state.applied.index,
    row: state.get('inode', state.applied.index === 50 ? 'new' : 'old')?.id,
    members: state.membership?.voters,
    base: stored.base.index,
    last: stored.last.index,
    ballot: stored.ballot,
  };
  await log.close();
  await state.close();
  return found;
}

for (const kind of JOURNAL_STORES)
  for (const [name, last, keepLog] of [
    ['a log that begins anew', 20, false],
    ['a log that goes on', 60, true],
  ] as const)
    test(`${kind}, ${name}: a crash at any step leaves all of the old or leads to all of the new`, async () => {
      const folder = join(root, 'live');
      await mkdir(folder);
      const log = newLog(kind, folder);
      const state = await prepare(folder, log, last);
      const copies: string[] = [];
      const crash = async (step: string) => {
        const copy = join(root, `${copies.length} ${step}`);
        await cp(folder, copy, { recursive: true });
        copies.push(copy);
      };
      await crash('before');
      const position: Position = { term: 2, index: 50 };
      await state.replace(async () => {
        for await (const step of installState(folder, { position, keepLog }, log)) await crash(step);
      });
      expect([state.applied, state.get('inode', 'old'), state.get('inode', 'new')?.id]).toEqual([
        position,
        undefined,
        50,
      ]);
      await state.close();
      await log.close();
      await crash('after');
      const ballot = { term: 7, votedFor: 'a' };
      const before = { resumed: false, applied: 10, row: 10, members: undefined, base: 0, last, ballot };
      const after = { applied: 50, row: 50, members: ['b'], base: keepLog ? 0 : 50, last: keepLog ? 60 : 50, ballot };
      const [first, ...rest] = copies as [string, ...string[]];
      expect(await start(kind, first)).toEqual(before);
      for (const [i, copy] of rest.entries()) {
        expect(await start(kind, copy), copy).toEqual({ resumed: i < rest.length - 2, ...after });
        expect(await start(kind, copy), `${copy}, again`).toEqual({ resumed: false, ...after });
      }
      expect(rest.length).toBe(keepLog ? 5 : 6);
    });

test('a look at a master whose install was interrupted finds nothing wrong', async () => {
  const folder = join(root, 'live');
  const data = await DataFolder.open(folder, 'master');
  const log = newLog('level', folder);
  const state = await prepare(folder, log, 20);
  const position: Position = { term: 2, index: 50 };
  await expect(
    state.replace(async () => {
      for await (const step of installState(folder, { position, keepLog: false }, log))
        if (step === 'old state moved away') throw new SluiceError('CANCELLED', 'as if the process ended');
    }),
  ).rejects.toMatchObject({ code: 'CANCELLED' });
  await log.close();
  await state.close();
  await data.close();
  const inspection = await JournalInspection.open(folder, nodeTimers);
  const report = await inspection.check(() => undefined, new AbortController().signal);
  expect(report).toMatchObject({ installing: position, last: { index: 20 }, problems: [] });
  expect(report.state).toBeUndefined();
  await inspection.close();
  expect(await start('level', folder)).toMatchObject({ resumed: true, applied: 50, last: 50 });
});

test('a note that cannot be read is refused', async () => {
  await writeFile(join(root, 'install.json'), '{"position":');
  await expect(resumeInstall(root, () => newLog('level', root))).rejects.toMatchObject({ code: 'CORRUPT' });
});
