import { closeSync, fdatasyncSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { percentile } from './measure.ts';

/** How fast this disk makes a small append durable: what bounds a journal that syncs once per operation. */
export function measureDisk(parent: string, rounds = 500): { syncsPerSec: number; p50Ms: number; p99Ms: number } {
  const folder = mkdtempSync(join(parent, 'disk-'));
  const file = openSync(join(folder, 'appended'), 'w');
  const record = Buffer.alloc(256, 1);
  const samples = new Float64Array(rounds);
  const started = performance.now();
  for (let round = 0; round < rounds; round += 1) {
    const begun = performance.now();
    writeSync(file, record);
    fdatasyncSync(file);
    samples[round] = performance.now() - begun;
  }
  const seconds = (performance.now() - started) / 1000;
  closeSync(file);
  rmSync(folder, { recursive: true });
  samples.sort();
  return { syncsPerSec: rounds / seconds, p50Ms: percentile(samples, 0.5), p99Ms: percentile(samples, 0.99) };
}
