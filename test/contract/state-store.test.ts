import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { nodeTimers } from '../../src/host/node-timers.ts';
import { LevelStateStore } from '../../src/master/level-state-store.ts';
import { MemoryStateStore } from '../../src/model/memory-state-store.ts';
import { stateStoreContract } from './state-store.contract.ts';

stateStoreContract('memory', async () => {
  const store = new MemoryStateStore();
  return { store: () => store, entry: () => undefined, disturb: async () => undefined, dispose: async () => undefined };
});

for (const cacheBytes of [0, 64 * 1024 * 1024]) {
  stateStoreContract(`LevelDB with a cache of ${cacheBytes} bytes`, async () => {
    const folder = await mkdtemp(join(tmpdir(), 'sluice-state-'));
    const open = () =>
      LevelStateStore.open({
        folder,
        cacheBytes,
        timers: nodeTimers,
        onFatal: (error) => {
          throw error;
        },
      });
    let store = await open();
    return {
      store: () => store,
      entry() {
        store.finishEntry({ term: 1, index: store.applied.index + 1 });
        store.pause();
      },
      async disturb(choice) {
        if (choice === 0) await store.flush();
        else if (choice === 1) void store.flush();
        else if (choice > 3) {
          await store.close();
          store = await open();
        }
      },
      async dispose() {
        await store.close();
        await rm(folder, { recursive: true, force: true });
      },
    };
  });
}
