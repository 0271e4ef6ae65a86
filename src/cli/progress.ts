import type { SingleBar } from 'cli-progress';
import { formatBytes } from '../base/units.ts';
import type { TextStream } from './world.ts';

/** Shows how far a copy is. Numbers only grow. */
export interface Progress {
  /** Another file of `bytes` bytes was found. */
  found(bytes: number): void;
  copied(bytes: number): void;
  fileDone(): void;
  stop(): void;
}

/** Shows how many things of a known number are done. */
export interface CountProgress {
  update(done: number, total: number): void;
  stop(): void;
}

/** Below this a copy is done before a bar could be read. */
const SHOWN_FROM_BYTES = 16 * 2 ** 20;
const SHOWN_FROM_FILES = 20;
const SHOWN_FROM_COUNT = 100_000;

const NONE: Progress = {
  found: () => undefined,
  copied: () => undefined,
  fileDone: () => undefined,
  stop: () => undefined,
};

/** Shows how many of `what` are done, on a terminal; nothing elsewhere, or before there are many. */
export async function showCount(stream: TextStream, what: string): Promise<CountProgress> {
  if (stream.isTTY !== true) return { update: () => undefined, stop: () => undefined };
  const bar = await barOn(stream, `{bar} {percentage}% | {value} of {total} ${what} | {duration_formatted}`);
  let shown = false;
  return {
    update(done, total) {
      if (total < SHOWN_FROM_COUNT) return;
      if (!shown) bar.start(total, done);
      shown = true;
      bar.setTotal(total);
      bar.update(done);
    },
    stop() {
      if (shown) bar.stop();
    },
  };
}

async function barOn(stream: TextStream, format: string): Promise<SingleBar> {
  const { default: progress } = await import('cli-progress');
  return new progress.SingleBar({ stream, format, barsize: 30, hideCursor: true, clearOnComplete: true, fps: 5 });
}

/** A bar on a terminal, once there is enough to do; nothing elsewhere. */
export async function showProgress(stream: TextStream): Promise<Progress> {
  if (stream.isTTY !== true) return NONE;
  const bar = await barOn(stream, '{bar} {percentage}% | {done} of {all} | {files} files | {duration_formatted}');
  const total = { bytes: 0, done: 0, files: 0, filesFound: 0 };
  let shown = false;
  const update = () => {
    if (!shown && total.bytes < SHOWN_FROM_BYTES && total.filesFound < SHOWN_FROM_FILES) return;
    const payload = { done: formatBytes(total.done), all: formatBytes(total.bytes), files: total.files };
    if (!shown) bar.start(total.bytes, total.done, payload);
    shown = true;
    bar.setTotal(Math.max(1, total.bytes));
    bar.update(total.done, payload);
  };
  return {
    found: (bytes) => {
      total.bytes += bytes;
      total.filesFound += 1;
      update();
    },
    copied: (bytes) => {
      total.done += bytes;
      update();
    },
    fileDone: () => {
      total.files += 1;
      update();
    },
    stop: () => {
      if (shown) bar.stop();
    },
  };
}
