import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { runScript } from './script.ts';

const folder = new URL('scripts/', import.meta.url);
const names = readdirSync(folder).filter((name) => name.endsWith('.txt'));

/** `REWRITE=1` writes what happens now into the transcripts: read the difference before you keep it. */
test.each(names)('%s', (name) => {
  const file = new URL(name, folder);
  const text = readFileSync(file, 'utf8');
  const now = runScript(text);
  if (process.env['REWRITE'] === '1') writeFileSync(file, now);
  else expect(now).toBe(text);
});

test('a transcript that differs, a verb and a node that do not exist are noticed', () => {
  expect(runScript('> nodes a\n> timeout a\nnothing\n')).not.toContain('nothing');
  expect(() => runScript('\n> dance a\n')).toThrow('Line 2, "> dance a"');
  expect(() => runScript('> nodes a\n> tick b\n')).toThrow('there is no node b');
});
