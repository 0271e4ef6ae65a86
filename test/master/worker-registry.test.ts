import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { renewNamespace } from '../../src/master/renewed-namespace.ts';
import type { SluiceError } from '../../src/model/errors.ts';
import type { WorkerRegistration } from '../../src/model/worker.ts';
import type { LeaderMessage, WorkerMessage } from '../../src/wire/registry-messages.ts';
import type { WorkerStreamListener } from '../../src/wire/registry-server.ts';
import { ROOT_CALLER } from '../support/local-state.ts';
import { turns } from '../support/manual-time.ts';
import { MasterServices } from '../support/master-services.ts';
import { createFile, deletion } from '../support/requests.ts';

const TIMEOUT_MS = 10_000;
const REMOVAL_MS = 60_000;

const W1: WorkerRegistration = { id: 'w1', address: 'h1:1', host: 'h1', capacityBytes: 100 };
const W2: WorkerRegistration = { id: 'w2', address: 'h2:1', host: 'h2', capacityBytes: 100 };

let master: MasterServices;
beforeEach(() => {
  master = new MasterServices();
});
afterEach(() => master.close());

/** A worker on its stream. */
class FakeWorker {
  readonly heard: LeaderMessage[] = [];
  ended: SluiceError | undefined;
  readonly #listener: WorkerStreamListener;

  constructor(of: MasterServices) {
    this.#listener = of.workers.connect({
      send: (message) => void this.heard.push(message),
      end: (error) => {
        this.ended = error;
        // As the wire does.
        queueMicrotask(() => this.#listener.closed());
      },
    });
  }

  static async registered(of: MasterServices, worker: WorkerRegistration): Promise<FakeWorker> {
    const made = new FakeWorker(of);
    made.say({ kind: 'register', worker });
    await turns();
    return made;
  }

  say(message: WorkerMessage): void {
    this.#listener.message(message);
  }

  beat(usedBytes = 1): void {
    this.say({ kind: 'heartbeat', usedBytes, pageCount: 2 });
  }

  leave(): void {
    this.#listener.closed();
  }

  kinds(): string[] {
    return this.heard.map(({ kind }) => kind);
  }

  last<K extends LeaderMessage['kind']>(kind: K): Extract<LeaderMessage, { kind: K }> | undefined {
    return this.heard.findLast((message): message is Extract<LeaderMessage, { kind: K }> => message.kind === kind);
  }
}

const states = async () => (await master.ask('getWorkers', {})).workers.map(({ id, state }) => `${id} ${state}`);

