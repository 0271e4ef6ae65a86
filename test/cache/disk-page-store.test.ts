import { execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import fs from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { DiskFunctions } from '../../src/cache/cache-disk.ts';
import { contentFolder } from '../../src/cache/cache-layout.ts';
import { encodeContentMeta } from '../../src/cache/content-meta.ts';
import { pageDiskBytes } from '../../src/cache/page-index.ts';
import type { PageKey } from '../../src/cache/page-store.ts';
import { openStore, PAGE_SIZE, pageBytes, temporaryFolder } from './disk-store-fixture.ts';

const plain = { protect: false };
const safe = { protect: true };

function key(fileId: number, page = 0, version = 'v1'): PageKey {
  return { fileId, version, block: 0, page };
}

/** Path of the page's file. */
function fileOf(folder: string, page: PageKey, lengthBytes = PAGE_SIZE): string {
  return join(contentFolder(folder, page), `${page.block}-${page.page}-${lengthBytes}`);
}

async function filesBelow(folder: string): Promise<string[]> {
  const entries = await fs.readdir(folder, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => entry.name);
}

describe('after a crash', () => {
  test('all pages and protections are there again', async () => {
    const first = await openStore();
    for (let page = 0; page < 20; page += 1) await first.store.put(key(page % 3, page), pageBytes(page), plain);
    await first.store.put(key(9, 0, 'c:9'), pageBytes(99, 10), safe);
    const second = await openStore({ folder: first.folder });
    for (let page = 0; page < 20; page += 1)
      expect(await second.store.get(key(page % 3, page))).toEqual(Buffer.from(pageBytes(page)));
    expect(await second.store.get(key(9, 0, 'c:9'))).toEqual(Buffer.from(pageBytes(99, 10)));
    expect(second.store.protectedFiles()).toEqual([9]);
    expect(second.store.usage()).toEqual(first.store.usage());
  });

  test('temporary files are gone and foreign ones are deleted and counted', async () => {
    const { store, folder } = await openStore();
    await store.put(key(1), pageBytes(1), plain);
    await store.close();
    const content = contentFolder(folder, key(1));
    await fs.writeFile(join(folder, 'temporary', 'half'), 'half');
    await fs.writeFile(join(content, 'notes.txt'), 'x');
    await fs.writeFile(join(content, '0-00-1000'), 'x');
    await fs.writeFile(join(content, '0-1-99999'), 'larger than a page');
    await fs.mkdir(join(folder, 'pages', '05', '5-abc'), { recursive: true });
    await fs.mkdir(join(folder, 'pages', 'strange'));
    await fs.writeFile(join(folder, 'pages', '05', 'file'), 'x');
    const again = await openStore({ folder });
    expect(await again.metric('sluice_cache_foreign_files_total')).toBe(6);
    expect(await again.store.get(key(1))).toEqual(Buffer.from(pageBytes(1)));
    expect((await filesBelow(folder)).sort()).toEqual(['0-0-1000', 'format.json', 'meta']);
  });

  test('a damaged meta file costs its content only', async () => {
    const { store, folder } = await openStore();
    await store.put(key(1), pageBytes(1), safe);
    await store.put(key(2), pageBytes(2), safe);
    await store.close();
    await fs.writeFile(join(contentFolder(folder, key(1)), 'meta'), '{"format":1,"fileId":1}\n00000000\n');
    const again = await openStore({ folder });
    expect(again.store.protectedFiles()).toEqual([2]);
    expect(await again.metric('sluice_cache_foreign_files_total')).toBe(1);
  });

  test('an adoption that was cut between meta file and rename is finished', async () => {
    const { store, folder } = await openStore();
    await store.put(key(1, 0, 'w:1'), pageBytes(1), safe);
    await store.close();
    const content = contentFolder(folder, key(1, 0, 'w:1'));
    const { tag } = JSON.parse(((await fs.readFile(join(content, 'meta'), 'utf8')).split('\n')[0] ?? '') as string);
    await fs.writeFile(join(content, 'meta'), encodeContentMeta({ fileId: 1, version: 'etag', protect: true, tag }));
    for (let start = 0; start < 2; start += 1) {
      const again = await openStore({ folder });
      expect(await again.store.get(key(1, 0, 'etag'))).toEqual(Buffer.from(pageBytes(1)));
      expect(again.store.has(key(1, 0, 'w:1'))).toBe(false);
      await again.store.close();
    }
  });

  test('a smaller quota evicts at start, but nothing protected', async () => {
    const { store, folder } = await openStore();
    for (let file = 0; file < 10; file += 1) await store.put(key(file), pageBytes(file), { protect: file < 2 });
    await store.close();
    const again = await openStore({ folder, capacityBytes: 40_000 });
    expect(again.store.usage().usedBytes).toBeLessThanOrEqual(40_000);
    expect(again.store.protectedFiles()).toEqual([0, 1]);
    const tiny = await openStore({ folder, capacityBytes: 0 });
    expect(tiny.store.protectedFiles()).toEqual([0, 1]);
    expect(tiny.store.usage().pageCount).toBe(2);
  });
});

describe('damage', () => {
  const harms: readonly (readonly [string, (path: string) => Promise<void>])[] = [
    ['a truncated file', (path) => fs.truncate(path, 500)],
    ['an empty file', (path) => fs.truncate(path, 0)],
    ['a file that is gone', (path) => fs.unlink(path)],
    ['a flipped bit of the page', (path) => flip(path, 700)],
    ['a flipped bit of the header', (path) => flip(path, 9)],
    ['a flipped bit of the checksum of the header', (path) => flip(path, 30)],
    ['a flipped bit of the checksum of a chunk', (path) => flip(path, 33)],
    ['a file full of zeros', (path) => fs.writeFile(path, Buffer.alloc(PAGE_SIZE + 36))],
  ];

  async function flip(path: string, at: number): Promise<void> {
    const bytes = await fs.readFile(path);
    bytes[at] = (bytes[at] ?? 0) ^ 0x10;
    await fs.writeFile(path, bytes);
  }

  test.each(harms)('%s is dropped and counted, never returned', async (_name, harm) => {
    const { store, folder, metric } = await openStore();
    await store.put(key(1, 0), pageBytes(1), plain);
    await store.put(key(1, 1), pageBytes(2), plain);
    await harm(fileOf(folder, key(1, 0)));
    expect(await store.get(key(1, 0))).toBeUndefined();
    expect(store.has(key(1, 0))).toBe(false);
    expect(await metric('sluice_cache_pages_damaged_total')).toBe(1);
    expect(await store.get(key(1, 1))).toEqual(Buffer.from(pageBytes(2)));
    expect(await store.put(key(1, 0), pageBytes(1), plain)).toBe(true);
    expect(await store.get(key(1, 0))).toEqual(Buffer.from(pageBytes(1)));
  });

  test('parts of a large page verify what they read, and damage elsewhere does not touch them', async () => {
    const { store, folder, metric } = await openStore({ pageSizeBytes: 2 ** 20 });
    const bytes = Buffer.from(pageBytes(5, 300_000));
    await store.put(key(1), bytes, plain);
    await flip(fileOf(folder, key(1), 300_000), 200_000);
    for (const [start, end] of [
      [0, 10],
      [65_530, 65_540],
      [70_000, 131_072],
      [262_144, 300_000],
    ] as const)
      expect(bytes.subarray(start, end).equals((await store.getPart(key(1), { start, end })) ?? Buffer.alloc(0))).toBe(
        true,
      );
    expect(store.has(key(1))).toBe(true);
    expect(await store.getPart(key(1), { start: 197_000, end: 197_001 })).toBeUndefined();
    expect(store.has(key(1))).toBe(false);
    expect(await metric('sluice_cache_pages_damaged_total')).toBe(1);
  });

  test('a page file under the name of another page is damage', async () => {
    const { store, folder } = await openStore();
    for (const file of [1, 2]) for (const page of [0, 1]) await store.put(key(file, page), pageBytes(9), plain);
    await fs.copyFile(fileOf(folder, key(1, 0)), fileOf(folder, key(1, 1)));
    await fs.copyFile(fileOf(folder, key(1, 0)), fileOf(folder, key(2, 0)));
    expect(await store.get(key(1, 1))).toBeUndefined();
    expect(await store.get(key(2, 0))).toBeUndefined();
  });
});

describe('quota', () => {
  /** Room for exactly `pages` full pages of one file. */
  const roomFor = (pages: number): number => pages * pageDiskBytes(PAGE_SIZE) + 8192;

  test('the page used longest ago goes first, and the disk never holds more than the quota', async () => {
    const { store, folder, metric } = await openStore({ capacityBytes: roomFor(3) });
    for (const page of [0, 1, 2]) await store.put(key(1, page), pageBytes(page), plain);
    await store.get(key(1, 0));
    await store.put(key(1, 3), pageBytes(3), plain);
    expect([0, 1, 2, 3].map((page) => store.has(key(1, page)))).toEqual([true, false, true, true]);
    await Promise.all(Array.from({ length: 30 }, (_, page) => store.put(key(1, 10 + page), pageBytes(page), plain)));
    expect(store.usage().usedBytes).toBe(roomFor(3));
    expect(store.usage().pageCount).toBe(3);
    expect((await filesBelow(folder)).filter((name) => name.includes('-')).length).toBe(3);
    const evicted = await metric('sluice_cache_pages_evicted_total');
    expect(evicted + (await metric('sluice_cache_pages_refused_total'))).toBe(31);
  });

  test('a page that never fits is not kept', async () => {
    const { store, metric } = await openStore({ capacityBytes: 5000 });
    expect(await store.put(key(1), pageBytes(1), plain)).toBe(false);
    expect(await metric('sluice_cache_pages_refused_total')).toBe(1);
    expect(store.usage().pageCount).toBe(0);
  });

  test('protected pages are not evicted; what cannot be kept then is refused with the way out', async () => {
    const { store } = await openStore({ capacityBytes: roomFor(3) });
    await store.put(key(1, 0), pageBytes(0), safe);
    await store.put(key(1, 1), pageBytes(1), safe);
    await store.put(key(1, 2), pageBytes(2), safe);
    expect(await store.put(key(2, 0), pageBytes(3), plain)).toBe(false);
    await expect(store.put(key(1, 3), pageBytes(4), safe)).rejects.toMatchObject({
      code: 'EXHAUSTED',
      message: expect.stringMatching(/must not be evicted.*raise worker\.cache\.capacity/),
    });
    expect([0, 1, 2].map((page) => store.has(key(1, page)))).toEqual([true, true, true]);
    await store.adopt(key(1), key(1), plain);
    expect(await store.put(key(1, 3), pageBytes(4), plain)).toBe(true);
    expect(store.has(key(1, 0))).toBe(false);
  });

  test('protected pages push evictable ones out', async () => {
    const { store } = await openStore({ capacityBytes: roomFor(2) + 8192 });
    await store.put(key(1, 0), pageBytes(0), plain);
    await store.put(key(2, 0), pageBytes(1), safe);
    await store.put(key(2, 1), pageBytes(2), safe);
    expect(store.has(key(1, 0))).toBe(false);
    expect(store.protectedFiles()).toEqual([2]);
  });

  test('folders of contents without pages are removed', async () => {
    const { store, folder } = await openStore({ capacityBytes: 8192 + roomFor(1) });
    for (let file = 0; file < 20; file += 1) await store.put(key(file), pageBytes(file), plain);
    await store.close();
    const metas = (await filesBelow(folder)).filter((name) => name === 'meta');
    expect(metas.length).toBe(store.usage().pageCount);
    expect(store.usage().usedBytes).toBeLessThanOrEqual(8192 + roomFor(1));
  });
});

describe('disks that fail', () => {
  function failing(code: string, on: { broken: boolean }): DiskFunctions {
    const open: typeof fs.open = async (path, flags, mode) => {
      if (on.broken && flags === 'wx') throw Object.assign(new Error(`${code}: test`), { code });
      return fs.open(path, flags, mode);
    };
    return { ...fs, open };
  }

  test.each([
    ['ENOSPC', 'EXHAUSTED', /disk is full; free space/],
    ['EDQUOT', 'EXHAUSTED', /disk is full/],
    ['EIO', 'UNAVAILABLE', /check the disk/],
    ['EROFS', 'UNAVAILABLE', /check the disk/],
  ])('%s: unprotected pages are not cached, protected ones refused', async (code, refusal, message) => {
    const on = { broken: false };
    const { store, metric } = await openStore({ disk: failing(code, on) });
    await store.put(key(1), pageBytes(1), safe);
    on.broken = true;
    expect(await store.put(key(1, 1), pageBytes(2), plain)).toBe(false);
    expect(await store.put(key(2), pageBytes(2), plain)).toBe(false);
    await expect(store.put(key(3), pageBytes(3), safe)).rejects.toMatchObject({
      code: refusal,
      message: expect.stringMatching(message),
    });
    expect(await metric('sluice_cache_disk_errors_total')).toBeGreaterThanOrEqual(3);
    expect(await store.get(key(1))).toEqual(Buffer.from(pageBytes(1)));
    on.broken = false;
    expect(await store.put(key(2), pageBytes(2), plain)).toBe(true);
    expect(await store.put(key(3), pageBytes(3), safe)).toBe(true);
    expect(store.protectedFiles()).toEqual([1, 3]);
    expect(store.usage().pageCount).toBe(3);
  });

  test.each([
    ['new ones', plain],
    ['protected ones', safe],
  ])('a disk that is full before the quota is gives the room of old pages to %s', async (_, options) => {
    let folder = '';
    const pagesThere = () =>
      (readdirSync(folder, { recursive: true }) as string[]).filter((name) => /\d+-\d+-\d+$/.test(name)).length;
    const open: typeof fs.open = async (path, flags, mode) => {
      if (flags === 'wx' && folder !== '' && pagesThere() >= 3)
        throw Object.assign(new Error('ENOSPC: test'), { code: 'ENOSPC' });
      return fs.open(path, flags, mode);
    };
    const opened = await openStore({ disk: { ...fs, open } });
    const { store, metric } = opened;
    folder = opened.folder;
    for (let id = 1; id <= 3; id++) expect(await store.put(key(id), pageBytes(id), plain)).toBe(true);
    for (let id = 4; id <= 6; id++) expect(await store.put(key(id), pageBytes(id), options)).toBe(true);
    for (let id = 1; id <= 6; id++)
      expect(await store.get(key(id))).toEqual(id < 4 ? undefined : Buffer.from(pageBytes(id)));
    expect(await metric('sluice_cache_pages_evicted_total')).toBe(3);
    const last = store.put(key(7), pageBytes(7), safe);
    if (options.protect) await expect(last).rejects.toMatchObject({ code: 'EXHAUSTED' });
    else expect(await last).toBe(true);
  });

  test('an error while reading is no damage: the page stays', async () => {
    const on = { broken: false };
    const open: typeof fs.open = async (path, flags, mode) => {
      if (on.broken) throw Object.assign(new Error('EIO: test'), { code: 'EIO' });
      return fs.open(path, flags, mode);
    };
    const { store } = await openStore({ disk: { ...fs, open } });
    await store.put(key(1), pageBytes(1), safe);
    on.broken = true;
    expect(await store.get(key(1))).toBeUndefined();
    on.broken = false;
    expect(await store.get(key(1))).toEqual(Buffer.from(pageBytes(1)));
  });

  const mountable = process.getuid?.() === 0 && process.platform === 'linux';
  test.runIf(mountable)('a file system that is really full', async (context) => {
    const folder = await temporaryFolder();
    try {
      execFileSync('/bin/mount', ['-t', 'tmpfs', '-o', 'size=256k,nr_inodes=2000', 'sluice-test', folder], {
        stdio: 'ignore',
      });
    } catch {
      context.skip('this container may not mount: the injected errors above stand for it');
    }
    onTestFinished(() => void execFileSync('/bin/umount', ['-l', folder]));
    const { store } = await openStore({ folder });
    const there = async (fileId: number): Promise<number[]> => {
      const pages: number[] = [];
      for (let page = 0; page < 100; page += 1) {
        const bytes = await store.get(key(fileId, page));
        if (bytes === undefined) continue;
        expect(bytes).toEqual(Buffer.from(pageBytes(page)));
        pages.push(page);
      }
      return pages;
    };
    for (let page = 0; page < 100; page += 1) await store.put(key(1, page), pageBytes(page), plain);
    const kept = await there(1);
    expect(kept.length).toBeGreaterThan(20);
    expect(kept.length).toBeLessThan(100);
    expect(kept.at(-1)).toBe(99);
    const putSafe = async (): Promise<void> => {
      for (let page = 0; page < 100; page += 1) await store.put(key(2, page), pageBytes(page), safe);
    };
    await expect(putSafe()).rejects.toMatchObject({ code: 'EXHAUSTED' });
    expect(await there(1)).toEqual([]);
    expect((await there(2)).length).toBeGreaterThan(20);
  });
});

describe('opening', () => {
  test('another page size is refused', async () => {
    const { store, folder } = await openStore();
    await store.close();
    await fs.writeFile(join(folder, 'format.json'), '{"format":1,"pageSizeBytes":4096}');
    await expect(openStore({ folder })).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringMatching(/pages of 4096 bytes and worker\.cache\.page-size is 1000/),
    });
  });

  test('a folder with files of others is refused and left alone', async () => {
    const folder = await temporaryFolder();
    await fs.writeFile(join(folder, 'thesis.txt'), 'precious');
    await expect(openStore({ folder })).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringMatching(/thesis\.txt/),
    });
    expect(await fs.readdir(folder)).toEqual(['thesis.txt']);
  });

  test('a folder that cannot be made is a clear error', async () => {
    const folder = await temporaryFolder();
    await fs.writeFile(join(folder, 'file'), '');
    await expect(openStore({ folder: join(folder, 'file', 'cache') })).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  });
});
