import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { PageKey, PageStore } from '../../src/cache/page-store.ts';

export interface PageStoreSubject {
  /** A store with pages of 1,000 bytes and room for thousands of them. */
  open(): Promise<PageStore>;
}

const PAGE_SIZE = 1000;

function bytesOf(seed: number, lengthBytes = PAGE_SIZE): Uint8Array {
  return Uint8Array.from({ length: lengthBytes }, (_, at) => (seed * 13 + at) & 0xff);
}

function key(fileId: number, version = 'v1', block = 0, page = 0): PageKey {
  return { fileId, version, block, page };
}

const plain = { protect: false };
const safe = { protect: true };

/** What every page store promises. */
export function pageStoreContract(name: string, subject: PageStoreSubject): void {
  describe(`page store contract: ${name}`, () => {
    test('returns what was put, and nothing for other keys', async () => {
      const store = await subject.open();
      const stored = key(7, 'etag "x"/ü', 3, 5);
      expect(await store.put(stored, bytesOf(1), plain)).toBe(true);
      expect(await store.get(stored)).toEqual(Buffer.from(bytesOf(1)));
      expect(store.has(stored)).toBe(true);
      const others = [{ fileId: 8 }, { version: 'etag' }, { block: 4 }, { page: 6 }];
      for (const other of others) {
        expect(store.has({ ...stored, ...other })).toBe(false);
        expect(await store.get({ ...stored, ...other })).toBeUndefined();
      }
    });

    test.each([1, 2, 999, PAGE_SIZE])('keeps a page of %i bytes', async (length) => {
      const store = await subject.open();
      await store.put(key(1), bytesOf(2, length), safe);
      expect(await store.get(key(1))).toEqual(Buffer.from(bytesOf(2, length)));
    });

    test('gives parts of a page, and nothing beyond its end', async () => {
      const store = await subject.open();
      await store.put(key(1), bytesOf(2, 700), plain);
      for (const [start, end] of [
        [0, 1],
        [0, 700],
        [333, 400],
        [699, 700],
      ] as const)
        expect(await store.getPart(key(1), { start, end })).toEqual(Buffer.from(bytesOf(2, 700).subarray(start, end)));
      expect(await store.getPart(key(1), { start: 600, end: 701 })).toBeUndefined();
      expect(await store.getPart(key(2), { start: 0, end: 1 })).toBeUndefined();
      expect(store.has(key(1))).toBe(true);
    });

    test('a second put of a page changes nothing', async () => {
      const store = await subject.open();
      await Promise.all([store.put(key(1), bytesOf(1), plain), store.put(key(1), bytesOf(1), plain)]);
      expect(await store.put(key(1), bytesOf(1), plain)).toBe(true);
      expect(store.usage().pageCount).toBe(1);
    });

    test('concurrent gets of a page all get it', async () => {
      const store = await subject.open();
      await store.put(key(1), bytesOf(3), plain);
      const pages = await Promise.all(Array.from({ length: 20 }, () => store.get(key(1))));
      for (const page of pages) expect(page).toEqual(Buffer.from(bytesOf(3)));
    });

    test('drop takes one version or the whole file, protected pages too', async () => {
      const store = await subject.open();
      await store.put(key(1, 'a'), bytesOf(1), plain);
      await store.put(key(1, 'b'), bytesOf(2), safe);
      await store.put(key(1, 'c'), bytesOf(3), safe);
      await store.put(key(2, 'a'), bytesOf(4), safe);
      await store.drop(1, 'b');
      expect([store.has(key(1, 'a')), store.has(key(1, 'b')), store.has(key(1, 'c'))]).toEqual([true, false, true]);
      await store.drop(1);
      expect([store.has(key(1, 'a')), store.has(key(1, 'c')), store.has(key(2, 'a'))]).toEqual([false, false, true]);
      expect(store.protectedFiles()).toEqual([2]);
      await store.drop(999);
    });

    test('adopt renames all pages and may be repeated', async () => {
      const store = await subject.open();
      for (let page = 0; page < 5; page += 1) await store.put(key(1, 'w:1', 2, page), bytesOf(page), safe);
      for (let time = 0; time < 2; time += 1) {
        await store.adopt({ fileId: 1, version: 'w:1' }, { fileId: 1, version: 'v9' }, plain);
        for (let page = 0; page < 5; page += 1) {
          expect(store.has(key(1, 'w:1', 2, page))).toBe(false);
          expect(await store.get(key(1, 'v9', 2, page))).toEqual(Buffer.from(bytesOf(page)));
        }
        expect(store.protectedFiles()).toEqual([]);
        expect(store.usage().protectedBytes).toBe(0);
      }
    });

    test('adopt can protect, and joins pages that are there already', async () => {
      const store = await subject.open();
      await store.put(key(1, 'w:1', 0, 0), bytesOf(1), plain);
      await store.put(key(1, 'w:1', 0, 1), bytesOf(2), plain);
      await store.put(key(1, 'v', 0, 1), bytesOf(2), plain);
      await store.put(key(1, 'v', 0, 2), bytesOf(3), plain);
      await store.adopt({ fileId: 1, version: 'w:1' }, { fileId: 1, version: 'v' }, safe);
      for (const page of [0, 1, 2])
        expect(await store.get(key(1, 'v', 0, page))).toEqual(Buffer.from(bytesOf(page + 1)));
      expect(store.protectedFiles()).toEqual([1]);
      expect(store.usage().pageCount).toBe(3);
      expect(store.usage().protectedBytes).toBe(store.usage().usedBytes);
    });

    test('protected files are listed once, in ascending order', async () => {
      const store = await subject.open();
      for (const fileId of [30, 4, 100, 4]) await store.put(key(fileId, 'v', fileId), bytesOf(1), safe);
      await store.put(key(4, 'other'), bytesOf(1), safe);
      await store.put(key(5), bytesOf(1), plain);
      expect(store.protectedFiles()).toEqual([4, 30, 100]);
    });

    test('usage counts what is there and falls to nothing', async () => {
      const store = await subject.open();
      expect(store.usage()).toMatchObject({ usedBytes: 0, protectedBytes: 0, pageCount: 0 });
      await store.put(key(1), bytesOf(1), plain);
      await store.put(key(2), bytesOf(1), safe);
      const { usedBytes, protectedBytes, pageCount } = store.usage();
      expect(pageCount).toBe(2);
      expect(usedBytes).toBeGreaterThanOrEqual(2 * PAGE_SIZE);
      expect(protectedBytes * 2).toBe(usedBytes);
      await store.drop(1);
      await store.drop(2);
      expect(store.usage()).toMatchObject({ usedBytes: 0, protectedBytes: 0, pageCount: 0 });
    });

    test('behaves as a map under concurrent operations', async () => {
      const files = 3;
      const operation = fc.record({
        kind: fc.constantFrom('put', 'put', 'put', 'get', 'get', 'drop', 'dropVersion', 'adopt'),
        fileId: fc.integer({ min: 1, max: files }),
        version: fc.constantFrom('a', 'b'),
        page: fc.integer({ min: 0, max: 3 }),
        protect: fc.boolean(),
      });
      await fc.assert(
        fc.asyncProperty(
          fc.array(fc.array(operation, { minLength: 1, maxLength: 6 }), { maxLength: 12 }),
          async (turns) => {
            const store = await subject.open();
            // Within a turn all run at once; the bytes depend on file and page only, so any page that is there must be right.
            for (const turn of turns) {
              await Promise.all(
                turn.map(async ({ kind, fileId, version, page, protect }) => {
                  const place = key(fileId, version, 1, page);
                  if (kind === 'put') await store.put(place, bytesOf(fileId * 10 + page), { protect });
                  else if (kind === 'drop') await store.drop(fileId);
                  else if (kind === 'dropVersion') await store.drop(fileId, version);
                  else if (kind === 'adopt')
                    await store.adopt({ fileId, version: 'a' }, { fileId, version: 'b' }, { protect });
                  else {
                    const found = await store.get(place);
                    if (found !== undefined) expect(found).toEqual(Buffer.from(bytesOf(fileId * 10 + page)));
                  }
                }),
              );
            }
            let count = 0;
            for (let fileId = 1; fileId <= files; fileId += 1)
              for (const version of ['a', 'b'])
                for (let page = 0; page < 4; page += 1) {
                  const place = key(fileId, version, 1, page);
                  const found = await store.get(place);
                  expect(found !== undefined).toBe(store.has(place));
                  if (found === undefined) continue;
                  count += 1;
                  expect(found).toEqual(Buffer.from(bytesOf(fileId * 10 + page)));
                }
            expect(store.usage().pageCount).toBe(count);
            for (let fileId = 1; fileId <= files; fileId += 1) await store.drop(fileId);
            await store.close();
            expect(store.usage()).toMatchObject({ usedBytes: 0, protectedBytes: 0, pageCount: 0 });
          },
        ),
        { numRuns: 40 },
      );
    });

    test('one after the other, it is exactly a map', async () => {
      const operation = fc.record({
        kind: fc.constantFrom('put', 'put', 'drop', 'adopt'),
        fileId: fc.integer({ min: 1, max: 2 }),
        version: fc.constantFrom('a', 'b'),
        page: fc.integer({ min: 0, max: 2 }),
        protect: fc.boolean(),
      });
      await fc.assert(
        fc.asyncProperty(fc.array(operation, { maxLength: 30 }), async (operations) => {
          const store = await subject.open();
          const model = new Map<string, Set<number>>();
          const guarded = new Set<string>();
          for (const { kind, fileId, version, page, protect } of operations) {
            const name = `${fileId}/${version}`;
            if (kind === 'put') {
              await store.put(key(fileId, version, 0, page), bytesOf(page), { protect });
              model.set(name, new Set([...(model.get(name) ?? []), page]));
              if (protect) guarded.add(name);
            } else if (kind === 'drop') {
              await store.drop(fileId, version);
              model.delete(name);
              guarded.delete(name);
            } else {
              const [from, to] = [`${fileId}/a`, `${fileId}/b`];
              await store.adopt({ fileId, version: 'a' }, { fileId, version: 'b' }, { protect });
              const joined = new Set([...(model.get(from) ?? []), ...(model.get(to) ?? [])]);
              model.delete(from);
              guarded.delete(from);
              guarded.delete(to);
              if (joined.size > 0) {
                model.set(to, joined);
                if (protect) guarded.add(to);
              }
            }
            for (const file of [1, 2])
              for (const text of ['a', 'b'])
                for (const at of [0, 1, 2])
                  expect(store.has(key(file, text, 0, at))).toBe(model.get(`${file}/${text}`)?.has(at) ?? false);
            const expected = [...new Set([...guarded].map((text) => Number(text.split('/')[0])))].sort();
            expect(store.protectedFiles()).toEqual(expected);
          }
          await store.close();
        }),
        { numRuns: 40 },
      );
    });
  });
}