describe('registration', () => {
  it('is committed, answered, and followed by mounts and workers', async () => {
    const directory = join(master.folder, 'under');
    mkdirSync(directory);
    await master.mount('/m', directory);
    const worker = await FakeWorker.registered(master, W1);
    expect(worker.kinds().filter((kind, i, all) => all.indexOf(kind) === i)).toEqual(
      expect.arrayContaining(['registered', 'mounts', 'workers']),
    );
    expect(worker.kinds().indexOf('registered')).toBe(0);
    expect(worker.last('mounts')?.mounts).toMatchObject([{ path: '/m', uri: `file://${directory}` }]);
    expect(worker.last('workers')?.list.workers).toMatchObject([{ ...W1, state: 'live' }]);
    expect(master.state.state.get('worker', 'w1')).toMatchObject(W1);
  });

  it('that says nothing new proposes nothing', async () => {
    const first = await FakeWorker.registered(master, W1);
    first.leave();
    await FakeWorker.registered(master, W1);
    expect(master.state.count('registerWorker')).toBe(1);
    await FakeWorker.registered(master, { ...W1, capacityBytes: 200 });
    expect(master.state.count('registerWorker')).toBe(2);
  });

  it('on a second stream ends the first', async () => {
    const first = await FakeWorker.registered(master, W1);
    const second = await FakeWorker.registered(master, W1);
    expect(first.ended?.code).toBe('CANCELLED');
    expect(second.ended).toBeUndefined();
    await master.time.advance(TIMEOUT_MS / 2);
    second.beat();
    await master.time.advance(TIMEOUT_MS - 1);
    expect(await states()).toEqual(['w1 live']);
  });

  it.each<[string, readonly WorkerMessage[], string]>([
    ['a heartbeat first', [{ kind: 'heartbeat', usedBytes: 0, pageCount: 0 }], 'INVALID_ARGUMENT'],
    [
      'two registrations',
      [
        { kind: 'register', worker: W1 },
        { kind: 'register', worker: W1 },
      ],
      'INVALID_ARGUMENT',
    ],
    ['no address', [{ kind: 'register', worker: { ...W1, address: '' } }], 'INVALID_ARGUMENT'],
  ])('is refused with %s', async (_, messages, code) => {
    const worker = new FakeWorker(master);
    for (const message of messages) worker.say(message);
    await turns();
    expect(worker.ended?.code).toBe(code);
    expect(worker.kinds()).not.toContain('registered');
  });

  it('is sent to the leader by a master that does not lead', async () => {
    master.state.lead(false, 'm2');
    const worker = new FakeWorker(master);
    expect(worker.ended).toMatchObject({ code: 'NOT_LEADER', details: { leader: 'two:19998' } });
  });

  it('ends when leadership does', async () => {
    const worker = await FakeWorker.registered(master, W1);
    master.state.lead(false, 'm2');
    expect(worker.ended).toMatchObject({ code: 'NOT_LEADER', details: { leader: 'two:19998' } });
  });
});

describe('liveness', () => {
  it('shows what heartbeats say', async () => {
    const worker = await FakeWorker.registered(master, W1);
    worker.beat(77);
    await master.time.advance(10);
    const [status] = (await master.ask('getWorkers', {})).workers;
    expect(status).toMatchObject({ usedBytes: 77, pageCount: 2, lastHeardMs: 10, state: 'live' });
  });

  it('tells the others of a silent worker, then takes it from the ring, and takes it back', async () => {
    const silent = await FakeWorker.registered(master, W1);
    const other = await FakeWorker.registered(master, W2);
    const live = async (ms: number) => {
      for (let passed = 0; passed < ms; passed += 2_000) {
        other.beat();
        await master.time.advance(2_000);
      }
    };
    const version = (await master.ask('getWorkers', {})).version;
    await live(TIMEOUT_MS + 2_000);
    expect(other.last('workers')?.list.workers.map(({ id, state }) => `${id} ${state}`)).toEqual([
      'w1 lost',
      'w2 live',
    ]);
    expect(master.state.state.get('worker', 'w1')?.state).toBe('live');
    expect((await master.ask('getWorkers', {})).version).toBe(version);
    await live(REMOVAL_MS);
    expect(master.state.state.get('worker', 'w1')?.state).toBe('lost');
    expect(other.last('workers')?.list.version).toBe(version + 1);
    silent.beat();
    await turns();
    expect(master.state.state.get('worker', 'w1')?.state).toBe('live');
    expect(await states()).toEqual(['w1 live', 'w2 live']);
    expect(other.last('workers')?.list.workers.map(({ state }) => state)).toEqual(['live', 'live']);
  });

  it('gives everybody time after a change of leadership', async () => {
    await FakeWorker.registered(master, W1);
    await master.time.advance(TIMEOUT_MS * 20);
    const next = new MasterServices({ successorOf: master });
    const [status] = (await next.ask('getWorkers', {})).workers;
    expect(status).toMatchObject({ lastHeardMs: -1 });
    await master.time.advance(TIMEOUT_MS - 1);
    expect(next.state.count('setWorkerState')).toBe(0);
    await next.close();
  });
});

