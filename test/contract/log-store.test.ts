import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LevelLogStore } from '../../src/master/level-log-store.ts';
import { SegmentLogStore } from '../../src/master/segment-log-store.ts';
import { SimDisk } from '../sim/disk.ts';
import { liveCopy } from '../support/live-copy.ts';
import { MemoryLogStore } from '../support/memory-log-store.ts';
import { logStoreContract } from './log-store.contract.ts';

async function folder(): Promise<string> {
  return mkdtemp(join(tmpdir(), 'sluice-log-'));
}

logStoreContract('memory', async () => {
  const disk = new SimDisk();
  return { open: () => new MemoryLogStore(disk), dispose: async () => {} };
});

logStoreContract('LevelDB', async () => {
  const path = await folder();
  return {
    open: () => new LevelLogStore(path),
    dispose: () => rm(path, { recursive: true, force: true }),
  };
});

logStoreContract('segments', async () => {
  const path = await folder();
  return {
    open: () => new SegmentLogStore(path, { segmentBytes: 8192, noteEvery: 7 }),
    dispose: () => rm(path, { recursive: true, force: true }),
  };
});

// What a kill leaves behind: the files as they are while the store is open, opened by another process.
logStoreContract('LevelDB, killed at each restart', async () => {
  const root = await folder();
  let current = join(root, '0');
  let generation = 0;
  const left: LevelLogStore[] = [];
  return {
    open() {
      const store = new LevelLogStore(current);
      const open = store.open.bind(store);
      store.close = async () => {
        generation += 1;
        const next = join(root, String(generation));
        await liveCopy(current, next);
        current = next;
        left.push(store);
      };
      store.open = open;
      return store;
    },
    async dispose() {
      for (const store of left) await LevelLogStore.prototype.close.call(store);
      await rm(root, { recursive: true, force: true });
    },
  };
});
