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

/** Below this a copy is done before a bar could be read. */
const SHOWN_FROM_BYTES = 16 * 2 ** 20;
const SHOWN_FROM_FILES = 20;

const NONE: Progress = {
  found: () => undefined,
  copied: () => undefined,
  fileDone: () => undefined,
  stop: () => undefined,
};

/** A bar on a terminal, once there is enough to do; nothing elsewhere. */
export async function showProgress(stream: TextStream): Promise<Progress> {
  if (stream.isTTY !== true) return NONE;
  const { default: progress } = await import('cli-progress');
  const bar = new progress.SingleBar({
    stream,
    format: '{bar} {percentage}% | {done} of {all} | {files} files | {duration_formatted}',
    barsize: 30,
    hideCursor: true,
    clearOnComplete: true,
    fps: 5,
  });
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
