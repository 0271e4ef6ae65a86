import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { DataFolder } from '../../src/host/data-folder.ts';

const root = mkdtempSync(join(tmpdir(), 'sluice-folder-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

test('keeps its identity', async () => {
  const first = await DataFolder.open(join(root, 'a/b'), 'master');
  const { id } = first;
  await first.close();
  const second = await DataFolder.open(join(root, 'a/b'), 'master');
  expect(second.id).toBe(id);
  expect(second.at('journal')).toBe(join(root, 'a/b/journal'));
  await second.close();
  await second.close();
});

test('is exclusive and names the holder', async () => {
  const held = await DataFolder.open(join(root, 'held'), 'worker');
  await expect(DataFolder.open(join(root, 'held'), 'worker')).rejects.toThrow(`in use by process ${process.pid}`);
  await held.close();
  await (await DataFolder.open(join(root, 'held'), 'worker')).close();
});

test('a killed process leaves no lock behind', { timeout: 30_000 }, async () => {
  const path = join(root, 'killed');
  const module = new URL('../../src/host/data-folder.ts', import.meta.url).href;
  const code = `import(${JSON.stringify(module)}).then((m) => m.DataFolder.open(${JSON.stringify(path)}, 'master'))
    .then(() => { console.log('open'); setInterval(() => {}, 1000); })`;
  const child = spawn(process.execPath, ['--import', 'tsx', '-e', code], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(child.stdout, 'data');
  await expect(DataFolder.open(path, 'master')).rejects.toThrow(`in use by process ${child.pid}`);
  child.kill('SIGKILL');
  await once(child, 'exit');
  await (await DataFolder.open(path, 'master')).close();
});

test.each([
  ['another kind', '{"kind":"worker","id":"x","format":1}', /belongs to a worker/],
  ['a newer format', '{"kind":"master","id":"x","format":2}', /has format 2/],
  ['damage', '{"kind":', /is damaged/],
])('refuses %s, and lets go of the folder', async (name, identity, message) => {
  const path = join(root, name);
  await (await DataFolder.open(path, 'master')).close();
  const before = readFileSync(join(path, 'identity.json'));
  writeFileSync(join(path, 'identity.json'), identity);
  await expect(DataFolder.open(path, 'master')).rejects.toThrow(message);
  writeFileSync(join(path, 'identity.json'), before);
  await (await DataFolder.open(path, 'master')).close();
});

test('a path that is a file is refused', async () => {
  writeFileSync(join(root, 'file'), '');
  await expect(DataFolder.open(join(root, 'file'), 'master')).rejects.toThrow(/is not a folder/);
});

test('missing folders above are made', async () => {
  const folder = await DataFolder.open(join(root, 'deep', 'er', 'still'), 'worker');
  await folder.close();
});

test('a file system that makes no folders is refused at once', { skip: process.platform !== 'linux' }, async () => {
  await expect(DataFolder.open('/proc/sluice/data', 'master')).rejects.toMatchObject({
    code: 'PERMISSION_DENIED',
    message: expect.stringContaining('/proc/sluice/data cannot be written: give this user write access'),
  });
});
