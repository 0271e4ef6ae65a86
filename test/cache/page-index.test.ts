import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type CachedContent, newContent } from '../../src/cache/cached-content.ts';
import { PageIndex, pageDiskBytes } from '../../src/cache/page-index.ts';

interface NaivePage {
  readonly content: CachedContent;
  readonly number: number;
  readonly length: number;
}

function contentOf(fileId: number): CachedContent {
  return newContent({ fileId, version: 'v', protect: false, tag: '0123456789abcdef' }, `folder-${fileId}`);
}

test('use order, sizes and protection are those of a naive list', () => {
  const operation = fc.record({
    kind: fc.constantFrom('add', 'add', 'add', 'touch', 'remove', 'evict', 'protect', 'release', 'removeContent'),
    file: fc.integer({ min: 0, max: 3 }),
    number: fc.integer({ min: 0, max: 6 }),
    length: fc.integer({ min: 1, max: 9000 }),
  });
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 120 }), (operations) => {
      const index = new PageIndex();
      const contents = [0, 1, 2, 3].map(contentOf);
      const indexed = new Set<CachedContent>();
      /** Order of use of the evictable pages, and all protected ones. */
      let evictable: NaivePage[] = [];
      let guarded: NaivePage[] = [];
      for (const { kind, file, number, length } of operations) {
        const content = contents[file] as CachedContent;
        if (!indexed.has(content)) {
          index.addContent(content);
          indexed.add(content);
        }
        const here = (page: NaivePage): boolean => page.content === content && page.number === number;
        const known = [...evictable, ...guarded].find(here);
        const slot = content.pages.get(number) as number;
        if (kind === 'add' && known === undefined) {
          index.add(content, number, length);
          (content.protect ? guarded : evictable).push({ content, number, length });
        } else if (kind === 'touch' && known !== undefined) {
          index.touch(slot);
          if (evictable.includes(known)) evictable = [...evictable.filter((page) => page !== known), known];
        } else if (kind === 'remove' && known !== undefined) {
          index.remove(slot);
          evictable = evictable.filter((page) => page !== known);
          guarded = guarded.filter((page) => page !== known);
        } else if (kind === 'evict') {
          const oldest = index.oldest();
          const wanted = evictable.shift();
          expect(oldest === undefined).toBe(wanted === undefined);
          if (oldest !== undefined) {
            expect([index.contentOf(oldest), index.numberOf(oldest)]).toEqual([wanted?.content, wanted?.number]);
            index.remove(oldest);
          }
        } else if (kind === 'protect' || kind === 'release') {
          const [from, to] = kind === 'protect' ? [evictable, guarded] : [guarded, evictable];
          // Released pages join the ring in the order of the content's map, which is that of adding.
          const moved = [...content.pages.keys()].flatMap((at) =>
            from.filter((page) => page.content === content && page.number === at),
          );
          index.setProtection(content, kind === 'protect');
          to.push(...moved);
          if (kind === 'protect') evictable = evictable.filter((page) => !moved.includes(page));
          else guarded = guarded.filter((page) => !moved.includes(page));
        } else if (kind === 'removeContent') {
          index.removeContent(content);
          indexed.delete(content);
          evictable = evictable.filter((page) => page.content !== content);
          guarded = guarded.filter((page) => page.content !== content);
        }
        const bytes = (pages: readonly NaivePage[]): number =>
          pages.reduce((sum, page) => sum + pageDiskBytes(page.length), 0);
        const protectedContents = [...indexed].filter((one) => one.protect);
        expect(index.pageCount).toBe(evictable.length + guarded.length);
        expect(index.usedBytes).toBe(bytes(evictable) + bytes(guarded) + indexed.size * 8192);
        expect(index.protectedBytes).toBe(bytes(guarded) + protectedContents.length * 8192);
      }
    }),
    { numRuns: 300 },
  );
});

test('grows beyond its first arrays and reuses slots', () => {
  const index = new PageIndex();
  const content = contentOf(1);
  index.addContent(content);
  for (let round = 0; round < 3; round += 1) {
    for (let number = 0; number < 5000; number += 1) index.add(content, number, 100);
    for (let number = 0; number < 5000; number += 1) {
      const oldest = index.oldest() as number;
      expect(index.numberOf(oldest)).toBe(number);
      index.remove(oldest);
    }
  }
  expect(index.pageCount).toBe(0);
});
