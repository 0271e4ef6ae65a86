import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLogger } from '../../src/host/logger.ts';
import { LocalUfs } from '../../src/ufs/local-ufs.ts';
import { MemoryUfs } from '../ufs/memory-ufs.ts';
import { ufsContract } from './ufs.ts';

const TRAITS = { hierarchical: true, renameKeepsVersion: true, largestFile: 5_000_001 };

ufsContract('memory', async () => ({ ufs: new MemoryUfs('test'), dispose: async () => {} }), TRAITS);

ufsContract(
  'local',
  async () => {
    const folder = await mkdtemp(join(tmpdir(), 'sluice-ufs-'));
    const ufs = new LocalUfs(folder, createLogger('silent', {}));
    return { ufs, dispose: () => rm(folder, { recursive: true, force: true }) };
  },
  TRAITS,
);
