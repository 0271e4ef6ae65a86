import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import type { DiskFunctions } from '../../src/cache/cache-disk.ts';
import { DiskPageStore } from '../../src/cache/disk-page-store.ts';
import { createLogger } from '../../src/host/logger.ts';
import { Metrics } from '../../src/host/metrics.ts';

export const PAGE_SIZE = 1000;

export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-cache-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

export interface OpenedStore {
  readonly store: DiskPageStore;
  readonly folder: string;
  /** Value of a counter or gauge without labels. */
  metric(name: string): Promise<number>;
}

export async function openStore(
  options: {
    readonly folder?: string;
    readonly capacityBytes?: number;
    readonly pageSizeBytes?: number;
    readonly disk?: DiskFunctions;
  } = {},
): Promise<OpenedStore> {
  const folder = options.folder ?? (await temporaryFolder());
  const metrics = new Metrics();
  const store = await DiskPageStore.open({
    folder,
    capacityBytes: options.capacityBytes ?? 2 ** 24,
    pageSizeBytes: options.pageSizeBytes ?? PAGE_SIZE,
    logger: createLogger('silent', {}),
    metrics,
    ...(options.disk === undefined ? {} : { disk: options.disk }),
  });
  onTestFinished(() => store.close());
  return {
    store,
    folder,
    async metric(name) {
      const line = (await metrics.text()).split('\n').find((text) => text.startsWith(`${name} `));
      return Number(line?.split(' ')[1] ?? Number.NaN);
    },
  };
}

/** Bytes that tell their place. */
export function pageBytes(seed: number, lengthBytes = PAGE_SIZE): Uint8Array {
  return Uint8Array.from({ length: lengthBytes }, (_, at) => (seed * 31 + at * 7 + (at >> 8)) & 0xff);
}
