import { randomBytes } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { UfsFact } from '../../src/model/command.ts';
import { compareKeys } from '../../src/model/path.ts';
import type { Ufs } from '../../src/ufs/ufs.ts';

/** Makes an empty UFS for one test. */
export interface UfsFixture {
  readonly ufs: Ufs;
  readonly dispose: () => Promise<void>;
}

export interface UfsTraits {
  /** Directories are things of their own, which stay when they become empty, and not only what keys imply. */
  readonly hierarchical: boolean;
  /** A renamed file keeps its version. */
  readonly renameKeepsVersion: boolean;
  /** Bytes of the largest file that the suite writes. */
  readonly largestFile: number;
}

/** All facts of a listing; checks that every page holds something and that names ascend. */
export async function listAll(ufs: Ufs, path: string): Promise<UfsFact[]> {
  const facts: UfsFact[] = [];
  for await (const page of ufs.list(path)) {
    expect(page.length).toBeGreaterThan(0);
    expect(page.length).toBeLessThanOrEqual(1000);
    facts.push(...page);
  }
  for (let i = 1; i < facts.length; i++) expect(compareKeys(facts[i - 1]!.name, facts[i]!.name)).toBeLessThan(0);
  return facts;
}

export async function readAll(
  ufs: Ufs,
  path: string,
  offset = 0,
  lengthBytes = 2 ** 40,
  version = '',
): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of ufs.read(path, { offset, lengthBytes, version })) chunks.push(chunk);
  return Buffer.concat(chunks);
}

export async function writeFile(ufs: Ufs, path: string, content: Uint8Array | string): Promise<UfsFact> {
  const writer = await ufs.create(path, {});
  const bytes = Buffer.from(content);
  // One buffer is used again and again, as callers may.
  const scratch = Buffer.alloc(300_000);
  for (let at = 0; at < bytes.length; at += scratch.length) {
    const count = bytes.copy(scratch, 0, at);
    await writer.write(scratch.subarray(0, count));
  }
  return writer.complete();
}

const names = (facts: readonly UfsFact[]): string[] => facts.map((fact) => fact.name);

