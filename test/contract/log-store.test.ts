import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LevelLogStore } from '../../src/master/level-log-store.ts';
import { logStoreContract } from './log-store.contract.ts';

async function folder(): Promise<string> {
  return mkdtemp(join(tmpdir(), 'sluice-log-'));
}

logStoreContract('LevelDB', async () => {
  const path = await folder();
  return {
    open: () => new LevelLogStore(path),
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
        await cp(current, next, { recursive: true });
        await rm(join(next, 'LOCK'), { force: true });
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