describe('what workers are told', () => {
  it('is of every change of mounts', async () => {
    const worker = await FakeWorker.registered(master, W1);
    const directory = join(master.folder, 'under');
    mkdirSync(directory);
    await master.mount('/m', directory);
    expect(worker.last('mounts')?.mounts.map(({ path }) => path)).toEqual(['/m']);
    await master.ask('unmount', { path: '/m' });
    expect(worker.last('mounts')?.mounts).toEqual([]);
  });

  it('is what they may forget, in one message for a turn', async () => {
    const worker = await FakeWorker.registered(master, W1);
    const ids: number[] = [];
    for (const name of ['a', 'b', 'c']) {
      ids.push((await master.ask('createFile', createFile(`/${name}`, { writeType: 'MUST_CACHE', empty: true }))).id);
    }
    await Promise.all(['a', 'b', 'c'].map((name) => master.ask('delete', deletion(`/${name}`))));
    await turns();
    const forgets = worker.heard.filter(({ kind }) => kind === 'forget');
    expect(forgets).toEqual([{ kind: 'forget', fileIds: ids }]);
  });

  it('ends with the stream when too much of it waits, so that they reconcile', async () => {
    const worker = await FakeWorker.registered(master, W1);
    const files = 101;
    for (let i = 0; i < files; i++) {
      const request = createFile(`/d/${i}`, { writeType: 'MUST_CACHE', empty: true, recursive: true });
      const command = { ...request, kind: 'createFile', blockSizeBytes: 1, ufsVersion: '' } as const;
      await master.state.propose(command, { principal: ROOT_CALLER });
    }
    await master.ask('delete', deletion('/d', { recursive: true }));
    const [trash] = master.state.state.rows('trash');
    const entries = master.state.state
      .rows('inode')
      .filter(({ row }) => row.kind === 'file')
      .map(({ key }) => ({ parentId: trash?.row.id ?? 0, name: key.slice(key.indexOf('/') + 1) }));
    for (let at = 0; at < entries.length; at += 10_000) {
      const purge = { kind: 'purge', entries: entries.slice(at, at + 10_000) } as const;
      await master.state.propose(purge, { principal: ROOT_CALLER });
    }
    expect(worker.ended?.code).toBe('EXHAUSTED');
  });

  it('is which of the protected files are gone, but not those of a future that was lost', async () => {
    const worker = await FakeWorker.registered(master, W1);
    const create = (path: string) =>
      master.ask('createFile', createFile(path, { writeType: 'MUST_CACHE', empty: true }));
    const kept = (await create('/kept')).id;
    const gone = (await create('/gone')).id;
    await master.ask('delete', deletion('/gone'));
    await turns();
    worker.heard.length = 0;
    worker.say({ kind: 'protectedFiles', fileIds: [kept, gone, gone + 1_000] });
    expect(worker.heard).toEqual([{ kind: 'forget', fileIds: [gone] }]);
    worker.say({ kind: 'protectedFiles', fileIds: [kept] });
    expect(worker.heard.length).toBe(1);
  });

  it('spares what a cluster made that was restored to an earlier state', async () => {
    const worker = await FakeWorker.registered(master, W1);
    const { state } = master.state;
    const before = state.get('counters', '')!;
    const renewed = renewNamespace(state.get('cluster', '')!, before, 'test');
    state.put('cluster', '', renewed.cluster);
    state.put('counters', '', renewed.counters);
    const create = createFile('/gone', { writeType: 'MUST_CACHE', empty: true });
    const gone = (await master.ask('createFile', create)).id;
    expect(gone).toBe(renewed.counters.nextInodeId);
    await master.ask('delete', deletion('/gone'));
    await turns();
    worker.heard.length = 0;
    const { nextInodeId: lost } = before;
    worker.say({ kind: 'protectedFiles', fileIds: [lost, lost + 1_000, gone - 1, gone] });
    expect(worker.heard).toEqual([{ kind: 'forget', fileIds: [gone] }]);
  });
});