/** What every UFS promises; see `Ufs`. */
export function ufsContract(title: string, open: () => Promise<UfsFixture>, traits: UfsTraits): void {
  describe(`ufs contract: ${title}`, () => {
    let fixture: UfsFixture;
    let ufs: Ufs;

    beforeEach(async () => {
      fixture = await open();
      ufs = fixture.ufs;
    });

    afterEach(async () => {
      await ufs.close();
      await fixture.dispose();
    });

    test('an empty root passes the check and lists nothing', async () => {
      await ufs.check(false);
      expect(await listAll(ufs, '')).toEqual([]);
      expect(await ufs.stat('')).toMatchObject({ name: '', kind: 'directory' });
    });

    test('absence is undefined for stat, NOT_FOUND for list and read, nothing for delete', async () => {
      expect(await ufs.stat('no')).toBeUndefined();
      expect(await ufs.stat('no/such')).toBeUndefined();
      await expect(listAll(ufs, 'no')).rejects.toMatchObject({ code: 'NOT_FOUND' });
      await expect(readAll(ufs, 'no')).rejects.toMatchObject({ code: 'NOT_FOUND' });
      await ufs.delete('no', { recursive: false });
      await ufs.delete('no', { recursive: true });
    });

    test('complete, stat and list say the same of a file, and its parents exist', async () => {
      const fact = await writeFile(ufs, 'a/b/file', 'hello');
      expect(fact).toMatchObject({ name: 'file', kind: 'file', lengthBytes: 5 });
      expect(fact.version).not.toBe('');
      expect(Math.abs(fact.modifiedMs - Date.now())).toBeLessThan(3600e3);
      expect(await ufs.stat('a/b/file')).toEqual(fact);
      expect(await listAll(ufs, 'a/b')).toEqual([fact]);
      expect(await ufs.stat('a')).toMatchObject({ name: 'a', kind: 'directory', version: '' });
      expect(await ufs.stat('a/b')).toMatchObject({ name: 'b', kind: 'directory' });
      expect(names(await listAll(ufs, 'a'))).toEqual(['b']);
    });

    test('nothing is visible before complete, nor after abort', async () => {
      const writer = await ufs.create('x/y', {});
      await writer.write(Buffer.from('half'));
      expect(await ufs.stat('x/y')).toBeUndefined();
      expect((await ufs.stat('x')) === undefined ? [] : await listAll(ufs, 'x')).toEqual([]);
      await writer.abort();
      await writer.abort();
      expect(await ufs.stat('x/y')).toBeUndefined();
      expect((await ufs.stat('x')) === undefined ? [] : await listAll(ufs, 'x')).toEqual([]);
    });

    test('an unfinished file leaves the earlier one alone; complete replaces it', async () => {
      const first = await writeFile(ufs, 'f', 'first');
      const writer = await ufs.create('f', {});
      await writer.write(Buffer.from('second!'));
      expect((await readAll(ufs, 'f')).toString()).toBe('first');
      const second = await writer.complete();
      expect(second.version).not.toBe(first.version);
      expect((await readAll(ufs, 'f', 0, 100, second.version)).toString()).toBe('second!');
      await expect(readAll(ufs, 'f', 0, 100, first.version)).rejects.toMatchObject({ code: 'STALE' });
    });

    test('empty files exist', async () => {
      const fact = await writeFile(ufs, 'empty', '');
      expect(fact).toMatchObject({ kind: 'file', lengthBytes: 0 });
      expect(await readAll(ufs, 'empty', 0, 10, fact.version)).toHaveLength(0);
      expect(await listAll(ufs, '')).toEqual([fact]);
    });

    test('ranges: inside, over the end, behind the end, of no length', async () => {
      const content = randomBytes(3_000_000);
      const { version } = await writeFile(ufs, 'data', content);
      for (const [offset, length] of [
        [0, 1],
        [1, 2_500_000],
        [2_999_999, 1],
        [2_999_999, 100],
        [3_000_000, 100],
        [5_000_000, 1],
        [10, 0],
        [0, Number.MAX_SAFE_INTEGER],
      ] as const) {
        const got = await readAll(ufs, 'data', offset, length, version);
        expect(got.equals(content.subarray(offset, Math.min(offset + length, 3_000_000)))).toBe(true);
      }
    });

    test('a large file comes back as it was written', async () => {
      const content = randomBytes(traits.largestFile);
      const fact = await writeFile(ufs, 'large', content);
      expect(fact.lengthBytes).toBe(content.length);
      expect(await ufs.stat('large')).toEqual(fact);
      expect((await readAll(ufs, 'large', 0, content.length, fact.version)).equals(content)).toBe(true);
    });

    test('names are ordered by code points, whatever they are', async () => {
      const files = [
        'a!',
        'a-b',
        'a.txt',
        'a0',
        'B',
        'z',
        'ä',
        '\uffee',
        '😀',
        'with space',
        'a+b',
        '100%',
        'q?x=1&y',
        '#h',
        'a\\b',
        'quote\'"',
        '<x>',
      ];
      for (const name of files) await writeFile(ufs, name, name);
      for (const name of ['a', 'a-', 'ab']) await writeFile(ufs, `${name}/child`, 'x');
      const facts = await listAll(ufs, '');
      expect(names(facts)).toEqual([...files, 'a', 'a-', 'ab'].sort(compareKeys));
      expect(names(facts.filter((fact) => fact.kind === 'directory'))).toEqual(['a', 'a-', 'ab']);
      for (const name of files) expect((await readAll(ufs, name)).toString()).toBe(name);
    });

    test('directories: made with parents, made again, listed, stat', async () => {
      await ufs.makeDirectory('d/e/f', {});
      await ufs.makeDirectory('d/e/f', {});
      await ufs.makeDirectory('', {});
      expect(await listAll(ufs, 'd/e/f')).toEqual([]);
      expect(names(await listAll(ufs, 'd/e'))).toEqual(['f']);
      expect(await ufs.stat('d/e/f')).toMatchObject({ name: 'f', kind: 'directory', lengthBytes: 0, version: '' });
      await ufs.delete('d/e/f', { recursive: false });
      expect(await ufs.stat('d/e/f')).toBeUndefined();
      expect(await ufs.stat('d/e')).toMatchObject({ kind: 'directory' });
    });

    test('kinds are not confused', async () => {
      await writeFile(ufs, 'file', 'x');
      await ufs.makeDirectory('dir', {});
      await expect(ufs.makeDirectory('file', {})).rejects.toMatchObject({ code: 'NOT_A_DIRECTORY' });
      await expect(ufs.makeDirectory('file/below', {})).rejects.toMatchObject({ code: 'NOT_A_DIRECTORY' });
      await expect(writeFile(ufs, 'file/below', 'x')).rejects.toMatchObject({ code: 'NOT_A_DIRECTORY' });
      await expect(writeFile(ufs, 'dir', 'x')).rejects.toMatchObject({ code: 'IS_A_DIRECTORY' });
      await expect(listAll(ufs, 'file')).rejects.toMatchObject({ code: 'NOT_A_DIRECTORY' });
      await expect(readAll(ufs, 'dir')).rejects.toMatchObject({ code: 'IS_A_DIRECTORY' });
      expect(await ufs.stat('file/below')).toBeUndefined();
    });

    test('delete: files, empty and full directories', async () => {
      await writeFile(ufs, 'd/one', '1');
      await writeFile(ufs, 'd/sub/two', '2');
      await writeFile(ufs, 'd2/three', '3');
      await expect(ufs.delete('d', { recursive: false })).rejects.toMatchObject({ code: 'NOT_EMPTY' });
      await ufs.delete('d/one', { recursive: false });
      expect(names(await listAll(ufs, 'd'))).toEqual(['sub']);
      await ufs.delete('d', { recursive: true });
      expect(await ufs.stat('d')).toBeUndefined();
      expect(await ufs.stat('d/sub/two')).toBeUndefined();
      expect(names(await listAll(ufs, ''))).toEqual(['d2']);
      await ufs.delete('d2/three', { recursive: true });
      if (traits.hierarchical) expect(await listAll(ufs, 'd2')).toEqual([]);
    });

    test('rename of a file: to a new directory, over a file', async () => {
      const old = await writeFile(ufs, 'old', 'content');
      const moved = await ufs.rename('old', 'new/place');
      expect(moved).toMatchObject({ name: 'place', lengthBytes: 7 });
      if (traits.renameKeepsVersion) expect(moved.version).toBe(old.version);
      expect(await ufs.stat('new/place')).toEqual(moved);
      expect(await ufs.stat('old')).toBeUndefined();
      await writeFile(ufs, 'other', 'other content');
      await ufs.rename('other', 'new/place');
      expect((await readAll(ufs, 'new/place')).toString()).toBe('other content');
      expect(await ufs.rename('new/place', 'new/place')).toMatchObject({ name: 'place', lengthBytes: 13 });
      expect((await readAll(ufs, 'new/place')).toString()).toBe('other content');
    });

    test('rename of a directory takes all that is below, over an empty directory too', async () => {
      await writeFile(ufs, 'tree/a', 'a');
      await writeFile(ufs, 'tree/sub/b c', 'b');
      await ufs.makeDirectory('tree/hollow', {});
      await ufs.makeDirectory('goal', {});
      expect(await ufs.rename('tree', 'goal')).toMatchObject({ name: 'goal', kind: 'directory' });
      expect(await ufs.stat('tree')).toBeUndefined();
      expect(names(await listAll(ufs, 'goal'))).toEqual(['a', 'hollow', 'sub']);
      expect((await readAll(ufs, 'goal/sub/b c')).toString()).toBe('b');
    });

    test('rename refuses what would lose something', async () => {
      await writeFile(ufs, 'file', 'x');
      await writeFile(ufs, 'full/child', 'x');
      await ufs.makeDirectory('dir', {});
      await expect(ufs.rename('no', 'where')).rejects.toMatchObject({ code: 'NOT_FOUND' });
      await expect(ufs.rename('dir', 'full')).rejects.toMatchObject({ code: 'NOT_EMPTY' });
      await expect(ufs.rename('file', 'dir')).rejects.toMatchObject({ code: 'IS_A_DIRECTORY' });
      await expect(ufs.rename('dir', 'file')).rejects.toMatchObject({ code: 'NOT_A_DIRECTORY' });
      await expect(ufs.rename('full', 'full/below')).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
      await expect(ufs.rename('', 'x')).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
      expect(names(await listAll(ufs, ''))).toEqual(['dir', 'file', 'full']);
    });

    test.each(['..', '../x', 'a/../b', 'a//b', '/a', 'a/', '.', `n${'x'.repeat(255)}`, 'nul\0'])(
      'path %j is refused',
      async (path) => {
        await expect(ufs.stat(path)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
        await expect(readAll(ufs, path)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
        await expect(writeFile(ufs, path, 'x')).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
        await expect(ufs.delete(path, { recursive: true })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
        await expect(ufs.rename('x', path)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
      },
    );

    test('the root is not deleted', async () => {
      await writeFile(ufs, 'keep', 'x');
      await expect(ufs.delete('', { recursive: true })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
      expect(names(await listAll(ufs, ''))).toEqual(['keep']);
    });

    test('an aborted signal ends an operation with CANCELLED', async () => {
      const { version } = await writeFile(ufs, 'f', randomBytes(200_000));
      const signal = AbortSignal.abort();
      await expect(ufs.stat('f', signal)).rejects.toMatchObject({ code: 'CANCELLED' });
      await expect(ufs.rename('f', 'g', signal)).rejects.toMatchObject({ code: 'CANCELLED' });
      await expect(ufs.delete('f', { recursive: true, signal })).rejects.toMatchObject({ code: 'CANCELLED' });
      const read = ufs.read('f', { offset: 0, lengthBytes: 10, version, signal });
      await expect(read[Symbol.asyncIterator]().next()).rejects.toMatchObject({ code: 'CANCELLED' });
      const list = ufs.list('', signal);
      await expect(list[Symbol.asyncIterator]().next()).rejects.toMatchObject({ code: 'CANCELLED' });
      expect(await ufs.stat('f')).toBeDefined();
    });

    test('a reader may stop early and several may read at once', async () => {
      const content = randomBytes(2_000_000);
      await writeFile(ufs, 'f', content);
      for await (const chunk of ufs.read('f', { offset: 0, lengthBytes: content.length, version: '' })) {
        expect(content.subarray(0, chunk.length).equals(chunk)).toBe(true);
        break;
      }
      const parts = await Promise.all([0, 500_000, 1_000_000, 1_500_000].map((at) => readAll(ufs, 'f', at, 500_000)));
      expect(Buffer.concat(parts).equals(content)).toBe(true);
    });

    test('attributes that the storage keeps are seen; no storage refuses them', async () => {
      await writeFile(ufs, 'f', 'x');
      const wanted = { mode: 0o640, modifiedMs: 1_600_000_000_123 };
      await ufs.setAttributes('f', wanted);
      const fact = await ufs.stat('f');
      if (traits.hierarchical) expect(fact).toMatchObject(wanted);
      else expect(fact).toMatchObject({ name: 'f', lengthBytes: 1 });
    });

    test('a directory of more than one page', async () => {
      const wanted = Array.from({ length: 1203 }, (_, index) => `part-${String(index).padStart(5, '0')}`);
      for (let at = 0; at < wanted.length; at += 32) {
        await Promise.all(wanted.slice(at, at + 32).map((name) => writeFile(ufs, `many/${name}`, name)));
      }
      expect(names(await listAll(ufs, 'many'))).toEqual(wanted);
      await ufs.rename('many', 'moved');
      expect(names(await listAll(ufs, 'moved'))).toEqual(wanted);
      await ufs.delete('moved', { recursive: true });
      expect(await ufs.stat('moved')).toBeUndefined();
      expect(await ufs.stat('many')).toBeUndefined();
    });
  });
}
