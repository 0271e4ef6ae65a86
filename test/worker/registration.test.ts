import { expect, onTestFinished, test } from 'vitest';
import type { Timers } from '../../src/base/clock.ts';
import { createLogger } from '../../src/host/logger.ts';
import type { RegistryLinkListener } from '../../src/wire/registry-link.ts';
import type { WorkerMessage } from '../../src/wire/registry-messages.ts';
import { MountTable } from '../../src/worker/mount-table.ts';
import { Registration } from '../../src/worker/registration.ts';
import { type OpenedStore, openStore, pageBytes } from '../cache/disk-store-fixture.ts';
import { ScriptedUfs } from './scripted-ufs.ts';
import { mountOf } from './service-fixture.ts';

interface Conversation extends OpenedStore {
  readonly registration: Registration;
  readonly leader: RegistryLinkListener;
  readonly mounts: MountTable;
  readonly sent: WorkerMessage[];
  readonly later: (() => void)[];
  refuse: number;
}

async function begin(): Promise<Conversation> {
  const opened = await openStore();
  const logger = createLogger('silent', {});
  const mounts = new MountTable({ open: () => new ScriptedUfs(), logger });
  const later: (() => void)[] = [];
  const timers: Timers = {
    after(_delay, task) {
      later.push(task);
      return () => later.splice(later.indexOf(task), later.includes(task) ? 1 : 0);
    },
    every: () => () => undefined,
  };
  const sent: WorkerMessage[] = [];
  let leader: RegistryLinkListener | undefined;
  const state = { refuse: 0 };
  const registration = new Registration({
    store: opened.store,
    mounts,
    timers,
    logger,
    connect(listener) {
      leader = listener;
      return {
        send(message) {
          if (state.refuse > 0) {
            state.refuse -= 1;
            return false;
          }
          sent.push(message);
          return true;
        },
        close: async () => undefined,
        refusal: '',
      };
    },
  });
  onTestFinished(() => registration.close());
  return Object.assign(state, { ...opened, registration, mounts, sent, later, leader: leader as RegistryLinkListener });
}

async function protect(conversation: Conversation, files: readonly number[]): Promise<void> {
  for (const fileId of files)
    await conversation.store.put({ fileId, version: 'c:1', block: 0, page: 0 }, pageBytes(1, 10), { protect: true });
}

test('each leader is told what is protected, and the worker says whether it is registered', async () => {
  const conversation = await begin();
  await protect(conversation, [9, 4]);
  const { leader, sent, registration } = conversation;
  expect(registration.registered).toBe(false);
  leader.message({ kind: 'registered' });
  expect(registration.registered).toBe(true);
  leader.lost();
  expect(registration.registered).toBe(false);
  leader.message({ kind: 'registered' });
  const report = { kind: 'protectedFiles', fileIds: [4, 9] };
  expect(sent).toEqual([report, report]);
});

test('a report that the link does not take is sent later', async () => {
  const conversation = await begin();
  await protect(conversation, [1]);
  conversation.refuse = 1;
  conversation.leader.message({ kind: 'registered' });
  expect(conversation.sent).toEqual([]);
  conversation.later.shift()?.();
  expect(conversation.sent).toEqual([{ kind: 'protectedFiles', fileIds: [1] }]);
});

test('forgotten files are dropped, protected or not, and others stay', async () => {
  const conversation = await begin();
  await protect(conversation, [1, 2, 3]);
  conversation.leader.message({ kind: 'registered' });
  conversation.leader.message({ kind: 'forget', fileIds: [1, 77] });
  conversation.leader.message({ kind: 'forget', fileIds: [3] });
  while (conversation.store.protectedFiles().length > 1) await new Promise((resolve) => setImmediate(resolve));
  expect(conversation.store.protectedFiles()).toEqual([2]);
});

test('mounts are taken over, those of a new leader although it counts anew', async () => {
  const { leader, mounts } = await begin();
  leader.message({ kind: 'registered' });
  leader.message({ kind: 'mounts', version: 10, mounts: [mountOf(1)] });
  leader.message({ kind: 'mounts', version: 9, mounts: [] });
  expect(mounts.acquire(1).ufs.uri).toBe('scripted://files');
  leader.lost();
  leader.message({ kind: 'registered' });
  leader.message({ kind: 'mounts', version: 2, mounts: [mountOf(2)] });
  expect(() => mounts.acquire(1)).toThrow();
  expect(mounts.acquire(2).ufs.uri).toBe('scripted://files');
});
