import { Writable } from 'node:stream';
import { describe, expect, test } from 'vitest';
import { showProgress } from '../../src/cli/progress.ts';
import type { TextStream } from '../../src/cli/world.ts';

function terminal(isTTY: boolean): { stream: TextStream; text(): string } {
  let text = '';
  const stream = new Writable({
    write(piece, _, done) {
      text += String(piece);
      done();
    },
  });
  return { stream: Object.assign(stream, { isTTY, columns: 100 }), text: () => text };
}

describe('progress', () => {
  test('many bytes are shown on a terminal', async () => {
    const { stream, text } = terminal(true);
    const progress = await showProgress(stream);
    progress.found(64 * 2 ** 20);
    progress.copied(32 * 2 ** 20);
    progress.copied(32 * 2 ** 20);
    progress.fileDone();
    progress.stop();
    expect(text()).toContain('0% | 0B of 64MiB | 0 files');
  });

  test.each([
    ['little is not', true, 1000],
    ['nothing is elsewhere', false, 2 ** 30],
  ])('%s', async (_, isTTY, bytes) => {
    const { stream, text } = terminal(isTTY);
    const progress = await showProgress(stream);
    progress.found(bytes);
    progress.copied(bytes);
    progress.fileDone();
    progress.stop();
    expect(text()).toBe('');
  });
});
